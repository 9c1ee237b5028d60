"""Foreign text made harmless: what a policy or a language model wrote, before it is quoted, logged or shown.

Used by the evidence (rollouts quoted to a model) and by the model's advisor (its rationales). Nothing here judges
content: an instruction inside a quotation stays visible, as a quotation.
"""

from __future__ import annotations

import json
import re
import unicodedata

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]")
_UNSAFE = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"}
"""Unicode categories that steer a terminal or hide text: controls, direction marks, private use, unassigned."""


def clean(text: str, limit: int = 4000) -> str:
    """`text` without terminal escapes and invisible characters, at most `limit` characters; line breaks stay."""
    bare = _ESCAPES.sub("", text)
    kept = "".join(c if c == "\n" or unicodedata.category(c) not in _UNSAFE else " " for c in bare)
    return clip("\n".join(line.rstrip() for line in kept.splitlines()).strip(), limit)


def one_line(text: str, limit: int = 300) -> str:
    """`clean` on one line."""
    return clip(" ".join(clean(text, 4 * limit).split()), limit)


def quote(text: str, limit: int) -> str:
    """`text` as one JSON string on one line, at most `limit` characters of it: whatever it holds cannot end the
    quotation, and what cannot be seen is spelt out."""
    spelt = json.dumps(clip(text, limit), ensure_ascii=False)
    return "".join(c if unicodedata.category(c) not in _UNSAFE else _spell(c) for c in spelt)


_IMAGE_MARK = re.compile(r"\[(img(?:-\d+)?)\]")


def without_image_marks(text: str) -> str:
    """`text` without what an Ollama server takes for the place of a picture: "[img-3]" becomes "[ img-3 ]".

    In a rollout or a data row such a mark would end the call, or show the model a picture twice.
    """
    return _IMAGE_MARK.sub(r"[ \1 ]", text)


def storable(text: str) -> str:
    """`text` as it came, but for what no database or socket takes: lone surrogates and NUL."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def _spell(character: str) -> str:
    """The JSON escapes of a character, a pair of them beyond the basic plane."""
    return json.dumps(character)[1:-1] if ord(character) > 0x7E else f"\\u{ord(character):04x}"


def clip(text: str, limit: int) -> str:
    """At most `limit` characters; what is cut off is marked by …"""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"

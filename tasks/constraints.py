"""The constraints of IFEval that a few lines can check exactly, by their published names.

Used by `tasks.huggingface`. Only plain string work on bounded text; a constraint that is unknown here, or lacks an
argument, leaves its row out of the task rather than being guessed at.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

Given = Mapping[str, Any]
LONGEST = 20_000
FEWEST_WORDS = 5
"""An answer has at least this many words, half of them different: silence keeps many constraints."""


def known(name: str, given: Given) -> bool:
    """Whether `holds` can check a constraint with these arguments."""
    if name not in _CHECKS:
        return False
    needed, _ = _CHECKS[name]
    relation = str(given.get("relation", given.get("let_relation", "at least")))
    return all(key in given for key in needed) and relation in ("at least", "less than")


def holds(name: str, given: Given, text: str) -> bool:
    """Whether a text keeps a constraint that is `known`."""
    return _CHECKS[name][1](text[:LONGEST], given)


def is_an_answer(text: str) -> bool:
    """Whether a text says anything at all."""
    words = text[:LONGEST].lower().split()
    return len(words) >= FEWEST_WORDS and 2 * len(set(words)) >= min(len(words), 40)


def _words(text: str) -> int:
    return len(re.findall(r"\w+", text))


def _sentences(text: str) -> int:
    return len([part for part in re.split(r"[.!?]+(?:\s|$)", text) if part.strip()])


def _related(count: int, relation: object, number: float) -> bool:
    return count < number if relation == "less than" else count >= number


def _occurrences(text: str, word: object) -> int:
    return len(re.findall(rf"\b{re.escape(str(word))}\b", text, re.IGNORECASE))


def _is_json(text: str) -> bool:
    body = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    try:
        return isinstance(json.loads(body), dict | list)
    except (ValueError, RecursionError):
        return False


def _highlights(text: str) -> int:
    return len([part for part in re.findall(r"\*{1,2}([^\n*]+)\*{1,2}", text) if part.strip()])


_Check = tuple[tuple[str, ...], Callable[[str, Given], bool]]
_CHECKS: Mapping[str, _Check] = {
    "punctuation:no_comma": ((), lambda text, _: "," not in text),
    "change_case:english_lowercase": ((), lambda text, _: text == text.lower()),
    "change_case:english_capital": ((), lambda text, _: text == text.upper()),
    "startend:quotation": ((), lambda text, _: len(t := text.strip()) > 1 and t[0] == '"' == t[-1]),
    "startend:end_checker": (
        ("end_phrase",),
        lambda text, given: text.strip().strip('"').lower().endswith(str(given["end_phrase"]).strip().lower()),
    ),
    "detectable_format:json_format": ((), lambda text, _: _is_json(text)),
    "detectable_format:title": ((), lambda text, _: re.search(r"<<[^\n<>]*\w[^\n<>]*>>", text) is not None),
    "detectable_format:number_bullet_lists": (
        ("num_bullets",),
        lambda text, given: len(re.findall(r"^\s*[*-] ?[^\n*-]", text, re.MULTILINE)) == given["num_bullets"],
    ),
    "detectable_format:number_highlighted_sections": (
        ("num_highlights",),
        lambda text, given: _highlights(text) >= given["num_highlights"],
    ),
    "detectable_content:postscript": (
        ("postscript_marker",),
        lambda text, given: (
            re.search(rf"^\s*{re.escape(str(given['postscript_marker']))}", text, re.I | re.M) is not None
        ),
    ),
    "detectable_content:number_placeholders": (
        ("num_placeholders",),
        lambda text, given: len(re.findall(r"\[[^\[\]\n]+\]", text)) >= given["num_placeholders"],
    ),
    "keywords:existence": (
        ("keywords",),
        lambda text, given: all(_occurrences(text, word) for word in given["keywords"]),
    ),
    "keywords:forbidden_words": (
        ("forbidden_words",),
        lambda text, given: not any(_occurrences(text, word) for word in given["forbidden_words"]),
    ),
    "keywords:frequency": (
        ("keyword", "frequency", "relation"),
        lambda text, given: _related(_occurrences(text, given["keyword"]), given["relation"], given["frequency"]),
    ),
    "keywords:letter_frequency": (
        ("letter", "let_frequency", "let_relation"),
        lambda text, given: _related(
            text.lower().count(str(given["letter"]).lower()), given["let_relation"], given["let_frequency"]
        ),
    ),
    "length_constraints:number_words": (
        ("num_words", "relation"),
        lambda text, given: _related(_words(text), given["relation"], given["num_words"]),
    ),
    "length_constraints:number_sentences": (
        ("num_sentences", "relation"),
        lambda text, given: _related(_sentences(text), given["relation"], given["num_sentences"]),
    ),
    "length_constraints:number_paragraphs": (
        ("num_paragraphs",),
        lambda text, given: len([p for p in re.split(r"\s*\*\*\*\s*", text) if p.strip()]) == given["num_paragraphs"],
    ),
}

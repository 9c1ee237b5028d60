"""Copying out of the terminal: the OSC 52 sequence, tmux's own buffer where there is a tmux, and always a file.

Called by `app.copy`. OSC 52 has no answer, and some terminals ignore it, so nothing here ever says that the clipboard
has the text: it says where the file is. What is copied can neither drive a terminal nor break out of the sequence.
"""

from __future__ import annotations

import base64
import os
import subprocess
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.errors import UserError
from llmzero_tui.user.places import short, state_dir, write_private

LIMIT = 74_994
"""Bytes of text that terminals take in one OSC 52 sequence (100,000 of base64)."""
TMUX_SECONDS = 3.0
_DROPPED = frozenset({"Cc", "Cs"})
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, slots=True)
class CopyOutcome:
    """What became of a copy. `offered`: a terminal was given it, which may or may not have taken it."""

    path: Path
    offered: bool
    error: str = ""


def describe(what: str, copied: CopyOutcome) -> tuple[str, Literal["information", "warning"]]:
    """What to tell the user of a copy, and how loudly."""
    where = short(copied.path)
    if copied.error:
        if copied.offered:
            return f"copied {what} to the terminal's clipboard only: {copied.error}", "warning"
        return f"{what} not copied: too large for the terminal's clipboard, and {copied.error}", "warning"
    if not copied.offered:
        return f"{what}: too large for the terminal's clipboard; in {where}", "warning"
    return f"copied {what}; also in {where}", "information"


def harmless(text: str) -> str:
    """The text without control characters (a pasted one acts like a key), line breaks and tabs excepted."""
    if text.isprintable():
        return text
    text = text.replace("\r\n", "\n")
    return "".join(c for c in text if c in "\n\t" or (unicodedata.category(c) not in _DROPPED and c not in _BIDI))


def fits(text: str) -> bool:
    """Whether terminals take it."""
    return len(text.encode("utf-8", "replace")) <= LIMIT


def sequence(text: str, *, tmux: bool) -> str:
    """What sets the clipboard of the terminal; within tmux also as tmux passes it on to the one outside."""
    plainly = f"\x1b]52;c;{base64.b64encode(text.encode('utf-8', 'replace')).decode('ascii')}\a"
    if not tmux:
        return plainly
    inner = plainly.replace("\x1b", "\x1b\x1b")
    return f"{plainly}\x1bPtmux;{inner}\x1b\\"


def in_tmux() -> bool:
    """Whether the terminal is a tmux's."""
    return bool(os.environ.get("TMUX"))


def keep(text: str) -> CopyOutcome:
    """Write the file, and hand the text to tmux, which by its defaults ignores the sequence of a program within it.

    Blocks for a moment: to be called in a worker.
    """
    path = state_dir() / "clipboard.txt"
    offered = fits(text)
    if offered and in_tmux():
        _give_tmux(text)
    try:
        write_private(path, text)
    except UserError as error:
        return CopyOutcome(path, offered, str(error))
    return CopyOutcome(path, offered)


def _give_tmux(text: str) -> bool:
    """tmux's buffer, and by -w the clipboard of the terminal outside. A tmux that cannot has its sequence anyway."""
    try:
        done = subprocess.run(
            ["tmux", "load-buffer", "-w", "-"], input=text.encode("utf-8", "replace"), timeout=TMUX_SECONDS,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0

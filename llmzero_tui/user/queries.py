"""Queries worth keeping: ours with a line of explanation each, the user's own, and what was asked before.

Called by the SQL screen's workers. Files are text that runs as it is in the DuckDB shell; the history is bounded and
readable by the user alone. What is read here may come from anyone: it is shown as plain text and run as any query is.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.store import queries
from llmzero_tui.user.places import config_dir, short, state_dir, write_private

KEPT = 300
"""Queries of the history."""
LONGEST = 20_000
"""Characters of a query that is remembered, or read from a file."""
NAME = re.compile(r"[\w][\w .+-]{0,39}")


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A query by its name and its line of explanation; `own`: the user's."""

    name: str
    words: str
    text: str
    own: bool = False


def packaged() -> list[SavedQuery]:
    """The queries that come with the program."""
    return _read(Path(queries.__file__).parent / "saved", own=False)


def own_dir() -> Path:
    """Where the user's queries are."""
    return config_dir() / "queries"


def own() -> list[SavedQuery]:
    """The user's queries; a file that cannot be read is left out."""
    return _read(own_dir(), own=True)


def first() -> str:
    """The text a new editor has."""
    return (Path(queries.__file__).parent / "saved" / "nodes.sql").read_text(encoding="utf-8").rstrip()


def _read(directory: Path, *, own: bool) -> list[SavedQuery]:
    saved = []
    try:
        paths = sorted(directory.glob("*.sql"))
    except OSError:
        return []
    for path in paths:
        try:
            if path.stat().st_size > 4 * LONGEST:
                continue
            text = path.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text:
            saved.append(SavedQuery(path.stem, explanation(text), text, own))
    return saved


def explanation(text: str) -> str:
    """What the first comment of a query says; empty when it begins with none."""
    comment = re.match(r"\s*--[ \t]*([^\n]*)", text)
    return comment.group(1).strip() if comment else ""


def save(name: str, words: str, text: str, *, overwrite: bool) -> Path:
    """Keep a query of the user under a name, its explanation as its first comment.

    Raises:
        UserError: no such name, no explanation, it exists already, or it cannot be written.
    """
    name, words = name.strip(), " ".join(words.split())
    if not NAME.fullmatch(name):
        raise UserError(f"{name[:50]!r} is not a query name; allowed: letters, digits, blanks and . _ + -, up to 40")
    if not words:
        raise UserError("a query needs one line that says what it answers")
    path = own_dir() / f"{name}.sql"
    if path.exists() and not overwrite:
        raise UserError(f"{short(path)} exists")
    body = re.sub(r"\A\s*--[^\n]*\n?", "", text).strip() if explanation(text) else text.strip()
    write_private(path, f"-- {words}\n{body}\n")
    return path


# ---- history --------------------------------------------------------------------------------------------------------


def history_file() -> Path:
    """One JSON text a line, the oldest first."""
    return state_dir() / "sql-history.jsonl"


def history() -> list[str]:
    """What was asked before, the latest last. A damaged line is left out."""
    try:
        lines = history_file().read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    texts = []
    for line in lines[-KEPT:]:
        try:
            text = json.loads(line)
        except ValueError:
            continue
        if isinstance(text, str) and text.strip():
            texts.append(text[:LONGEST])
    return texts


def remember(text: str) -> list[str]:
    """Add a query to the history; one that is there already moves to its end.

    Raises:
        UserError: the file cannot be written.
    """
    text = text.strip()
    before = history()
    if not text or len(text) > LONGEST or before[-1:] == [text]:
        return before
    kept = [*(each for each in before if each != text), text][-KEPT:]
    write_private(history_file(), "".join(f"{json.dumps(each)}\n" for each in kept))
    return kept

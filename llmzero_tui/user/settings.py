"""The user's settings: a TOML file read before the terminal starts, and changed by the settings screen.

Called by the command line and the app. The file is the user's: a change touches only the lines of its keys, comments
stay, and what cannot be changed that way is left to the user. What is allowed is known by `user.preferences`.
"""

from __future__ import annotations

import json
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from engine.errors import UserError, one_line
from llmzero_tui.user import preferences
from llmzero_tui.user.places import config_dir, short, write_private
from llmzero_tui.user.preferences import NAMES, Settings, checked


def path() -> Path:
    """Where the settings are: LLMZERO_CONFIG, or config.toml in the user's directory of settings."""
    given = os.environ.get("LLMZERO_CONFIG", "")
    return Path(given).expanduser() if given else config_dir() / "config.toml"


def load(file: Path | None = None) -> Settings:
    """The settings of the user; the defaults where there is no file.

    Raises:
        UserError: one line naming the file, the key, the value and what is allowed.
    """
    file = file or path()
    return _parse(_read(file), file)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise UserError(f"{short(file)}: not a text file (UTF-8 expected at byte {error.start})") from error
    except OSError as error:
        raise UserError(f"{short(file)}: cannot be read: {error.strerror or error}") from error


def _parse(text: str, file: Path) -> Settings:
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{short(file)}: not TOML: {one_line(str(error))}") from error
    try:
        return checked(found)
    except UserError as error:
        raise UserError(f"{short(file)}: {error}") from error


# ---- changing the file ----------------------------------------------------------------------------------------------


def save(changes: Mapping[str, Any], file: Path | None = None) -> Settings:
    """Write some settings into the user's file and give all of them back; whatever else stands there stays.

    Args:
        changes: key → value; "keys.run.approve" → keys, None to go back to the default.

    Raises:
        UserError: a value that is not allowed, a file that is wrong or cannot be written, or one of a form that only
            its author can change. The file is as it was then.
    """
    file = (file or path()).resolve()  # a link to a file elsewhere stays a link
    text = _read(file)
    wanted = changed(_parse(text, file), changes)
    new = text or template()
    for name, value in changes.items():
        new = edit(new, name, value)
    if _parse_quietly(new) != wanted:
        names = ", ".join(name.removeprefix("keys.") for name in changes)
        raise UserError(f"{short(file)}: {names} cannot be changed from here in this form; edit the file yourself")
    write_private(file, new)
    return wanted


def changed(before: Settings, changes: Mapping[str, Any]) -> Settings:
    """The settings with some changed, as in `save`.

    Raises:
        UserError: a value that is not allowed, in one line.
    """
    values = asdict(before)
    for name, value in changes.items():
        table, _, key = name.partition(".")
        if not key:
            values[name] = value
        elif value is None:
            values[table].pop(key, None)
        else:
            values[table][key] = value
    return checked(values)


def _parse_quietly(text: str) -> Settings | None:
    try:
        return checked(tomllib.loads(text))
    except (ValueError, UserError):
        return None


def edit(text: str, name: str, value: Any) -> str:
    """A TOML text with the line of one key changed, added, or taken out (None). "keys.X" is the key X of [keys]."""
    lines = text.removesuffix("\n").split("\n") if text else []  # not at what else Unicode takes for a line's end
    table, _, key = name.partition(".") if "." in name else ("", "", name)
    first, last = _extent(lines, table)
    if first < 0 and value is None:
        return text
    if first < 0:
        lines += ["", f"[{table}]"] if lines else [f"[{table}]"]
        first = last = len(lines)
    new = [] if value is None else [f"{key} = {toml(value)}"]
    place = next((i for i in range(first, last) if _names(lines[i], key)), None)
    old = place is not None
    if place is None:  # its default may stand there as a comment
        place = next((i for i in range(first, last) if new and re.match(rf"# {re.escape(key)} = ", lines[i])), None)
    if place is None:
        while last > first and not lines[last - 1].strip():  # above the blank line before the next table
            last -= 1
        lines[last:last] = new
    else:
        end = _end(lines, place, last)
        comment = _comment(lines[place]) if new and old and end == place + 1 else ""
        lines[place:end] = [new[0] + comment] if new else []
    return "\n".join(lines) + "\n"


def _extent(lines: list[str], table: str) -> tuple[int, int]:
    """The lines of a table without its head, as a range; (-1, -1) where there is none."""
    heads = [i for i, line in enumerate(lines) if re.match(r"\s*\[", line)]
    if not table:
        return 0, heads[0] if heads else len(lines)
    for head, after in pairwise([*heads, len(lines)]):
        if re.match(rf"\s*\[\s*[\"']?{re.escape(table)}[\"']?\s*\]", lines[head]):
            return head + 1, after
    return -1, -1


def _names(line: str, key: str) -> bool:
    """Whether a line gives a value to a key, in either of TOML's ways to write it."""
    dotted = r"\s*\.\s*".join(rf"[\"']?{re.escape(part)}[\"']?" for part in key.split("."))
    return re.match(rf"\s*(?:{dotted}|[\"']{re.escape(key)}[\"'])\s*=", line) is not None


def _end(lines: list[str], start: int, last: int) -> int:
    """The line after a value, which may span several."""
    for end in range(start + 1, last + 1):
        try:
            tomllib.loads("\n".join(lines[start:end]))
        except ValueError:
            continue
        return end
    return start + 1


def _comment(line: str) -> str:
    """What stands behind the value of a line: the longest part from a # on without which it says the same."""
    whole = tomllib.loads(line)
    for found in re.finditer("#", line):
        before = line[: found.start()]
        try:
            same = tomllib.loads(before) == whole
        except ValueError:
            continue
        if same:
            return line[len(before.rstrip()) :]
    return ""


def toml(value: Any) -> str:
    """A TOML value: JSON's texts and numbers are TOML's too."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def template() -> str:
    """A new file: every key with its meaning and its default, none of them in force."""
    from llmzero_tui.text.run_file import docstrings

    docs = docstrings(preferences)["Settings"]
    lines = ["# Settings of LLMZero's terminal. docs/terminal.md tells more; the comma key changes them on screen.", ""]
    for name in NAMES:
        if name != "keys":
            lines += [f"# {docs[name]}", f"# {name} = {toml(getattr(Settings(), name))}"]
    return "\n".join([*lines, "", f"# {docs['keys']}", "[keys]", ""])

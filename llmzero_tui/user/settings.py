"""The user's settings: a TOML file read before the terminal starts, and changed by the settings screen.

Called by the command line and the app. The file is the user's: a change touches only its keys, comments stay (tomlkit).
What is allowed is known by `user.preferences`.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from engine.errors import UserError, one_line
from llmzero_tui.format import toml_value
from llmzero_tui.user import preferences
from llmzero_tui.user.places import config_dir, short, write_private
from llmzero_tui.user.preferences import NAMES, TerminalSettings, checked


def path() -> Path:
    """Where the settings are: LLMZERO_CONFIG, or config.toml in the user's directory of settings."""
    given = os.environ.get("LLMZERO_CONFIG", "")
    if not given:
        return config_dir() / "config.toml"
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise UserError(f"LLMZERO_CONFIG {given[:80]!r}: no such home directory") from error


def load(file: Path | None = None) -> TerminalSettings:
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


def _parse(text: str, file: Path) -> TerminalSettings:
    try:
        settings = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{short(file)}: not TOML: {one_line(str(error))}") from error
    try:
        return checked(settings)
    except UserError as error:
        raise UserError(f"{short(file)}: {error}") from error


# ---- changing the file ----------------------------------------------------------------------------------------------


def save(changes: Mapping[str, Any], file: Path | None = None) -> TerminalSettings:
    """Write some settings into the user's file and give all of them back; whatever else stands there stays.

    Args:
        changes: key → value; "keys.run.approve" → keys, None to go back to the default.

    Raises:
        UserError: a value that is not allowed, a file that is wrong or cannot be written. It is as it was then.
    """
    file = (file or path()).resolve()  # a link to a file elsewhere stays a link
    text = _read(file)
    wanted = changed(_parse(text, file), changes)
    new = text or template()
    for name, value in changes.items():
        new = edit(new, name, value)
    write_private(file, new)
    return wanted


def changed(before: TerminalSettings, changes: Mapping[str, Any]) -> TerminalSettings:
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


def edit(text: str, name: str, value: Any) -> str:
    """A TOML text with one key changed, added, or taken out (None); comments and the rest stay as they are.

    "keys.X" is the key X of [keys], which may stand there as a quoted or as a dotted key.
    """
    import tomlkit

    document = tomlkit.parse(text)
    key, home = name.removeprefix("keys."), document
    if key != name:
        if "keys" not in document:
            document["keys"] = tomlkit.table()
        home = document["keys"]
    inner, last = _place(home, key)
    if value is None:
        inner.pop(last, None)
    else:
        inner[last] = value
    return tomlkit.dumps(document)


def _place(home: Any, key: str) -> tuple[Any, str]:
    """The table and the name in it under which a key stands or belongs, written quoted ("a.b") or dotted (a.b)."""
    if key in home or "." not in key:
        return home, key
    first, _, rest = key.partition(".")
    return _place(home[first], rest) if isinstance(home.get(first), Mapping) else (home, key)


def template() -> str:
    """A new file: every key with its meaning and its default, none of them in force."""
    from llmzero_tui.text.run_file import docstrings

    docs = docstrings(preferences)["TerminalSettings"]
    lines = ["# Settings of LLMZero's terminal. See docs/terminal.md; the comma key changes them on screen.", ""]
    for name in NAMES:
        if name != "keys":
            lines += [f"# {docs[name]}", f"# {name} = {toml_value(getattr(TerminalSettings(), name))}"]
    return "\n".join([*lines, "", "[keys]", f"# {docs['keys']}", ""])

"""What the settings of the terminal are and which values they allow.

Made by `user.settings` from the user's file, carried by the app. Checked by hand and not by pydantic, because it stands
before the first paint. A value that is not allowed is a UserError of one line.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal, get_args

from engine.errors import UserError, one_line, short

if TYPE_CHECKING:
    from llmzero_tui.actions.keymap import Keymap

Theme = Literal["dark", "light", "high-contrast", "high-contrast-light", "colour-blind", "colour-blind-light"]
FASTEST, SLOWEST = 0.25, 60.0
"""Bounds of `refresh_seconds`."""


@dataclass(frozen=True)
class TerminalSettings:
    """The settings of the terminal; every key may be left out."""

    theme: Theme = "dark"
    """Colours: dark, light, high contrast (dark or light), or Okabe and Ito's for colour-blind eyes (dark or light)."""
    ascii: bool = False
    """Draw with ASCII alone, for terminals and fonts that lack glyphs; `--ascii` does so once."""
    mouse: bool = True
    """Take clicks and the wheel; without it the terminal's own selection works. From the next start on."""
    refresh_seconds: float = 1.0
    """Seconds between two looks at a run; more of them for a slow line."""
    bell: bool = False
    """Ring the terminal's bell at news: a proposal waits, a segment collapses, a run ends or has no learning signal."""
    desktop: bool = False
    """Show the same on the desktop by notify-send, where there is one."""
    notify_command: tuple[str, ...] = ()
    """A command to run then, as a list of words; no shell. LLMZERO_EVENT, LLMZERO_RUN and more in its environment."""
    webhook: str = field(default="", repr=False)
    """An address that takes Slack's JSON, for the same news; a secret, better kept in LLMZERO_WEBHOOK."""
    keys: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Other keys for actions: `run.approve = "y"`, several in a list, none with an empty one."""

    @property
    def keymap(self) -> Keymap:
        """The user's keys."""
        from llmzero_tui.actions.keymap import build

        return build(self.keys)


NAMES = tuple(each.name for each in fields(TerminalSettings))


def checked(values: Mapping[str, Any]) -> TerminalSettings:
    """Settings from what a file says; what is left out has its default.

    Raises:
        UserError: one line with the key, the value and what is allowed, and how many more are wrong.
    """
    wrong = [f"unknown key {one_line(name)}{_nearest(name)}" for name in values if name not in NAMES]
    good: dict[str, Any] = {}
    for name in NAMES:
        if name in values:
            try:
                good[name] = CHECKS[name](values[name])
            except ValueError as error:
                secret = isinstance(values[name], dict) or name == "webhook"
                given = "" if secret else f" = {short(values[name])}"
                wrong.append(one_line(f"{name}{given}: {error}"))
    if wrong:
        raise UserError(wrong[0] + (f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""))
    return TerminalSettings(**good)


def _nearest(name: str) -> str:
    close = difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5)
    return f"; did you mean {close[0]}?" if close else f"; known here: {', '.join(sorted(NAMES))}"


def _theme(value: Any) -> str:
    names = get_args(Theme)
    if value not in names:
        raise ValueError(f"must be {', '.join(map(repr, names[:-1]))} or {names[-1]!r}")
    return str(value)


def _switch(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _seconds(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError(f"must be a number from {FASTEST:g} to {SLOWEST:g}")
    if not FASTEST <= value <= SLOWEST:
        raise ValueError(f"must be from {FASTEST:g} to {SLOWEST:g}")
    return float(value)


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise ValueError('give a list of words, such as ["my-notify", "--urgent"]; there is no shell')
    if value and not value[0].strip():
        raise ValueError("the first word is the program and cannot be empty")
    if any("\0" in word for word in value):
        raise ValueError("a word has a NUL in it")
    return tuple(value)


def _address(value: Any) -> str:
    """An address of http or https; what it is stands in no message."""
    if not isinstance(value, str) or (value and not value.startswith(("https://", "http://"))):
        raise ValueError("must be an address, https://… or http://…")
    return value


def _keys(value: Any) -> dict[str, tuple[str, ...]]:
    """`run.approve = "y"` is a table in a table for TOML, "run.approve" is not: both are meant alike."""
    if not isinstance(value, dict):
        raise ValueError("must be a table, [keys]")
    flat: dict[str, Any] = {}
    for name, given in value.items():
        inner = given.items() if isinstance(given, dict) else ()
        flat.update({f"{name}.{action}": keys for action, keys in inner} if inner else {name: given})
    for name, given in flat.items():
        words = [given] if isinstance(given, str) else given
        if not isinstance(words, list | tuple) or not all(isinstance(word, str) for word in words):
            raise ValueError(f"{one_line(str(name))[:60]} needs a key, or a list of keys")
        flat[name] = tuple(words)
    TerminalSettings(keys=flat).keymap  # noqa: B018 - refuses keys that cannot work
    return flat


CHECKS: dict[str, Callable[[Any], Any]] = {
    "theme": _theme, "ascii": _switch, "mouse": _switch, "refresh_seconds": _seconds, "bell": _switch,
    "desktop": _switch, "notify_command": _words, "webhook": _address, "keys": _keys,
}  # fmt: skip

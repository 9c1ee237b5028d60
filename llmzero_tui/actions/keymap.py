"""Which keys an action has after the user's own wishes: one place for footer, help, palette and Textual's bindings.

Made from the settings by `build`, which refuses what could not work; carried by the app's `Appearance`. Pure values.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from textual.binding import BindingsMap
from textual.keys import key_to_character

from llmzero_tui.actions.model import Action
from llmzero_tui.actions.registry import REGISTRY

UNBOUND = "no-key"
"""Stands in Textual's bindings for an action without a key: no terminal sends it."""

RESERVED = frozenset({
    "up", "down", "left", "right", "h", "j", "k", "l", "tab", "shift+tab", "enter", "escape", "home", "end", "pageup",
    "pagedown", "ctrl+c", "ctrl+p",
})  # fmt: skip
"""Keys that move, choose, leave or open the palette everywhere."""

WHILE_TYPING = frozenset({"sql.run_query", "sql.interrupt"})
"""Actions whose keys work while an editor has the focus: a letter would be taken from the text."""


@dataclass(frozen=True, slots=True)
class Keymap:
    """The user's changes: (binding id, its keys), where an id is "screen.action" and no keys take an action's key
    away."""

    changes: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def of(self, action: Action, screen: str) -> tuple[str, ...]:
        """The keys of an action on a screen, the first of which is shown; Textual's names."""
        name = f"{screen}.{action.id}"
        return next((keys for changed, keys in self.changes if changed == name), action.keys)

    def bindings(self) -> dict[str, str]:
        """For `App.set_keymap`: complete for every screen that is changed, because Textual drops whatever else stood
        on a key that is given away."""
        screens = {name.partition(".")[0] for name, _ in self.changes}
        return {
            f"{screen}.{action.id}": ",".join(self.of(action, screen)) or UNBOUND
            for screen, action in pairs()
            if screen in screens
        }


DEFAULT_KEYS = Keymap()


def pairs() -> Iterator[tuple[str, Action]]:
    """Every (screen, action)."""
    return ((screen, action) for action in REGISTRY for screen in action.screens)


def build(wishes: Mapping[str, Sequence[str]]) -> Keymap:
    """The keymap of a user's wishes.

    Args:
        wishes: binding id ("run.approve") → keys ("y", "ctrl+y", "f5"; ",", "space" and "?" by name or as they are).

    Raises:
        ValueError: one line: no such action, no such key, a key that cannot be given away, or two actions on one key
            of a screen. Actions that share a key from the start, because only one of them can be done at a time, may
            go on sharing one.
    """
    known = {f"{screen}.{action.id}": action for screen, action in pairs()}
    changes = []
    for name, keys in wishes.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else "docs/terminal.md lists them"
            raise ValueError(f"no action {name[:60]!r}; {hint}")
        changes.append((name, tuple(dict.fromkeys(_key(name, key) for key in keys))))
    keymap = Keymap(tuple(sorted(c for c in changes if c[1] != known[c[0]].keys)))
    _refuse_conflicts(keymap)
    return keymap


def _key(name: str, key: str) -> str:
    """A key by Textual's name. What every screen needs stays where it is, unless the action has it by itself."""
    normal = normal_key(key)
    if normal in RESERVED and normal not in _defaults(name):
        raise ValueError(f"{name} = {key!r}: this key moves, chooses or leaves on every screen; choose another")
    if name in WHILE_TYPING and key_to_character(normal) is not None:
        raise ValueError(f"{name} = {key!r}: it must work while you type; choose a function key or one with ctrl")
    return normal


def _defaults(name: str) -> tuple[str, ...]:
    return next(action.keys for screen, action in pairs() if f"{screen}.{action.id}" == name)


def normal_key(key: str) -> str:
    """A key by Textual's name: "?" is "question_mark".

    Raises:
        ValueError: it is no key.
    """
    text = key if key == " " else key.strip()
    if text in (",", " "):
        return {",": "comma", " ": "space"}[text]
    name = text.rpartition("+")[2] if len(text) > 1 else text
    if not text or "," in text or not text.isprintable() or " " in text or len(text) > 40 or not name:
        raise ValueError(f"{key[:40]!r} is no key; write a character, or a name such as space, f5 or ctrl+t")
    return next(iter(BindingsMap([(text, "")]).key_to_bindings))


def _refuse_conflicts(keymap: Keymap) -> None:
    """Two actions on one key of one screen are one too many, unless they share a key by default."""
    changed = {name for name, _ in keymap.changes}
    for screen in sorted({name.partition(".")[0] for name in changed}):
        taken: dict[str, list[Action]] = {}
        for action in (a for where, a in pairs() if where == screen):
            for key in keymap.of(action, screen):
                others = taken.setdefault(key, [])
                clash = next((o for o in others if not set(o.keys) & set(action.keys)), None)
                if clash is not None and {f"{screen}.{clash.id}", f"{screen}.{action.id}"} & changed:
                    raise ValueError(
                        f"{screen}.{clash.id} and {screen}.{action.id} are both on {key!r}; give one another key"
                    )
                others.append(action)

"""Actions: the registry of everything a user can do, and what is made from it.

Screens take their bindings from here, the footer, the help and the palette are drawn from here, a test presses what it
says. Nothing here touches a store.
"""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding, BindingType
from textual.keys import key_to_character

from llmzero_tui.actions.keymap import DEFAULT_KEYS, UNBOUND, Keymap
from llmzero_tui.actions.model import Action, ActionContext
from llmzero_tui.actions.registry import REGISTRY, lasting

__all__ = [
    "DEFAULT_KEYS", "REGISTRY", "WAY_OUT", "Action", "ActionContext", "Keymap", "allowed", "bindings", "find",
    "footer", "key_name", "lacking", "lasting", "of",
]  # fmt: skip


KEY_NAMES = {
    "backspace": "⌫", "escape": "esc", "space": "space", "slash": "/", "plus": "+", "minus": "-", "left": "←",
    "right": "→", "up": "↑", "down": "↓",
}  # fmt: skip


def key_name(key: str) -> str:
    """A key as it is shown: "?", "space", "^p"."""
    if key.startswith("ctrl+"):
        return f"^{key_name(key.removeprefix('ctrl+'))}"
    character = key_to_character(key) or ""
    return KEY_NAMES.get(key) or (character if character.isprintable() else "") or key


def of(screen: str) -> Iterable[Action]:
    """The actions of a screen, in the order of the registry."""
    return (a for a in REGISTRY if screen in a.screens)


def bindings(screen: str, *, priority: frozenset[str] = frozenset()) -> list[BindingType]:
    """Textual's bindings of a screen. Actions named in `priority` work even while an editor has the focus."""
    return [
        Binding(
            ",".join(a.keys) or UNBOUND, a.id, a.label, show=False, id=f"{screen}.{a.id}", priority=a.id in priority
        )
        for a in of(screen)
    ]


def find(action_id: str, screen: str) -> Action | None:
    """The action of a screen by its id."""
    return next((a for a in of(screen) if a.id == action_id), None)


def allowed(action_id: str, context: ActionContext) -> bool:
    """Whether an action does something now. What is not in the registry is not ours to forbid."""
    action = find(action_id, context.screen)
    return action is None or action.guard(context)


def lacking(key: str, context: ActionContext, keymap: Keymap = DEFAULT_KEYS) -> str:
    """Why a key of this screen does nothing now, in one line: what the first of its actions needs. "" where it does
    something, is no key of the screen, or its actions have no words for it."""
    here = [action for action in of(context.screen) if key in keymap.of(action, context.screen)]
    if any(action.guard(context) for action in here):
        return ""
    return next((f"{action.label}: needs {action.needs}" for action in here if action.needs), "")


WAY_OUT = frozenset({"help", "back", "detach"})
"""What a footer names even where others find no room: how to learn the keys, and how to leave."""


def footer(context: ActionContext, keymap: Keymap = DEFAULT_KEYS, *, watching: bool = False) -> list[Action]:
    """The actions that do something now, the most urgent first; as many are shown as there is room for. A view that
    only watches has none that lasts."""
    now = [a for a in of(context.screen) if a.rank and keymap.of(a, context.screen) and a.guard(context)]
    return sorted((a for a in now if not (watching and lasting(a))), key=lambda a: a.rank)

"""The footer: as many keys as fit, only those that do something now. Drawn from the registry of actions."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from llmzero_tui.actions import DEFAULT_KEYS, Action, ActionContext, footer
from llmzero_tui.widgets.appearance import look


class KeyBar(Widget):
    """One line at the bottom of a screen."""

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._screen = ""
        self._actions: list[Action] = []
        self._keymap = DEFAULT_KEYS

    def show(self, context: ActionContext) -> None:
        """Take the screen's context; drawn anew only when other keys do something."""
        keymap = look(self).keymap
        actions = footer(context, keymap)
        if (actions, keymap) != (self._actions, self._keymap):
            self._screen, self._actions, self._keymap = context.screen, actions, keymap
            self.refresh()

    def render(self) -> RenderResult:
        dress = look(self)
        text = Text(no_wrap=True)
        for action in self._actions:
            item = Text.assemble(
                (dress.key(action, self._screen), f"bold {dress.palette.wait}"),
                (f" {action.label}", dress.palette.muted),
            )
            if text.cell_len + item.cell_len + 3 > self.size.width:
                break
            text.append("  " if text else " ").append_text(item)
        return dress.done(text)

"""The footer: as many keys as fit, only those that do something now. Drawn from the registry of actions."""

from __future__ import annotations

from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from llmzero_tui.actions import DEFAULT_KEYS, WAY_OUT, Action, ActionContext, footer
from llmzero_tui.widgets.appearance import Appearance, look

GAP = "  "


class KeyBar(Widget):
    """One line at the bottom of a screen."""

    def __init__(self) -> None:
        super().__init__(id="keys")
        self._screen = ""
        self._actions: list[Action] = []
        self._keymap = DEFAULT_KEYS

    def show(self, context: ActionContext, *, watching: bool = False) -> None:
        """Take the screen's context; drawn anew only when other keys do something. `watching`: the view only watches,
        so keys that would change something are left out."""
        keymap = look(self).keymap
        actions = footer(context, keymap, watching=watching)
        if (actions, keymap) != (self._actions, self._keymap):
            self._screen, self._actions, self._keymap = context.screen, actions, keymap
            self.refresh()

    def render(self) -> RenderResult:
        appearance = look(self)
        items = [self._item(action, appearance) for action in self._actions]
        urgent = sorted(range(len(items)), key=lambda index: self._actions[index].id not in WAY_OUT)
        room, fitting = self.size.width, set[int]()
        for index in urgent:
            room -= items[index].cell_len + len(GAP)
            if room < 0:
                break
            fitting.add(index)
        text = Text(" ", no_wrap=True).append_text(Text(GAP).join(items[index] for index in sorted(fitting)))
        return appearance.done(text)

    def _item(self, action: Action, appearance: Appearance) -> Text:
        key = (appearance.key(action, self._screen), f"bold {appearance.palette.wait}")
        return Text.assemble(key, (f" {action.label}", appearance.palette.muted))

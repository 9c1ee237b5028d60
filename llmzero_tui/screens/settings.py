"""The settings: theme, glyphs, mouse, notifications, pace, and every key. What is changed takes effect at once and is
kept in the user's file.

Opened by the comma key from the main screens. Values are checked by `llmzero_tui.user.settings`, never here.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any, ClassVar

from rich.text import Text
from textual import events, getters, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from llmzero_tui.actions import REGISTRY, Action, bindings, key_name
from llmzero_tui.format import fit, plain
from llmzero_tui.screens.base import KeyedScreen
from llmzero_tui.screens.host import HostApp
from llmzero_tui.styles.themes import PALETTES
from llmzero_tui.user import settings as stored
from llmzero_tui.user.places import short
from llmzero_tui.values.snapshot import News
from llmzero_tui.widgets.appearance import Appearance, look
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.setting import Setting

ON_OFF = {False: "off", True: "on"}
ROWS: tuple[tuple[str, str, str, dict[Any, str]], ...] = (
    ("theme", "Theme", "previewed as you move", {name: name.replace("-", " ") for name in PALETTES}),
    ("ascii", "ASCII alone", "for terminals and fonts without these glyphs", ON_OFF),
    ("mouse", "Mouse", "off: the terminal's own selection works; takes effect at the next start", ON_OFF),
    ("refresh_seconds", "Refresh", "how often a run is refreshed", {
        0.5: "every half second", 1.0: "every second", 2.0: "every 2 seconds", 5.0: "every 5 seconds",
        15.0: "every 15 seconds"}),
    ("bell", "Bell", "when a proposal waits, a run ends or an engine is lost", ON_OFF),
    ("desktop", "Desktop", "the same events through notify-send", ON_OFF),
    ("notify_command", "Command", "press enter to set a command that runs on these events, without a shell", {}),
)  # fmt: skip


class SettingsScreen(KeyedScreen):
    """Shown over the screen one came from."""

    kind = "settings"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("settings"),
        Binding("tab", "app.focus_next", show=False),
        Binding("shift+tab", "app.focus_previous", show=False),
    ]

    def __init__(self) -> None:
        super().__init__(id="settings")

    def compose(self) -> ComposeResult:
        yield Static(id="title", markup=False)
        with Vertical(id="values-of-settings"):
            for key, name, doc, options in ROWS:
                yield Setting(key, name, doc, options, self._value(key))
        yield OptionList(id="bindings", markup=False)
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one("#values-of-settings").border_title = "Settings"
        self.query_one("#bindings").border_title = "Keys"
        self.query(Setting).first().focus()
        self._draw()

    def restyle(self) -> None:
        super().restyle()
        self._draw()

    def on_resize(self) -> None:
        self._draw()

    def _value(self, key: str) -> Any:
        value = getattr(self.app.settings, key)
        if key == "notify_command":
            return shlex.join(value) or "none"
        return self.app.look.ascii if key == "ascii" else value

    def _draw(self) -> None:
        """Bring everything to the settings of now."""
        appearance = look(self)
        colours = appearance.palette
        title = Text.assemble(("LLMZero ", f"bold {colours.text}"), ("settings", colours.muted))
        title.append(f"  saved in {plain(short(stored.path()), 200)}", style=colours.muted)
        self.query_one("#title", Static).update(appearance.done(title))
        for each in self.query(Setting):
            each.show(self._value(each.key))
        keys = self.query_one("#bindings", OptionList)
        before = keys.highlighted
        keys.clear_options()
        keys.add_options(list(_options(appearance, keys.size.width)))
        if before is not None and before < keys.option_count:
            keys.highlighted = before
        self.refresh_keys()

    # ---- changing ---------------------------------------------------------------------------------------------------

    def _change(self, changes: dict[str, Any]) -> str:
        return self.app.change(changes)

    @on(Setting.Changed)
    def _changed(self, event: Setting.Changed) -> None:
        error = self._change({event.key: event.value})
        if error:
            self.notify(plain(error, 300), severity="error", markup=False)

    @on(Setting.Wanted)
    def _wanted(self) -> None:
        """The command, as one would type it; it is split into words here and never given to a shell."""
        from llmzero_tui.screens.dialogs import AskText

        def take(line: str | None) -> None:
            if line is None:
                return
            try:
                error = self._change({"notify_command": shlex.split(line)})
            except ValueError as wrong:
                error = f"{line[:60]!r}: {wrong}"
            if error:
                self.notify(plain(error, 300), severity="error", markup=False)

        words = (
            "A program and its arguments; no shell is used. The event is described in its environment: LLMZERO_EVENT "
            "(waiting, finished, stopped, failed, lost), LLMZERO_RUN, LLMZERO_RUN_DIR, LLMZERO_NODE, LLMZERO_REASON, "
            "LLMZERO_TEXT. Empty: none."
        )
        now = shlex.join(self.app.settings.notify_command)
        self.app.push_screen(AskText("Run a command when something happens", words, button="Keep", text=now), take)

    @property
    def _chosen(self) -> Action | None:
        """The action under the cursor of the list of keys."""
        keys = self.query_one("#bindings", OptionList)
        if not keys.has_focus or keys.highlighted is None:
            return None
        number = keys.get_option_at_index(keys.highlighted).id
        return REGISTRY[int(number)] if number is not None else None

    @on(OptionList.OptionSelected, "#bindings")
    def action_rebind(self) -> None:
        """Another key for the action under the cursor."""
        action = self._chosen
        if action is not None:
            self.app.push_screen(PressKey(action))

    def action_unbind(self) -> None:
        """The action's own keys again."""
        action = self._chosen
        if action is not None:
            error = self._change(key_changes(action, None))
            if error:
                self.notify(plain(error, 300), severity="error", markup=False)

    def action_try_out(self) -> None:
        """A notification that says it is none."""
        from pathlib import Path

        news = News(Path(), "a test", "finished", reason="this is what a notification looks like when a run ends")
        self.app.tell_news((news,))

    def action_back(self) -> None:
        """Back to the screen before."""
        self.dismiss()


def key_changes(action: Action, keys: list[str] | None) -> dict[str, Any]:
    """What to change so that an action has these keys on all its screens; None: its own ones."""
    return {f"keys.{screen}.{action.id}": keys for screen in action.screens}


def _options(appearance: Appearance, width: int) -> Iterator[Option]:
    """The keys, a line for each action; a changed one says what it was."""
    colours = appearance.palette
    group = ""
    groups = list(dict.fromkeys(action.group for action in REGISTRY))
    for number, action in sorted(enumerate(REGISTRY), key=lambda pair: groups.index(pair[1].group)):
        if action.group != group:
            group = action.group
            yield Option(appearance.done(Text(group, style=f"bold {colours.live}")), disabled=True)
        now = appearance.keymap.of(action, action.screens[0])
        text = Text(no_wrap=True, overflow="ellipsis")
        changed = now != action.keys
        style = colours.star if changed else colours.wait
        text.append("  " + fit(" ".join(map(key_name, now)) or "–", 12), style=f"bold {style}")
        text.append(fit(action.label, 18), style=colours.text)
        text.append(fit(", ".join(action.screens), 15), style=colours.muted)
        note = f"was {' '.join(map(key_name, action.keys)) or 'none'} · " if changed else ""
        text.append(note, style=colours.star).append(action.help, style=colours.muted)
        text.truncate(max(20, width - 2), overflow="ellipsis")
        yield Option(appearance.done(text), id=str(number))


class PressKey(ModalScreen[None]):
    """Takes the next key that is pressed for an action; says why where it cannot be."""

    app = getters.app(HostApp)

    def __init__(self, action: Action) -> None:
        super().__init__()
        self._action = action

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(id="words", markup=False)
            yield Static(id="wrong", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        appearance = look(self)
        colours = appearance.palette
        self.query_one(".dialog").border_title = appearance.title(f"A key for {self._action.label}")
        words = Text(f"Press the new key for this action:\n{self._action.help}.", style=colours.text)
        self.query_one("#words", Static).update(appearance.done(words))
        answers = Text.assemble(("esc ", f"bold {colours.wait}"), ("Cancel   ", colours.muted))
        answers.append("⌫ ", style=f"bold {colours.wait}").append("Default keys", style=colours.muted)
        self.query_one("#answers", Static).update(appearance.done(answers))

    def on_key(self, event: events.Key) -> None:
        event.stop()
        event.prevent_default()
        if event.key == "escape":
            self.dismiss()
            return
        keys = None if event.key == "backspace" else [event.key]
        error = self.app.change(key_changes(self._action, keys))
        if not error:
            self.dismiss()
            return
        wrong = Text(plain(error.removeprefix("keys: "), 200), style=look(self).palette.bad)
        self.query_one("#wrong", Static).update(look(self).done(wrong))

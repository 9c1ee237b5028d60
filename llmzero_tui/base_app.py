"""The app without its screens: the user's settings, what they make of the look, and the clipboard.

`LLMZeroApp` is built on it. It reads no run and opens no screen but the settings; files are written in workers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.filter import LineFilter
from textual.message import Message
from textual.screen import Screen
from textual.scrollbar import ScrollBar, ScrollBarRender

from engine.errors import UserError
from llmzero_tui.format import plain
from llmzero_tui.repaint import Repaint
from llmzero_tui.screens.base import KeyedScreen
from llmzero_tui.screens.host import HostApp
from llmzero_tui.styles.themes import PREFIX, THEMES, ColourlessFilter, palette, theme_after
from llmzero_tui.widgets.appearance import Appearance

if TYPE_CHECKING:
    from llmzero_tui.user.preferences import TerminalSettings


class AsciiScrollBars(ScrollBarRender):
    """Scroll bars of colour alone, without block glyphs."""

    VERTICAL_BARS: ClassVar[list[str]] = [" "] * 8
    HORIZONTAL_BARS: ClassVar[list[str]] = [" "] * 8


class StyledApp(HostApp):
    """Looks and copies as the settings say."""

    @dataclass
    class Kept(Message):
        """A copy is in its file, or could not be written."""

        what: str
        copied: Any

    @dataclass
    class Saved(Message):
        """Settings are in their file, or could not be written."""

        error: str = ""

    def __init__(self, settings: TerminalSettings | None, *, ascii: bool) -> None:
        super().__init__()
        if settings is None:
            from llmzero_tui.user.preferences import TerminalSettings

            settings = TerminalSettings()
        self.settings = settings
        self.look = Appearance(palette(PREFIX + settings.theme), ascii or settings.ascii, settings.keymap)
        self._take_theme()
        self._plain_filters = [ColourlessFilter(lambda: self.look.palette)]
        self._repaint = Repaint()
        self._unsaved: dict[str, Any] = {}
        self._saving = False

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        """Write to the terminal only what it does not show already."""
        super()._display(screen, self._repaint.less(renderable))

    def _take_theme(self) -> None:
        """The user's theme before any style sheet is read: setting it later would have all of them read twice."""
        for theme in THEMES.values():
            self.register_theme(theme)
        self.set_reactive(StyledApp.theme, PREFIX + self.settings.theme)
        self.set_class(self.look.palette.dark, "-dark-mode", update=False)
        self.set_class(not self.look.palette.dark, "-light-mode", update=False)
        self.add_class(f"-theme-{self.theme}", update=False)
        self._refresh_truecolor_filter(self.ansi_theme)
        self.stylesheet.set_variables(self.get_css_variables())

    # ---- settings ---------------------------------------------------------------------------------------------------

    def apply_appearance(self) -> None:
        """Colours, glyphs and keys as the look says. Called once the app runs, and with other settings."""
        ascii = self.look.ascii
        self.set_class(ascii, "-ascii")
        ScrollBar.renderer = AsciiScrollBars if ascii else ScrollBarRender
        self.theme = PREFIX + self.settings.theme
        self.set_keymap(self.look.keymap.bindings())

    def watch_theme(self, name: str) -> None:
        self.look = replace(self.look, palette=palette(name))

    def get_line_filters(self) -> Sequence[LineFilter]:
        """With NO_COLOR no colour leaves; Textual's own way would leave shades of grey."""
        return self._plain_filters if self.no_color else super().get_line_filters()

    def use(self, settings: TerminalSettings) -> None:
        """Take other settings at once; `change` also writes them."""
        before, self.settings = self.settings, settings
        ascii = settings.ascii if settings.ascii != before.ascii else self.look.ascii
        self.look = Appearance(palette(PREFIX + settings.theme), ascii, settings.keymap)
        self.apply_appearance()
        if settings.ascii != before.ascii:
            self.refresh_css(animate=False)  # frames, on the screens below too
        for screen in self.screen_stack:
            if isinstance(screen, KeyedScreen):
                screen.restyle()
                screen.refresh_keys()

    def change(self, changes: dict[str, Any]) -> str:
        """Use other settings at once and write them to the user's file; see `settings.save` for what a change is.

        Returns:
            Why they cannot be, in one line, or "". A file that cannot be written is told by a notification later.
        """
        from llmzero_tui.user.settings import changed

        try:
            self.use(changed(self.settings, changes))
        except UserError as error:
            return str(error)
        self._unsaved.update(changes)
        if not self._saving:
            self._saving = True
            self._save(self._take_unsaved())
        return ""

    def _take_unsaved(self) -> dict[str, Any]:
        changes, self._unsaved = self._unsaved, {}
        return changes

    @work(thread=True, group="settings", exit_on_error=False)
    def _save(self, changes: dict[str, Any]) -> None:
        from llmzero_tui.user.settings import save

        try:
            save(changes)
        except UserError as error:
            self.post_message(self.Saved(str(error)))
        else:
            self.post_message(self.Saved())

    @on(Saved)
    def _saved(self, event: Saved) -> None:
        """One write at a time; what changed meanwhile goes into the next."""
        if event.error:
            words = f"not saved: {plain(event.error, 300)}"
            self.notify(words, severity="error", timeout=10, markup=False)
        self._saving = bool(self._unsaved)
        if self._saving:
            self._save(self._take_unsaved())

    def action_theme(self) -> None:
        """The next theme, kept for the next time."""
        self.change({"theme": theme_after(self.theme).removeprefix(PREFIX)})

    def action_settings(self) -> None:
        """The settings over whatever is in front."""
        from llmzero_tui.screens.settings import SettingsScreen

        if not any(isinstance(s, SettingsScreen) for s in self.screen_stack):
            self.push_screen(SettingsScreen())

    # ---- the clipboard ----------------------------------------------------------------------------------------------

    def copy(self, text: str, what: str = "it") -> None:
        """Give a text to the terminal's clipboard, and put it into a file; a notification says where.

        Args:
            text: foreign text may be in it; control characters are left out. what: what it is, for "copied …".
        """
        from llmzero_tui.user import clipboard

        text = clipboard.harmless(text)
        self._clipboard = text
        if self._driver is not None and clipboard.fits(text):
            self._driver.write(clipboard.sequence(text, tmux=clipboard.in_tmux()))
        self._keep(text, what)

    def copy_to_clipboard(self, text: str) -> None:
        """The same for what Textual itself copies: a selection."""
        self.copy(text, "the selection")

    @work(thread=True, group="copy", exit_on_error=False)
    def _keep(self, text: str, what: str) -> None:
        from llmzero_tui.user import clipboard

        self.post_message(self.Kept(what, clipboard.keep(text)))

    @on(Kept)
    def _kept(self, event: Kept) -> None:
        from llmzero_tui.user.clipboard import describe

        words, severity = describe(event.what, event.copied)
        self.notify(plain(words, 300), severity=severity, markup=False)

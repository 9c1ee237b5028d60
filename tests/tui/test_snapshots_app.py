"""Pictures of what belongs to no run: help, settings, the palette, what can be written to a file."""

from __future__ import annotations

from textual.command import CommandPalette

from llmzero_tui.screens.dialogs import Choose
from llmzero_tui.screens.help import HelpScreen
from llmzero_tui.screens.place import AskFile
from llmzero_tui.screens.settings import SettingsScreen
from tests.tui.pictures import USUAL, Size, Take, at_every_size, at_small_sizes


@at_every_size
def test_help(picture: Take, size: Size) -> None:
    assert picture(size, "question_mark", on=HelpScreen)


@at_every_size
def test_settings(picture: Take, size: Size) -> None:
    assert picture(size, "comma", on=SettingsScreen)


@at_small_sizes
def test_the_palette(picture: Take, size: Size) -> None:
    assert picture(size, "ctrl+p", on=CommandPalette)


@at_small_sizes
def test_what_can_be_written(picture: Take, size: Size) -> None:
    assert picture(size, "w", on=Choose)


def test_where_to_write_it(picture: Take) -> None:
    assert picture(USUAL, "w", "enter", on=AskFile)

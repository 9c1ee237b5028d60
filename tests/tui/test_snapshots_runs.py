"""Pictures of the list of runs and of what is asked over it."""

from __future__ import annotations

from llmzero_tui.screens.dialogs import AskText
from llmzero_tui.screens.runs import RunsScreen
from tests.tui.pictures import USUAL, Size, Take, at_every_size, at_small_sizes


@at_every_size
def test_the_list_of_runs(picture: Take, size: Size) -> None:
    assert picture(size, on=RunsScreen, run=None)


def test_marked_runs_and_a_filter(picture: Take) -> None:
    assert picture(USUAL, "m", "down", "m", "slash", *"knights-0", "enter", on=RunsScreen, run=None)


@at_small_sizes
def test_a_run_is_about_to_be_deleted(picture: Take, size: Size) -> None:
    assert picture(size, "end", "D", on=AskText, run=None)


def test_a_list_without_runs(picture: Take) -> None:
    assert picture(USUAL, "slash", *"zz", on=RunsScreen, run=None)

"""Pictures of the screen of a run: its tabs, its panes one by one, its plot alone, the tour over it."""

from __future__ import annotations

import pytest

from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.tour import TourScreen
from tests.tui.pictures import LOW, USUAL, Size, Take, at_every_size


@at_every_size
def test_a_run(picture: Take, size: Size) -> None:
    assert picture(size, on=RunScreen)


@at_every_size
def test_a_finished_run(picture: Take, size: Size) -> None:
    assert picture(size, on=RunScreen, run="knights-00")


@pytest.mark.parametrize(
    ("key", "node"), [("1", 6), ("2", 6), ("3", 5), ("4", 12), ("5", 5)],
    ids=["rationale", "changes", "samples", "log", "agents"],
)  # fmt: skip
def test_a_tab_of_a_run(picture: Take, key: str, node: int) -> None:
    assert picture(USUAL, key, on=RunScreen, node=node)


@pytest.mark.parametrize(
    "key", ["tab", "1", "2", "3", "4", "5", "i"],
    ids=["plot", "rationale", "changes", "samples", "log", "agents", "inbox"],
)  # fmt: skip
def test_a_run_pane_by_pane(picture: Take, key: str) -> None:
    assert picture(LOW, key, on=RunScreen, node=5 if key == "5" else None)


@at_every_size
def test_the_plot_alone_with_several_metrics(picture: Take, size: Size) -> None:
    keys = ("M", "right_square_bracket", "M", "right_square_bracket", "M", "left_square_bracket", "left_square_bracket")
    assert picture(size, *keys, "z", on=RunScreen, node=10)


def test_a_plot_on_a_logarithmic_scale(picture: Take) -> None:
    assert picture(USUAL, "right_square_bracket", "y", on=RunScreen)


def test_a_part_of_a_plot_along_the_time(picture: Take) -> None:
    assert picture(USUAL, "u", "plus", "p", on=RunScreen, node=6)


def test_a_segment_that_failed(picture: Take) -> None:
    assert picture(USUAL, on=RunScreen, node=12)


@at_every_size
def test_the_tour(picture: Take, size: Size) -> None:
    assert picture(size, "enter", on=TourScreen, tour=True)

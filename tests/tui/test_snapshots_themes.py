"""Pictures of the other themes: the main screens in the light one, a run in all of them and with ASCII alone."""

from __future__ import annotations

import pytest

from llmzero_tui.screens.compare import CompareScreen
from llmzero_tui.screens.decision import DecisionScreen
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.runs import RunsScreen
from llmzero_tui.screens.sql import SqlScreen
from llmzero_tui.screens.trajectory import TrajectoryScreen
from llmzero_tui.styles.themes import PALETTES
from tests.tui.pictures import USUAL, Size, Take, at_every_size


@pytest.mark.parametrize("theme", [name for name in PALETTES if name != "dark"])
def test_a_run_in_every_theme(picture: Take, theme: str) -> None:
    assert picture(USUAL, on=RunScreen, theme=theme)


def test_the_list_of_runs_in_the_light(picture: Take) -> None:
    assert picture(USUAL, on=RunsScreen, run=None, theme="light")


def test_a_decision_in_the_light(picture: Take) -> None:
    assert picture(USUAL, "i", "enter", on=DecisionScreen, theme="light")


def test_sql_in_the_light(picture: Take) -> None:
    assert picture(USUAL, "colon", "f5", "escape", on=SqlScreen, theme="light")


def test_a_comparison_in_the_light(picture: Take) -> None:
    assert picture(USUAL, "m", "k", "m", "c", on=CompareScreen, node=14, theme="light")


def test_a_trajectory_in_the_light(picture: Take) -> None:
    assert picture(USUAL, "T", on=TrajectoryScreen, theme="light")


@at_every_size
def test_a_run_in_ascii(picture: Take, size: Size) -> None:
    assert picture(size, on=RunScreen, ascii=True)


def test_a_decision_in_ascii(picture: Take) -> None:
    assert picture(USUAL, "i", "enter", on=DecisionScreen, ascii=True)

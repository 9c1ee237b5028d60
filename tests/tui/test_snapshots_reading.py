"""Pictures of what one reads at length: samples, calls of advisors, a trajectory, comparisons."""

from __future__ import annotations

from llmzero_tui.screens.agents import AgentsScreen
from llmzero_tui.screens.compare import CompareScreen
from llmzero_tui.screens.samples import SamplesScreen
from llmzero_tui.screens.trajectory import TrajectoryScreen
from tests.tui.pictures import USUAL, Size, Take, at_every_size


@at_every_size
def test_samples(picture: Take, size: Size) -> None:
    assert picture(size, "S", on=SamplesScreen, node=5)


@at_every_size
def test_two_answers_to_one_prompt(picture: Take, size: Size) -> None:
    assert picture(size, "S", "v", "v", "c", "down", on=SamplesScreen, node=10)


@at_every_size
def test_calls_of_advisors(picture: Take, size: Size) -> None:
    assert picture(size, "A", on=AgentsScreen)


def test_a_call_in_full(picture: Take) -> None:
    assert picture(USUAL, "A", "z", "f", on=AgentsScreen)


@at_every_size
def test_a_trajectory(picture: Take, size: Size) -> None:
    assert picture(size, "T", "t", on=TrajectoryScreen, node=11)


@at_every_size
def test_nodes_are_compared(picture: Take, size: Size) -> None:
    assert picture(size, "m", "k", "m", "k", "m", "c", on=CompareScreen, node=14)


@at_every_size
def test_runs_are_compared(picture: Take, size: Size) -> None:
    assert picture(size, "m", "down", "m", "c", on=CompareScreen, run=None)

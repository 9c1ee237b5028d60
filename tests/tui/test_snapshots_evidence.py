"""Pictures of a comparison as it goes on."""

from __future__ import annotations

from pathlib import Path

from llmzero_tui.app import FirstScreen, LLMZeroApp
from llmzero_tui.feeds.evidence import EvidenceFeed
from llmzero_tui.screens.evidence import EvidenceScreen
from tests.tui import sample_plan
from tests.tui.pictures import USUAL, Size, Take, at_every_size


def half_measured(where: Path, runs: Path) -> FirstScreen:
    """The sample comparison, one cell of which goes on and one of which failed."""
    comparison = sample_plan.half_measured(where)
    sample_plan.give_run(runs, comparison.cells[-1], "knights-01")
    sample_plan.give_run(runs, comparison.cells[-2], "sums-02")

    def first(app: LLMZeroApp) -> EvidenceScreen:
        return EvidenceScreen(EvidenceFeed(comparison, runs, app.clock, app.opener))

    return first


@at_every_size
def test_a_comparison_goes_on(picture: Take, tmp_path: Path, runs: Path, size: Size) -> None:
    assert picture(size, on=EvidenceScreen, run=None, first=half_measured(tmp_path, runs))


@at_every_size
def test_the_runs_of_a_comparison(picture: Take, tmp_path: Path, runs: Path, size: Size) -> None:
    first = half_measured(tmp_path, runs)
    assert picture(size, "p", "down", "s", "u", on=EvidenceScreen, run=None, first=first)


def test_nothing_is_measured_yet(picture: Take, tmp_path: Path, runs: Path) -> None:
    comparison = sample_plan.planned(tmp_path)

    def first(app: LLMZeroApp) -> EvidenceScreen:
        return EvidenceScreen(EvidenceFeed(comparison, runs, app.clock, app.opener))

    assert picture(USUAL, on=EvidenceScreen, run=None, first=first)


def test_the_keys_of_a_comparison(picture: Take, tmp_path: Path, runs: Path) -> None:
    assert picture(USUAL, "question_mark", run=None, first=half_measured(tmp_path, runs))

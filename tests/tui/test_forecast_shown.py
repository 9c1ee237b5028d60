"""The forecast of a branch on the run screen: a band on the plot, words in the tree and about the node."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.analysis.forecast import BranchForecast, ForecastPoint
from engine.analysis.kept_forecasts import stored
from llmzero_tui.feeds.run import RunFeed
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.styles.themes import palette
from llmzero_tui.values.ahead import best_predicted, explained, forecast_of, predicted, reach
from llmzero_tui.values.curves import Axis, AxisWindow, CurveTrace, ScoredPoint, zoom
from llmzero_tui.values.snapshot import RunView
from llmzero_tui.widgets.appearance import Appearance
from llmzero_tui.widgets.plot import DrawnCurve, PlotContent
from llmzero_tui.widgets.plot.drawing import draw
from llmzero_tui.widgets.tree_lines import heading
from tests.tui.live_engine import Engine
from tests.tui.pictures import LOW, USUAL, Size, Take
from tests.tui.sample_run import NOW

MADE = BranchForecast(1, 13, True, (
    ForecastPoint(175, 0.64, 0.57, 0.71), ForecastPoint(600, 0.75, 0.66, 0.84), ForecastPoint(1045, 0.82, 0.71, 0.91),
))  # fmt: skip
BAND = "⣿"


@pytest.fixture
def forecast(engine: Engine) -> Engine:
    """The engine of the sample run with a forecast of the branch that trains."""
    engine.writer.update_run(forecasts=stored([MADE]))
    engine.writer.flush()
    return engine


@pytest.fixture
def feed(run: Path) -> Iterator[RunFeed]:
    feed = RunFeed(run, lambda: NOW)
    yield feed
    feed.close()


@pytest.mark.parametrize(("size", "keys"), [(LOW, ("tab",)), (LOW, ()), (USUAL, ())], ids=["plot", "tree", "all"])
def test_a_run_with_a_forecast(picture: Take, forecast: Engine, size: Size, keys: tuple[str, ...]) -> None:
    assert picture(size, *keys, on=RunScreen)


def test_the_whole_budget_is_seen_by_zooming_out(picture: Take, forecast: Engine) -> None:
    assert picture(USUAL, "minus", "minus", on=RunScreen)


def test_a_snapshot_has_what_a_live_engine_forecasts(run: Path, forecast: Engine, feed: RunFeed) -> None:
    snapshot = feed.read(RunView())
    assert snapshot.forecasts == (MADE,)
    told = {node: forecast_of(snapshot.forecasts, snapshot.nodes, node) for node in (1, 5, 10, 13, 14, 2, 0, None)}
    assert [node for node, made in told.items() if made == MADE] == [1, 5, 10, 13]


def test_a_run_without_an_engine_has_no_forecast(run: Path, forecast: Engine, feed: RunFeed) -> None:
    forecast.writer.close()
    (run / "engine.sock").unlink()
    assert feed.read(RunView()).forecasts == ()


def test_a_forecast_in_words() -> None:
    assert predicted(MADE) == "predicted 0.71–0.91 at the end"
    assert best_predicted([MADE]) == "★ predicted 0.71–0.91 at the end"
    assert best_predicted([BranchForecast(1, 13, False, MADE.points)]) == ""
    assert explained(MADE).startswith("predicted 0.71–0.91 at the end of the budget, step 1,045, if #13")
    assert heading("", 40) == "Search tree"
    assert heading("★ told", 20) == "Search tree · ★ told"
    assert heading("★ told", 19) == "★ told"


def test_what_was_measured_keeps_half_of_the_plot_and_zooming_out_shows_the_rest() -> None:
    assert reach(200, MADE.points) == 400
    assert reach(900, MADE.points) == 1045
    assert reach(200, ()) == 200
    assert zoom(None, 400, 2, Axis.STEPS, 1045) == AxisWindow(0, 800)
    assert zoom(AxisWindow(0, 800), 400, 2, Axis.STEPS, 1045) == AxisWindow(0, 1045)
    assert zoom(AxisWindow(0, 200), 400, 2, Axis.STEPS, 400) is None


@pytest.mark.parametrize("ascii", [False, True])
def test_the_band_lies_between_the_ends_of_the_interval(ascii: bool) -> None:
    checks = (ScoredPoint(0, 0.2, 0.2, 0.2, 9, 1), ScoredPoint(50, 0.2, 0.2, 0.2, 9, 1))
    flat = (ForecastPoint(50, 0.6, 0.4, 0.8), ForecastPoint(100, 0.6, 0.4, 0.8))
    shown = PlotContent((DrawnCurve(CurveTrace("reward", 1, 40, checks=checks), ahead=flat),), until=100)
    rows = [strip.text for strip in draw(shown, 44, 16, Appearance(palette("llmzero-dark"), ascii))][:-2]
    dot = "." if ascii else BAND
    assert sum(row.count(dot) > 8 for row in rows) >= 7  # two thirds of 14 rows, less the line of the mean
    assert not any(dot in row[6:22] for row in rows)

"""What the run screen says and draws of a forecast: whose branch it is about, its words, how far the plot goes for it.

The engine makes forecasts (`engine.analysis.forecast`); here they are only told. Pure values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from llmzero_tui.values.nodes import Nodes

if TYPE_CHECKING:
    from engine.analysis.forecast import BranchForecast, ForecastPoint

MOST_AHEAD = 2.0
"""The plot goes at most so far as the steps that are trained, or there is no room for what was measured."""


def forecast_of(forecasts: Iterable[BranchForecast], nodes: Nodes, node_id: int | None) -> BranchForecast | None:
    """The forecast of the branch that a node is on; None where there is none."""
    return next((each for each in forecasts if node_id in _branch(each, nodes)), None)


def _branch(forecast: BranchForecast, nodes: Nodes) -> set[int]:
    """The nodes that a forecast is about."""
    branch, at = {forecast.node}, nodes.get(forecast.node)
    while at is not None and at.id > forecast.first and at.parent is not None and at.parent not in branch:
        branch.add(at.parent)
        at = nodes.get(at.parent)
    return branch


def reach(trained: float, ahead: Sequence[ForecastPoint]) -> float:
    """Where an axis of steps ends that shows what is `trained` and, as far as there is room, what is forecast."""
    return max(trained, min(ahead[-1].steps, MOST_AHEAD * trained)) if ahead else trained


def predicted(forecast: BranchForecast) -> str:
    """ "predicted 0.81–0.86 at the end"."""
    return f"predicted {forecast.end.low:.2f}–{forecast.end.high:.2f} at the end"


def best_predicted(forecasts: Iterable[BranchForecast]) -> str:
    """The same of the branch of the best policy, starred; "" where nothing is forecast of it."""
    return next((f"★ {predicted(each)}" for each in forecasts if each.best), "")


def explained(forecast: BranchForecast) -> str:
    """ "predicted 0.81–0.86 at the end of the budget, step 1,500, …", with what that is worth."""
    return (
        f"{predicted(forecast)} of the budget, step {forecast.end.steps:,}, if #{forecast.node} is trained on "
        "unchanged (90% interval; it decides nothing)"
    )

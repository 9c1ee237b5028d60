"""Keeps what is forecast of the branches that matter in the run's row: of the best policy, and of what trains.

Asked at every round of the loop. A forecast is made anew, in a thread, when there are other scores or other limits; it
decides nothing.
"""

from __future__ import annotations

import asyncio

from engine.analysis.forecast import BranchForecast, forecast_branches
from engine.analysis.kept_forecasts import stored
from engine.controller.budget import BudgetTracker
from engine.controller.run_state import RunState
from engine.domain.tree import NodeState


class ForecastRecorder:
    """Owned by the controller's event loop."""

    def __init__(self, run: RunState, budget: BudgetTracker) -> None:
        self._run = run
        self._budget = budget
        self._about: object = None
        self._making: asyncio.Task[list[BranchForecast]] | None = None
        self._run.record.forecasts(None)

    def follow(self) -> None:
        """Write what was made, and begin anew where scores or limits are others than it was made of."""
        if self._making is not None:
            if not self._making.done():
                return
            self._run.record.forecasts(stored(self._making.result()))
            self._making = None
        tree = self._run.tree
        about = self._budget.limits, {node.id: len(node.checkpoints) for node in tree if node.checkpoints}
        left = self._budget.unspent
        if about == self._about or left is None or not tree.root.checkpoints:
            return
        self._about = about
        best, _ = tree.best()
        training = [node.id for node in tree if node.state is NodeState.RUNNING]
        self._making = asyncio.create_task(asyncio.to_thread(forecast_branches, tree.nodes, best.id, training, left))

    def over(self) -> None:
        """The budget is spent or the engine ends: nothing is forecast any more."""
        if self._making is not None:
            self._making.cancel()
            self._making = None
        self._run.record.forecasts(None)

"""The engine keeps what it forecasts with the run while the budget is being spent."""

from __future__ import annotations

from pathlib import Path

import pytest

import engine.analysis.learning_curve  # noqa: F401 - not while the simulated run waits for nobody
from engine.run.config import BudgetSection
from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.engine.simulated import SimulatedExecutor
from tests.engine.steered import Hand, config, steer

ENDS = "SELECT best, node_id, steps, mean FROM forecasts WHERE at_end AND best"


@pytest.mark.long
def test_forecasts_follow_scores_and_limits_and_end_with_the_budget(tmp_path: Path) -> None:
    async def watches(hand: Hand) -> None:
        [first] = await hand.until(ENDS)
        [later] = await hand.until(f"{ENDS} AND mean <> ?", first["mean"])
        assert later["steps"] <= 48
        assert (await hand.ask("budget", steps=72))[0] == "done"
        await hand.until(f"{ENDS} AND steps > ?", later["steps"])

    limited = config().model_copy(update={"budget": BudgetSection(steps=48)})
    assert steer(limited, tmp_path, watches, SimulatedExecutor(0.15)) == "finished"
    assert live.rows(RunDirectory(tmp_path), "FROM forecasts") == []

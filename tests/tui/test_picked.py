"""The policy that was picked on fresh prompts stands beside the scores that decided, not as the best of those on
screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
from textual.screen import Screen

from llmzero_tui.format import narrow, share
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.runs import RunsScreen
from llmzero_tui.values.snapshot import RunRow
from llmzero_tui.widgets.details import Details
from tests.tui.conftest import app_on, until
from tests.tui.test_compare import text_of

BEST = "SELECT node_id, arg_max(step, (value, step)) FROM checkpoints GROUP BY ALL ORDER BY max(value) DESC LIMIT 2"
FRESH = """
INSERT INTO evaluations BY NAME SELECT * REPLACE ('reranking' AS kind, 'validation' AS split, 1 AS seed, 400 AS n,
    ? AS greedy, ? AS sampled, seq + 1000000 + ? AS seq, ? AS node_id, ? AS step,
    checkpoint_name(?, ?) AS policy, checkpoint_key(?, ?) AS members)
FROM evaluations WHERE kind = 'final'
"""


def reranked(run: Path) -> tuple[str, str]:
    """Make the second by validation the one that both sets together put first; its name, and that of the first."""
    with duckdb.connect(str(run / "run.duckdb")) as con:
        (leader, at), (winner, step) = con.execute(BEST).fetchall()
        con.execute(FRESH, [120, 110, leader, *(leader, at) * 3])
        con.execute(FRESH, [320, 310, winner, *(winner, step) * 3])
        values = "best_node = $1, best_step = $2, policy = checkpoint_name($1, $2), members = checkpoint_key($1, $2)"
        con.execute(f"UPDATE runs SET {values}", [winner, step])  # noqa: S608
    return f"#{winner} step {step}", f"#{leader} step {at}"


def details(screen: RunScreen) -> str:
    """The panel about the selected node, unwrapped."""
    widget = screen.query_one(Details)
    lines = ("".join(segment.text for segment in widget.render_line(y)) for y in range(widget.size.height))
    return " ".join(" ".join(lines).split())


def listed(screen: Screen[Any]) -> RunRow:
    """The run as the list has it."""
    assert isinstance(screen, RunsScreen)
    assert screen.snapshot is not None
    return next(run for run in screen.snapshot.runs if run.name == "knights-00")


async def test_header_details_and_list_tell_the_scores_that_decided(runs: Path) -> None:
    run = runs / "knights-00"
    winner, leader = reranked(run)
    app = app_on(run)
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        await pilot.press("b")
        assert isinstance(app.screen, RunScreen)
        screen = app.screen
        await until(pilot, lambda: f"★ {winner} was selected with 0." in details(screen), "the sentence")
        assert f"{leader}, the best on the steering prompts, has 0." in details(screen)
        assert "selected 0." in text_of(app).splitlines()[0]
    app = app_on(None, runs)
    async with app.run_test(size=(160, 50)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.snapshot, "the list")
        await until(pilot, lambda: listed(app.screen).reranked, "the run with its score")
        decided = listed(app.screen).headline
        assert decided is not None
        assert (decided.policy, decided.n) == (winner, 656)
        await until(pilot, lambda: f"{narrow(share(decided.value))} [" in text_of(app), "that score in the list")

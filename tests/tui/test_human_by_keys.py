"""The human's hand on a real controller: each act pressed as keys, and done because the engine says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from engine.store.reader import open_run
from llmzero_tui.app import LLMZeroApp
from llmzero_tui.screens.branch_from import BranchFrom
from llmzero_tui.screens.budget import BudgetScreen
from llmzero_tui.screens.decision import DecisionScreen
from llmzero_tui.screens.dialogs import AskText
from llmzero_tui.screens.edit import EditScreen
from llmzero_tui.screens.prune import PruneScreen
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.widgets.tree import SearchTree
from tests.tui.conftest import until
from tests.tui.simulated_engine import searching

ANSWERS = "SELECT r.state, r.message FROM commands c JOIN command_results r USING (command_id) WHERE c.kind = $1"


def rows(run: Path, sql: str, *params: object) -> list[dict[str, Any]]:
    reader = open_run(run)
    try:
        return reader.rows(sql, params)
    finally:
        reader.close()


def done(run: Path, kind: str, count: int = 1) -> bool:
    """Whether the engine says that so many commands of a kind are done; what it refuses is a failure of the test."""
    found = rows(run, ANSWERS, kind)
    refused = [r["message"] for r in found if r["state"] == "refused"]
    assert not refused, refused
    return len([r for r in found if r["state"] == "done"]) >= count


async def pending(pilot: Pilot[int], screen: RunScreen) -> None:
    """Until a proposal waits on screen, and none that is answered already."""

    def there() -> bool:
        if screen.snapshot is None:
            return False
        shown = {p.node for p in screen.snapshot.inbox if p.waits}
        still = rows(screen.snapshot.run.path, "SELECT node_id FROM proposals WHERE state = 'pending'")
        return bool(shown) and shown <= {row["node_id"] for row in still}

    await until(pilot, there, "a proposal waits")


async def to_decision(pilot: Pilot[int], screen: RunScreen) -> DecisionScreen:
    """Enter in the inbox."""
    await pending(pilot, screen)
    await pilot.press("i", "enter")
    await until(pilot, lambda: isinstance(screen.app.screen, DecisionScreen), "the decision screen")
    found = screen.app.screen
    assert isinstance(found, DecisionScreen)
    await until(pilot, lambda: found.context().target is not None, "a proposal")
    return found


@pytest.fixture
def app(tmp_path: Path) -> Any:
    with searching(tmp_path) as run:
        yield LLMZeroApp(run.parent, run)


async def begun(pilot: Pilot[int], app: LLMZeroApp) -> RunScreen:
    await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
    assert isinstance(app.screen, RunScreen)
    return app.screen


@pytest.mark.long
async def test_a_whole_hand_is_carried_out_by_the_engine(app: LLMZeroApp) -> None:
    assert app.first_run is not None
    run = app.first_run
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await begun(pilot, app)
        # approve
        decision = await to_decision(pilot, screen)
        first = decision.node
        await pilot.press("a")
        await until(pilot, lambda: done(run, "approve"), "approve done")
        await until(pilot, lambda: "approved" in decision._news, "what became of it is said")
        assert decision.context().target is None
        await pilot.press("escape")
        # edit, with a line of one's own
        decision = await to_decision(pilot, screen)
        edited = decision.node
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, EditScreen) and app.screen.is_mounted, "the form")
        app.screen.query_one("#value-temperature", Input).value = "0.8"
        app.screen.query_one("#rationale", Input).value = "cooler, to see"
        await pilot.press("enter")
        await until(pilot, lambda: done(run, "edit"), "edit done")
        node = rows(run, "SELECT * FROM nodes WHERE node_id = $1", edited)[0]
        assert json.loads(node["configuration"])["temperature"] == 0.8
        assert node["rationale"] == "cooler, to see"
        await pilot.press("escape")
        # reject, with a reason
        decision = await to_decision(pilot, screen)
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, AskText), "the question")
        await pilot.press(*"too bold", "enter")
        await until(pilot, lambda: done(run, "reject"), "reject done")
        await until(pilot, lambda: "too bold" in decision._news, "the reason is said")
        # a transition of one's own
        await until(pilot, lambda: rows(run, "SELECT 1 FROM checkpoints WHERE kept AND node_id > 0"), "a checkpoint")
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, BranchFrom), "from where")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, EditScreen) and app.screen.is_mounted, "the form")
        app.screen.query_one("#value-temperature", Input).value = "1.1"
        await pilot.press("enter")
        await until(pilot, lambda: done(run, "expand"), "expand done")
        await pilot.press("escape")
        # a note
        assert first is not None
        screen.query_one(SearchTree).focus()  # the inbox selects what comes into it while it has the focus
        screen.look_at(first)
        await until(pilot, lambda: screen.selected == first and screen.context().node is not None, "the first node")
        await pilot.press("n")
        await until(pilot, lambda: isinstance(app.screen, AskText), "the note")
        await pilot.press(*"look here", "enter")
        await until(pilot, lambda: done(run, "annotate"), "annotate done")
        await until(pilot, lambda: screen.snapshot and screen.snapshot.nodes[first].note == "look here", "the note")
        # the budget
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, BudgetScreen), "the limits")
        app.screen.query_one("#limit-nodes", Input).value = "30"
        await pilot.press("enter")
        await until(pilot, lambda: done(run, "budget"), "budget done")
        await until(pilot, lambda: screen.snapshot and screen.snapshot.run.budget.get("nodes") == 30, "the new limit")
        # prune
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, PruneScreen), "what is cut")
        await pilot.press(*"a dead end", "enter")
        await until(pilot, lambda: done(run, "prune"), "prune done")
        await until(pilot, lambda: screen.snapshot and screen.snapshot.nodes[first].pruned, "pruned")
        # the tree says which nodes a human made
        own = rows(run, "SELECT max(node_id) AS n FROM nodes WHERE advisor = 'human'")[0]["n"]
        await until(pilot, lambda: screen.snapshot and screen.snapshot.nodes[own].human, "a human's node")
        tree = screen.query_one(SearchTree)
        text = "\n".join("".join(s.text for s in tree.render_line(y)) for y in range(tree.size.height))
        assert "✎" in text
        assert "¶" in text
        # every act has its author and time
        asked = rows(run, "SELECT kind, author, ts FROM commands ORDER BY command_id")
        assert [r["kind"] for r in asked] == ["approve", "edit", "reject", "expand", "annotate", "budget", "prune"]
        assert all(r["author"] and r["ts"] for r in asked)

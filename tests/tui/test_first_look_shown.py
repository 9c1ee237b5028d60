"""In the tree a score that is of first looks alone stands with its n."""

from __future__ import annotations

from pathlib import Path

from llmzero_tui.screens.run import RunScreen
from llmzero_tui.widgets.tree import SearchTree
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine


async def test_a_node_of_first_looks_alone_has_its_n_in_the_tree(run: Path, engine: Engine) -> None:
    engine.writer.update("checkpoints", {"node_id": 7}, n=64, greedy=30, sampled=30, value=30 / 64)
    engine.writer.flush()
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        tree = app.screen.query_one(SearchTree)
        await until(pilot, lambda: tree.size.height > 16, "the tree")
        lines = {line.node: tree.render_line(place).text for place, line in enumerate(tree.lines)}
    assert ".469 n 64" in lines[7]
    assert not any(" n " in text for node, text in lines.items() if node != 7)

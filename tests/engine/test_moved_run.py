"""A run whose directory is moved while it trains ends with that as its reason, and goes on from its new place."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.run.rundir import RunDirectory
from tests.engine import live


@pytest.mark.long
def test_a_run_that_is_moved_while_it_trains_says_so_and_is_resumed_there(tmp_path: Path) -> None:
    directory = live.create(tmp_path, nodes=2, segment_steps=4)
    live.start(directory)
    live.wait_for_rows(directory, "SELECT 1 FROM metrics")
    moved = RunDirectory(directory.path.rename(tmp_path / "elsewhere"))
    try:
        assert live.wait_for_end(moved) == "stopped"
        reason = live.rows(moved, "SELECT reason FROM runs")[0]["reason"]
        assert (
            reason
            == "its directory was moved or deleted while it trained; `llmzero resume` continues it at its new place"
        )
        assert "because of a bug" not in moved.log.read_text(encoding="utf-8")
        live.start(moved)
        assert live.wait_for_end(moved) == "finished"
    finally:
        live.kill(moved)

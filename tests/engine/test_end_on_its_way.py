"""The end of a segment that its worker has told and the engine has not heard: the search waits for it."""

from __future__ import annotations

import asyncio
from pathlib import Path

from engine.advisors.rules import RulesAdvisor
from engine.run.config import parse
from engine.training import events
from tests.engine import live
from tests.engine.simulated import SimulatedExecutor, search

RUN_FILE = """
name = "late"
[task]
name = "knights"
[budget]
steps = 24
[search]
segment_steps = 6
strategy = "random"
settings = { segments = 2 }
[evaluation]
validation_prompts = 64
"""


class Late(SimulatedExecutor):
    """Its worker is free before the engine hears that the segment is over, as when the engine is short of CPU time."""

    async def next_event(self) -> events.Event:
        event = await super().next_event()
        if isinstance(event, events.SegmentEnded):
            await asyncio.sleep(0.1)  # the loop, woken by the last checkpoint, looks for work meanwhile
        return event


def test_the_search_is_not_asked_for_a_worker_whose_end_was_not_heard(tmp_path: Path) -> None:
    """Random configurations train two segments each, one after the other; beside one that trains the next begins."""
    state, directory = search(parse(RUN_FILE), tmp_path / "late", Late(0.05), RulesAdvisor())
    assert state == "finished"
    begun = live.rows(
        directory, "SELECT intent FROM events JOIN nodes USING (node_id) WHERE kind = 'started' ORDER BY seq"
    )
    assert [row["intent"] for row in begun] == ["root", "keep", "root", "keep"]

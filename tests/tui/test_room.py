"""Words where there is room: names whole, ends of long names, marks explained, no blank lines, what failed first."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from llmzero_tui.feeds.run import RunFeed
from llmzero_tui.format import MARKS, ending, mark
from llmzero_tui.styles.themes import palette
from llmzero_tui.values.snapshot import CommandRow, EventRow, RunSnapshot, RunView
from llmzero_tui.values.standing import failure_of, without_training
from llmzero_tui.widgets.appearance import Appearance
from llmzero_tui.widgets.header import _first as header_line
from llmzero_tui.widgets.legend import RUNS, SIGNS, STALE, STATES, marks_table
from llmzero_tui.widgets.node_texts import log
from llmzero_tui.widgets.panes import tree_cells
from llmzero_tui.widgets.tree_lines import count_words
from tests.tui.sample_run import NOW


@pytest.fixture
def snapshot(run: Path) -> RunSnapshot:
    feed = RunFeed(run, lambda: NOW)
    try:
        return feed.read(RunView())
    finally:
        feed.close()


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_long_name_is_cut_at_its_head(text: str, width: int) -> None:
    shown = ending(text, width)
    assert cell_len(shown) <= width
    assert shown == text or text.endswith(shown.removeprefix("…"))


def test_the_end_of_a_task_tells_it_from_others() -> None:
    assert ending("rewards/very/deep/reward.py:score", 18) == "…p/reward.py:score"
    assert ending("knights", 12) == "knights"


def test_only_what_waits_for_the_human_has_a_question_mark() -> None:
    assert [name for name, found in MARKS.items() if found.glyph == "?" or found.ascii == "?"] == ["pending"]
    assert mark("proposed").glyph != mark("pending").glyph


def test_every_mark_is_explained() -> None:
    assert MARKS.keys() - STATES.keys() - RUNS.keys() - STALE.keys() == {"lost"}


@pytest.mark.parametrize("screen", SIGNS)
def test_the_help_of_a_screen_has_its_marks(screen: str) -> None:
    table = marks_table(screen, Appearance(palette("llmzero-dark")))
    assert table is not None
    assert table.row_count > len(SIGNS[screen])


def test_the_tree_gets_a_third_of_what_a_wide_terminal_has_more() -> None:
    assert [tree_cells(width) for width in (100, 120, 160, 200, 400)] == [46, 46, 59, 72, 92]


def test_a_run_that_failed_says_why_with_its_latest_errors(snapshot: RunSnapshot) -> None:
    assert failure_of(replace(snapshot, run=replace(snapshot.run, state="training"))) is None
    errors = tuple(EventRow(i, "error", "base", None, f"trouble {i}", NOW) for i in range(5))
    failed = replace(snapshot, events=errors, run=replace(snapshot.run, state="failed", reason="trouble 4"))
    found = failure_of(failed)
    assert found is not None
    state, reason, causes = found
    assert (state, reason) == ("failed", "trouble 4")
    assert [event.message for event in causes] == ["trouble 3", "trouble 2", "trouble 1"]


def test_the_tree_counts_as_the_header_does(snapshot: RunSnapshot) -> None:
    some = next(node for node in snapshot.nodes.values() if node.state == "finished" and node.id)
    more = snapshot.nodes.changed(
        [replace(some, id=900, state="rejected"), replace(some, id=901, state="proposed")], ()
    )
    words = count_words(more).split(" · ")
    assert words[0] == f"{snapshot.run.nodes} nodes"
    assert words[-1] == "1 rejected"
    assert int(words[1].removesuffix(" proposed")) >= 1


def test_what_a_human_did_stands_in_the_log_once_and_every_entry_says_what_it_is(snapshot: RunSnapshot) -> None:
    asked = CommandRow(1, "approve", 6, 3, "ada", NOW, "done", "#6 approved", NOW)
    events = (
        EventRow(1, "info", "command", 6, "approve: #6 approved", NOW),
        EventRow(2, "info", "checkpoint deleted", 2, "#2 step 10", NOW),
        EventRow(3, "info", "command", 5, "approve: #5 approved", NOW),
    )
    console = Console(width=100, file=StringIO())
    console.print(log(events, (asked,), 100, Appearance(palette("llmzero-dark"))))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert text.count("#6 approved") == 1
    assert "checkpoint deleted: #2 step 10" in text
    assert "command: approve: #5 approved" in text, "of older commands only the event is read"


def test_a_panel_without_metrics_says_what_is_awaited(snapshot: RunSnapshot) -> None:
    said = {node.state: without_training(snapshot, node) for node in snapshot.nodes.values()}
    assert "base model" in without_training(snapshot, snapshot.nodes[0])
    running = next(node for node in snapshot.nodes.values() if node.state == "interrupted")
    assert said["interrupted"] == "its engine ended before the first step: resume continues it"
    trains = without_training(snapshot, replace(running, state="running"))
    assert trains.startswith("before the first step")
    assert said["proposed"] == "not started: waits for your answer"
    assert without_training(snapshot, None) == "reading …"


@pytest.mark.parametrize("test", [False, True])
def test_the_header_gives_up_the_advisor_before_it_cuts_a_score(snapshot: RunSnapshot, test: bool) -> None:
    assert snapshot.run.best is not None
    best = replace(snapshot.run.best, policy="soup of #10, #13")
    run = replace(snapshot.run, best=best, test=best if test else None)
    for width in range(98, 221):
        line = header_line(replace(snapshot, run=run), NOW, "", False, width, Appearance(palette("llmzero-dark"))).plain
        assert cell_len(line) <= width
        assert "advisor" not in line or (best.policy in line and line.count("[") == 1 + test)
    assert "advisor" in line


def test_the_header_says_that_an_advisor_fails_as_far_as_there_is_room(snapshot: RunSnapshot) -> None:
    state = "failing since 14:03 UTC, last answer 13:59"
    run = replace(snapshot.run, advisor="ollama", advisor_state=state)
    appearance = Appearance(palette("llmzero-dark"))
    lines = [
        header_line(replace(snapshot, run=run), NOW, "", False, width, appearance).plain for width in range(100, 240)
    ]
    assert f"ollama advisor, {state}" in lines[-1]
    assert any(line.rstrip().endswith("ollama advisor, failing since 14:03 UTC") for line in lines)
    assert all(cell_len(line) <= width for width, line in enumerate(lines, start=100))

"""Snapshots: what is read, what is kept, what a broken run looks like."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from engine.errors import Fault, UserError
from engine.store.reader import Reader, open_run
from llmzero_tui.feeds.decision import DecisionFeed
from llmzero_tui.feeds.run import RunFeed
from llmzero_tui.feeds.runs import RunsFeed
from llmzero_tui.feeds.trajectory import TrajectoryFeed
from llmzero_tui.values.proposal_detail import DecisionView, TrajectoryView
from llmzero_tui.values.snapshot import UNREAD, RunRow, RunView
from tests.tui.live_engine import RUNNING, Engine, live
from tests.tui.sample_run import NOW, SEGMENTS


def feed_of(run: Path) -> RunFeed:
    return RunFeed(run, lambda: NOW)


def test_a_run_without_an_engine_is_crashed(run: Path) -> None:
    snapshot = feed_of(run).read(RunView())
    assert (snapshot.run.state, snapshot.run.live) == ("crashed", False)
    assert snapshot.run.eta is None


def test_every_screen_of_a_run_without_an_engine_says_that_its_segment_was_interrupted(run: Path) -> None:
    detail = feed_of(run).read(RunView(node=RUNNING)).detail
    assert detail is not None
    assert detail.stages[-1].state == "interrupted"
    decided = DecisionFeed(run, lambda: NOW).read(DecisionView(RUNNING)).detail
    assert decided is not None
    assert decided.standing.node_state == "interrupted"
    trajectory = TrajectoryFeed(run, lambda: NOW).read(TrajectoryView(RUNNING))
    assert trajectory.stages[-1].stage.state == "interrupted"


def test_plain_grpo_stands_beside_the_policy_of_a_run_at_rest_alone(run: Path) -> None:
    with live(run):
        assert feed_of(run).read(RunView()).yardstick == ""
    said = feed_of(run).read(RunView()).yardstick
    assert said.startswith("plain GRPO, the default configuration for as many steps: validation 0.637 [0.58, 0.69]")


def test_a_snapshot_holds_the_whole_tree_and_looks_at_what_trains(run: Path, engine: Engine) -> None:
    snapshot = feed_of(run).read(RunView())
    assert snapshot.run.state == "training"
    assert len(snapshot.nodes) == len(SEGMENTS) + 1
    assert snapshot.running is not None
    assert snapshot.running.id == RUNNING
    assert snapshot.detail is not None
    assert [s.node for s in snapshot.detail.stages] == [0, 1, 5, 10, 13]
    assert [p.node for p in snapshot.inbox] == [16, 15]
    assert snapshot.inbox[1].revision == 2


def test_what_did_not_change_is_the_same_object(run: Path, engine: Engine) -> None:
    feed = feed_of(run)
    before = feed.read(RunView())
    again = feed.read(RunView())
    assert again.detail is before.detail
    assert all(again.nodes[i] is node for i, node in before.nodes.items())


def test_only_the_node_that_grew_is_new(run: Path, engine: Engine) -> None:
    feed = feed_of(run)
    before = feed.read(RunView(node=RUNNING))
    engine.step(32)
    after = feed.read(RunView(node=RUNNING))
    assert [i for i in after.nodes if after.nodes[i] is not before.nodes[i]] == [RUNNING]
    assert after.nodes[RUNNING].trained == 32
    assert before.detail is not None
    assert after.detail is not None
    assert after.detail.trace.points[-1].x == before.detail.trace.points[-1].x + 1


def test_events_are_read_once_and_kept(run: Path, engine: Engine) -> None:
    feed = feed_of(run)
    before = feed.read(RunView()).events
    engine.writer.insert("events", level="info", kind="note", node_id=None, message="hello", detail="")
    engine.writer.flush()
    after = feed.read(RunView()).events
    assert after[:-1] == before
    assert after[-1].message == "hello"


def test_another_metric_reads_only_its_curve(run: Path) -> None:
    feed = feed_of(run)
    reward = feed.read(RunView(node=5)).detail
    entropy = feed.read(RunView(node=5, metric="entropy")).detail
    assert reward is not None
    assert entropy is not None
    assert entropy.trace.metric == "entropy"
    assert entropy.strip is reward.strip


def test_nan_and_infinity_are_counted_and_not_drawn(run: Path) -> None:
    detail = feed_of(run).read(RunView(node=8, metric="grad_norm")).detail
    assert detail is not None
    assert detail.trace.broken == 1
    assert all(abs(point.value) < 1e9 for point in detail.trace.points)


def test_the_trajectory_leaves_a_parent_at_its_branch_step(run: Path) -> None:
    detail = feed_of(run).read(RunView(node=12)).detail
    assert detail is not None
    before = [point.x for point in detail.trace.points if point.node != 12]
    assert max(before) == 75


def test_a_gone_engine_is_opened_anew_from_the_file(run: Path) -> None:
    feed = feed_of(run)
    with live(run):
        assert feed.read(RunView()).run.live
    with suppress(Fault):  # the look that sees it go
        feed.read(RunView())
    snapshot = feed.read(RunView())
    assert snapshot.run.state == "crashed"
    assert len(snapshot.nodes) == len(SEGMENTS) + 1
    numbers = [event.seq for event in snapshot.events]
    assert numbers == sorted(set(numbers)), "no event is shown twice"


def test_a_directory_without_a_run_is_a_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run"):
        feed_of(tmp_path).read(RunView())


def _all_read(feed: RunsFeed) -> tuple[RunRow, ...]:
    """The runs once every header was read: a look opens only as many runs as it has time for."""
    runs = feed.read().runs
    while any(run.state == UNREAD for run in runs):
        runs = feed.read().runs
    return runs


def test_the_list_shows_every_run_and_what_is_wrong_with_one(runs: Path) -> None:
    (runs / "broken").mkdir()
    (runs / "broken" / "run.duckdb").write_bytes(b"this is no database" * 100)
    feed = RunsFeed(runs, lambda: NOW)
    found = {run.name: run for run in _all_read(feed)}
    assert found["knights-00"].state == "finished"
    assert found["knights-00"].test is not None
    assert found["knights-01"].state == "crashed"
    assert found["broken"].state == "damaged"
    assert found["broken"].reason == "damaged: it is not a DuckDB database"


def test_a_run_at_rest_is_read_once(runs: Path) -> None:
    opened: list[str] = []

    def opener(path: Path) -> Reader:
        opened.append(path.name)
        return open_run(path)

    feed = RunsFeed(runs, lambda: NOW, opener)
    assert _all_read(feed) == feed.read().runs
    assert sorted(opened) == ["knights-00", "knights-01", "sums-02"]


def test_a_missing_directory_is_an_empty_list(tmp_path: Path) -> None:
    assert RunsFeed(tmp_path / "none", lambda: NOW).read().runs == ()


def test_a_viewer_of_a_file_does_not_keep_an_engine_from_taking_it_up(run: Path) -> None:
    feed = feed_of(run)
    assert not feed.read(RunView()).run.live
    feed.read(RunView(node=5))
    script = "import sys, duckdb; duckdb.connect(sys.argv[1]).execute(\"UPDATE runs SET reason = 'resumed'\")"
    done = subprocess.run([sys.executable, "-c", script, str(run / "run.duckdb")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert feed.read(RunView()).run.reason == "resumed"


def test_a_run_that_is_taken_up_again_is_live_again(run: Path) -> None:
    feed = feed_of(run)
    assert not feed.read(RunView()).run.live
    with live(run):
        assert feed.read(RunView()).run.live


def test_a_run_at_rest_is_opened_only_for_another_view(run: Path) -> None:
    opened: list[Path] = []

    def opener(path: Path) -> Reader:
        opened.append(path)
        return open_run(path)

    feed = RunFeed(run, lambda: NOW, opener)
    first = feed.read(RunView(node=5))
    assert feed.read(RunView(node=5)).detail is first.detail
    assert len(opened) == 1
    assert feed.read(RunView(node=5, samples=True)).detail != first.detail
    assert len(opened) == 2


def test_a_quick_look_reads_the_view_and_leaves_the_rest(run: Path, engine: Engine) -> None:
    feed = feed_of(run)
    feed.read(RunView(node=RUNNING))
    engine.writer.insert("events", level="info", kind="note", node_id=None, message="later", detail="")
    engine.writer.flush()
    quick = feed.read(RunView(node=5), quick=True)
    assert quick.detail is not None
    assert quick.detail.node == 5
    assert quick.events[-1].message != "later"
    assert feed.read(RunView(node=5)).events[-1].message == "later"

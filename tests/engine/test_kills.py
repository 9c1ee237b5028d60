"""SIGKILL at each named moment of a run's life, of the engine and of a worker: every row is written once all the same.

Real processes and a real database; the workers only pretend to train. What is killed is resumed and must end like a run
that nobody disturbed: the same kinds of rows, none twice, none lost that was committed, no process left.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.run import launch
from engine.run.rundir import RunDirectory
from tests.engine import acknowledged, live, pretended_engine
from tests.engine.pretended_engine import KILLS

QUICK = [("it is handed to a worker", False), ("a checkpoint is scored", True), ("the soup is scored", True),
         ("the base is measured", True)]  # fmt: skip
WORKER = ["loading", "step", "before checkpoint", "checkpoint", "ended", "evaluating", "evaluated"]
QUICK_WORKER = ["checkpoint", "evaluating"]


def cases() -> list[Any]:
    """Every moment, before and after its row is on disk; most of them only in the slow tests."""
    every = [(name, committed) for name in KILLS for committed in (False, True)]
    marked = [(case, () if case in QUICK else pytest.mark.slow) for case in every]
    return [
        pytest.param(*case, marks=mark, id=f"{case[0]}{', on disk' if case[1] else ''}".replace(" ", "-"))
        for case, mark in marked
    ]


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    """A directory for runs; no engine of it outlives the test."""
    yield tmp_path
    for directory in launch.list_runs(tmp_path):
        live.kill(directory)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    directory = create(tmp_path_factory.mktemp("undisturbed"))
    pretended_engine.start(directory)
    assert live.wait_for_end(directory) == "finished", directory.log.read_text()
    return directory


def create(where: Path) -> RunDirectory:
    """Four segments of six steps and two checkpoints, few of which are kept: there is a branch, a soup, a deletion."""
    directory = live.create(where, nodes=5)
    text = directory.config.read_text().replace("keep_checkpoints = 8", "keep_checkpoints = 1")
    directory.config.write_text(text)
    return directory


@pytest.mark.parametrize(("moment", "committed"), cases())
def test_an_engine_killed_at_any_moment_is_resumed_to_the_same_end(
    runs: Path, undisturbed: RunDirectory, moment: str, committed: bool
) -> None:
    directory = create(runs)
    how = {"PRETENDED_KILL": moment} | ({"PRETENDED_COMMITTED": "yes"} if committed else {})
    engine = pretended_engine.start(directory, **how)
    assert pretended_engine.wait(engine) == -9, f"nothing was killed: {directory.log.read_text()}"
    live.wait_for("its workers to be gone", lambda: not workers_of(engine), 20)
    before = rows_at_rest(directory)
    pretended_engine.start(directory)
    assert live.wait_for_end(directory) == "finished", directory.log.read_text()
    assert_whole(directory, undisturbed)
    assert_kept(directory, before)


@pytest.mark.parametrize(
    "moment", [pytest.param(m, marks=() if m in QUICK_WORKER else pytest.mark.slow) for m in WORKER]
)
def test_a_worker_killed_at_any_moment_is_replaced_and_its_work_taken_up(
    runs: Path, undisturbed: RunDirectory, moment: str
) -> None:
    directory = create(runs)
    mark = runs / "killed"
    pretended_engine.start(directory, PRETENDED_POINT=moment, PRETENDED_MARK=str(mark))
    assert live.wait_for_end(directory) == "finished", directory.log.read_text()
    assert mark.exists(), "nothing was killed"
    assert_whole(directory, undisturbed)
    told = live.rows(directory, "SELECT kind, message FROM events WHERE level = 'warning'")
    assert [row["kind"] for row in told] == ["evaluation" if moment.startswith("evaluat") else "requeued"]
    assert "was killed by SIGKILL" in told[0]["message"]
    assert "memory" not in told[0]["message"]


def test_an_evaluation_whose_workers_all_die_ends_the_run_in_one_line(runs: Path) -> None:
    directory = create(runs)
    pretended_engine.start(directory, PRETENDED_POINT="evaluating", PRETENDED_MARK=str(runs / "no" / "such" / "place"))
    assert live.wait_for_end(directory) == "failed"
    [run] = live.rows(directory, "SELECT reason FROM runs")
    assert "the base model could not be scored" in run["reason"]
    tries = live.rows(directory, "SELECT message FROM events WHERE kind = 'evaluation'")
    assert len(tries) == 2


def workers_of(engine: int) -> list[psutil.Process]:
    """Processes that were started as workers of this engine and live."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if words[-2:] == ["--parent", str(engine)] and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def rows_at_rest(directory: RunDirectory) -> dict[str, list[dict[str, Any]]]:
    """What was on disk when the engine died, of what no later engine may change."""
    if not directory.database.exists() or not live.rows(directory, "SELECT 1 FROM runs"):
        return {}
    ended = "node_id IN (SELECT node_id FROM nodes WHERE state = 'finished')"
    return {
        "nodes": live.rows(directory, f"SELECT node_id, parent_id, changes, seed FROM nodes WHERE {ended}"),  # noqa: S608
        "metrics": live.rows(directory, f"SELECT seq, value FROM metrics WHERE {ended}"),  # noqa: S608
        "checkpoints": live.rows(directory, f"SELECT seq, greedy, sampled FROM checkpoints WHERE {ended}"),  # noqa: S608
        "evaluations": live.rows(directory, "SELECT seq, greedy, sampled FROM evaluations"),
        "events": live.rows(directory, "SELECT seq, message FROM events"),
        "agent_calls": live.rows(directory, "SELECT call_id FROM agent_calls"),
    }


def assert_kept(directory: RunDirectory, before: dict[str, list[dict[str, Any]]]) -> None:
    for table, rows in before.items():
        if rows:
            now = live.rows(directory, f"SELECT {', '.join(rows[0])} FROM {table}")  # noqa: S608
            assert [row for row in rows if row not in now] == [], table


def assert_whole(directory: RunDirectory, undisturbed: RunDirectory) -> None:
    """As a run that nobody disturbed, and nothing twice."""
    assert live.rows(directory, "SELECT count(*) AS n FROM runs") == [{"n": 1}]
    assert acknowledged.doubled(directory) == []
    samples = "SELECT node_id, step, split, prompt FROM completions GROUP BY ALL HAVING count(*) > 1"
    assert live.rows(directory, samples) == []
    told = (
        "SELECT kind, node_id, message FROM events WHERE kind IN ('ended', 'checkpoint deleted', 'reranking', 'winner')"
    )
    assert live.rows(directory, f"{told} GROUP BY ALL HAVING count(*) > 1") == []
    trained = "SELECT parent_id, branch_step, changes, seed FROM nodes WHERE state <> 'rejected' AND parent_id >= 0"
    assert live.rows(directory, f"{trained} GROUP BY ALL HAVING count(*) > 1") == []
    for question in (
        "SELECT state, count(*) AS n FROM nodes WHERE state <> 'rejected' GROUP BY ALL ORDER BY state",
        "SELECT kind, split FROM evaluations GROUP BY ALL ORDER BY ALL",
        "SELECT DISTINCT kind FROM events WHERE kind IN ('ended', 'winner', 'reranking') ORDER BY kind",
        "SELECT steps, nodes FROM budget ORDER BY seq DESC LIMIT 1",
    ):
        assert live.rows(directory, question) == live.rows(undisturbed, question), question
    gaps = "SELECT node_id FROM metrics GROUP BY node_id HAVING count(DISTINCT step) <> 6 OR max(step) <> 6"
    assert live.rows(directory, gaps) == []
    pending = live.rows(directory, "SELECT 1 FROM proposals WHERE state = 'pending'")
    assert pending == []
    for row in live.rows(directory, "SELECT path FROM checkpoints WHERE kept AND node_id > 0"):
        assert (directory.path / row["path"] / "manifest.json").is_file()
    assert directory.strategy.exists()

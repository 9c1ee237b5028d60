"""Trackers by their own libraries, offline: they hold what DuckDB holds, and one that fails costs the run nothing.

Each test of a library skips where that is not installed (docs/tracking.md).
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine import own_packages
from engine.run.config import RunConfig, load
from engine.run.rundir import RunDirectory
from engine.run.tracking_section import lacking
from engine.tracking.trackers import TrackedNode
from tests.engine import live
from tests.engine.steered import config as small
from tests.tui.sample_run import build

LAST = """
SELECT node_id, arg_max(value, step) AS reward, count(*) AS n FROM metrics WHERE name = 'reward' AND isfinite(value)
GROUP BY node_id ORDER BY node_id
"""
NAMES = ("tensorboard", "trackio", "wandb", "mlflow")


def needs(name: str) -> None:
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed; docs/tracking.md says how")


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A finished run with many nodes, its metrics and its strategy."""
    directory = RunDirectory(build(tmp_path / "runs", name="told", state="finished"))
    directory.strategy.write_text("format = 2\n", encoding="utf-8")
    return directory


def tell(run: RunDirectory, name: str, tmp_path: Path) -> Path:
    """Let the process tell everything; returns its directory."""
    done = subprocess.run(
        [*own_packages.command("engine.tracking.follow"), str(run.path), name],
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return run.path / "tracking" / name


def stored(run: RunDirectory) -> dict[int, float]:
    return {row["node_id"]: row["reward"] for row in live.rows(run, LAST)}


def test_tensorboard_holds_the_last_reward_of_every_node_and_is_not_told_twice(
    run: RunDirectory, tmp_path: Path
) -> None:
    needs("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    def found() -> dict[str, list[tuple[int, float]]]:
        curves: dict[str, list[tuple[int, float]]] = {}
        for each in (tell(run, "tensorboard", tmp_path) / "told").iterdir():
            if each.is_dir():
                events = EventAccumulator(str(each))
                events.Reload()
                if "reward" in events.Tags()["tensors"]:
                    points = events.Tensors("reward")
                    curves[each.name] = [(e.step, float(make_ndarray(e.tensor_proto))) for e in points]
        return curves

    first = found()
    last = {int(name[:3]): points[-1][1] for name, points in first.items()}
    assert last == pytest.approx(stored(run), rel=1e-6)
    assert any(name.startswith("010-from-005") for name in first), sorted(first)
    assert found() == first
    place = run.path / "tracking" / "tensorboard" / "told"
    assert {each.name for each in place.iterdir() if each.is_file()} == {"strategy.toml", "report.html"}


def rewards(place: Path) -> dict[str, list[int]]:
    """Steps of the rewards in each directory of event files, in the order of TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    steps = {}
    for each in (path for path in place.iterdir() if path.is_dir()):
        events = EventAccumulator(str(each))
        events.Reload()
        if "reward" in events.Tags()["tensors"]:
            steps[each.name] = [event.step for event in events.Tensors("reward")]
    return steps


def test_tensorboard_has_no_more_threads_than_nodes_are_held_open(run: RunDirectory, tmp_path: Path) -> None:
    needs("tensorboard")
    from engine.tracking.follow import RunTeller
    from engine.tracking.trackers import TensorBoard

    most = 0

    class Counted(TensorBoard):
        def log(self, node: TrackedNode, step: int, values: Mapping[str, float]) -> None:
            nonlocal most
            super().log(node, step, values)
            most = max(most, threading.active_count())

    before, place = threading.active_count(), tmp_path / "told"
    place.mkdir()
    RunTeller(run, Counted(load(run.config).tracking, run.name, place), place, 2).follow(None)
    assert len(rewards(place / "told")) == len(stored(run)) > 10
    assert most - before <= 2


def test_a_node_that_was_left_is_gone_on_with(tmp_path: Path) -> None:
    """It has another event file then."""
    needs("tensorboard")
    from engine.tracking.trackers import TensorBoard

    tracker = TensorBoard(small().tracking, "told", tmp_path)
    a, b = (TrackedNode(number, None, "", {}) for number in (1, 2))
    for node, step in ((a, 1), (b, 1), (a, 2)):
        tracker.log(node, step, {"reward": 0.5})
    tracker.leave(a)
    tracker.log(b, 2, {"reward": 0.5})
    tracker.log(a, 3, {"reward": 0.5})
    tracker.close([])
    assert rewards(tmp_path / "told") == {"001": [1, 2, 3], "002": [1, 2]}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_follower_that_is_slow_to_see_a_resume_ends_and_nothing_is_told_twice(tmp_path: Path) -> None:
    """It is held up while its engine goes and another comes; the new engine's follower waits for it."""
    needs("tensorboard")
    directory = live.create(tmp_path / "runs", nodes=2, segment_steps=4)
    asked = load(directory.config).model_dump(mode="json")
    asked["tracking"] = {"to": ["tensorboard"]}
    directory.config.write_text(RunConfig.model_validate(asked).to_toml(), encoding="utf-8")
    place = directory.path / "tracking" / "tensorboard"
    live.start(directory)
    try:
        live.wait_for("something to be told", (place / "told.json").is_file)
        [old] = followers(directory)
        old.suspend()
        live.kill(directory)
        live.start(directory)
        live.wait_for("the new follower", lambda: len(followers(directory)) == 2)
        old.resume()
        live.wait_for("the old one to go", lambda: old not in followers(directory))
        assert live.wait_for_end(directory) == "finished"
        live.wait_for("the new one to go", lambda: not followers(directory))
    finally:
        live.kill(directory)
        for each in followers(directory):
            each.kill()
    told = rewards(place / directory.name)
    again = {
        f"{row['node_id']:03d}": row["steps"]
        for row in live.rows(directory, "SELECT node_id, list(step ORDER BY seq) AS steps FROM metrics "
                             "WHERE name = 'reward' GROUP BY node_id")
    }  # fmt: skip
    assert {name[:3]: steps for name, steps in told.items()} == again


def followers(directory: RunDirectory) -> list[psutil.Process]:
    """The living processes that tell trackers of a run."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if "engine.tracking.follow" in (line := process.cmdline()) and str(directory.path) in line:
                found.append(process)
    return found


def test_trackio_holds_the_last_reward_of_every_node(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("trackio")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    tell(run, "trackio", tmp_path)
    [database] = (tmp_path / "trackio").glob("*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("SELECT run_name, step, metrics FROM metrics ORDER BY step").fetchall()
        [config] = connection.execute("SELECT config FROM configs WHERE run_name LIKE 'told #10 %'").fetchall()
    last: dict[int, float] = {}
    for name, _, metrics in rows:
        if (reward := json.loads(metrics).get("reward")) is not None:
            last[int(name.split("#")[1].split()[0])] = reward
    assert last == pytest.approx(stored(run), rel=1e-6)
    assert json.loads(config[0])["parent"] == 5


def test_weights_and_biases_offline_holds_the_last_reward_of_every_node(run: RunDirectory, tmp_path: Path) -> None:
    needs("wandb")
    from wandb.proto import wandb_internal_pb2

    last: dict[int, float] = {}
    parents: dict[int, Any] = {}
    groups = set()
    for file in (tell(run, "wandb", tmp_path) / "wandb").glob("offline-run-*/*.wandb"):
        node = None
        for data in offline_records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.HasField("run"):
                groups.add(record.run.run_group)
                facts = {item.key: json.loads(item.value_json) for item in record.run.config.update}
                if "node" in facts:
                    node = facts["node"]
                    parents[node] = facts.get("parent")
            for item in record.history.item:
                if "reward" in (item.key, *item.nested_key) and node is not None:
                    last[node] = json.loads(item.value_json)
    assert last == pytest.approx(stored(run), rel=1e-6)
    assert groups == {"told"}
    assert parents[10] == 5


def test_a_run_of_weights_and_biases_that_was_left_is_gone_on_with(tmp_path: Path) -> None:
    """Offline: in another directory, as the same run."""
    needs("wandb")
    from wandb.proto import wandb_internal_pb2

    from engine.tracking.trackers import WeightsAndBiases

    tracker = WeightsAndBiases(small().tracking, "told", tmp_path)
    a, b = (TrackedNode(number, None, "", {"node": number}) for number in (1, 2))
    for node, step in ((a, 1), (b, 1)):
        tracker.log(node, step, {"reward": step / 10})
    tracker.leave(a)
    tracker.log(b, 2, {"reward": 0.2})
    tracker.log(a, 2, {"reward": 0.2})
    tracker.close([])
    told: dict[str, list[float]] = {}
    for file in sorted((tmp_path / "wandb").glob("offline-run-*/*.wandb")):
        run_id = ""
        for data in offline_records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            run_id = record.run.run_id if record.HasField("run") else run_id
            for item in record.history.item:
                if "reward" in (item.key, *item.nested_key):
                    told.setdefault(run_id, []).append(json.loads(item.value_json))
    assert told == {"told-1": [0.1, 0.2], "told-2": [0.1, 0.2]}


def offline_records(data: bytes) -> Iterator[bytes]:
    """What a .wandb file holds: after 7 bytes records of LevelDB's log, in blocks of 32 KiB, in pieces of a header of 7
    bytes (checksum, length, first/middle/last) each."""
    whole, at, block = b"", 7, 1 << 15
    while at + 7 <= len(data):
        if block - at % block < 7:
            at += block - at % block
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield whole
            whole = b""


def test_mlflow_holds_the_last_reward_of_every_node_below_the_run(
    run: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    where = tell(run, "mlflow", tmp_path) / "mlruns"
    from mlflow import MlflowClient

    client = MlflowClient(where.as_uri())
    experiment = client.get_experiment_by_name("llmzero")
    runs = {each.data.tags["llmzero_key"]: each for each in client.search_runs([experiment.experiment_id])}
    whole = runs.pop("whole")
    last = {int(key): each.data.metrics["reward"] for key, each in runs.items() if "reward" in each.data.metrics}
    assert last == pytest.approx(stored(run), rel=1e-6)
    assert {each.data.tags["mlflow.parentRunId"] for each in runs.values()} == {whole.info.run_id}
    assert {each.path for each in client.list_artifacts(whole.info.run_id)} == {"strategy.toml", "report.html"}


def test_a_tracker_that_fails_is_an_event_and_the_run_goes_on(tmp_path: Path) -> None:
    directory = live.create(tmp_path / "runs", gate="manual", nodes=1)
    asked = load(directory.config).model_dump(mode="json")
    asked["tracking"] = {"to": ["mlflow"]}
    directory.config.write_text(RunConfig.model_validate(asked).to_toml(), encoding="utf-8")
    (directory.path / "tracking").write_text("no directory can be made here", encoding="utf-8")
    live.start(directory)
    try:
        [event] = live.wait_for_rows(directory, "SELECT level, message FROM events WHERE kind = 'tracking'")
        assert event["level"] == "warning"
        assert event["message"].startswith("mlflow ended with 1: ")
        assert event["message"].endswith("the run goes on without it")
        live.wait_for_rows(directory, "SELECT 1 FROM proposals WHERE state = 'pending'")
        assert live.rows(directory, "SELECT state FROM runs") == [{"state": "training"}]
    finally:
        live.kill(directory)


@pytest.mark.parametrize("name", NAMES)
def test_a_check_says_what_a_missing_tracker_needs(name: str) -> None:
    asked = {**small().model_dump(mode="json"), "tracking": {"to": [name]}}
    section = RunConfig.model_validate(asked).tracking
    assert lacking(section) == ([] if find_spec(name) else [name])

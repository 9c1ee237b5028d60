"""The Ray executor on clusters of several raylets on this machine: the promises of every executor, machines that are
lost and join, and files where machines share none."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio

from engine.errors import UserError
from engine.executors.base import Executor
from engine.testing.executors import LONG, ExecutorConformance, events_of_job, events_until, next_event
from engine.training.events import Evaluate, EvaluationSpec, SegmentEnd
from tests.engine import acknowledged, live
from tests.engine.conftest import LETTERS, Spec

ray = pytest.importorskip("ray", reason="needs Ray: make test-ray")
pytestmark = pytest.mark.ray
in_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A cluster whose head runs nothing; tests add machines of one core."""
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
    made.add_node(num_cpus=1)
    made.wait_for_nodes()
    from engine.executors import ray_executor

    ray_executor.connect(made.address)
    yield made
    ray.shutdown()
    made.shutdown()


async def started(capacity: int, logs: Path) -> Any:
    from engine.executors.ray_executor import RayExecutor

    executor = RayExecutor(capacity, logs, env={"OMP_NUM_THREADS": "1"})
    await executor.start()
    return executor


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm(cluster: Any, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Executor]:
    executor = await started(1, tmp_path_factory.mktemp("run"))
    assert (await next_event(executor)).kind == "ready"
    yield executor
    await executor.close()


@pytest_asyncio.fixture(loop_scope="module")
async def executor(warm: Executor) -> Executor:
    assert warm.idle == 1, "the test before this one left its job behind"
    return warm


@in_one_loop
class TestRayExecutor(ExecutorConformance):
    """A worker on a machine of a cluster keeps the promises of every executor."""


async def gone(pid: int) -> None:
    """Until a process has ended."""
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


@in_one_loop
async def test_a_lost_machine_is_a_crashed_segment_and_a_machine_that_joins_takes_the_next(
    cluster: Any, warm: Executor, make_spec: Spec, tmp_path: Path
) -> None:
    """One worker more than there are machines: it waits, and begins where one joins."""
    executor = await started(1, tmp_path)
    try:
        await executor.submit(make_spec(job="k", steps=LONG))
        assert (await next_event(executor)).phase == "waiting for a machine of the cluster"
        machine = cluster.add_node(num_cpus=1)
        ready = (await events_until(executor, "ready"))[-1]
        await events_until(executor, "metrics", step=2)
        cluster.remove_node(machine, allow_graceful=False)
        ended = (await events_of_job(executor))[-1]
        assert (ended.job, ended.end, ended.worker_lost) == ("k", SegmentEnd.CRASHED, True)
        assert ended.steps >= 2
        await gone(ready.pid)
        await executor.submit(make_spec(job="l", steps=1))
        machine = cluster.add_node(num_cpus=1)
        assert (await events_of_job(executor))[-1].end is SegmentEnd.FINISHED
        cluster.remove_node(machine, allow_graceful=False)
    finally:
        await executor.close()


@in_one_loop
async def test_a_job_that_waits_for_a_machine_ends_when_it_is_stopped_within_a_time(
    cluster: Any, warm: Executor, make_spec: Spec, tmp_path: Path
) -> None:
    executor = await started(1, tmp_path)
    try:
        await executor.submit(make_spec(job="w", steps=LONG))
        await executor.stop("w", SegmentEnd.STOPPED, within=5)
        ended = (await events_of_job(executor))[-1]
        assert (ended.end, executor.idle) == (SegmentEnd.STOPPED, 1)
    finally:
        await executor.close()


@in_one_loop
async def test_an_actor_that_does_not_answer_is_given_up_and_a_stop_that_it_had_no_ear_for_is_kept(
    cluster: Any, warm: Executor, make_spec: Spec, tmp_path: Path
) -> None:
    """Ray sees nothing amiss: the process is there."""
    machine = cluster.add_node(num_cpus=1)
    executor = await started(1, tmp_path)
    try:
        await executor.submit(make_spec(job="s", steps=LONG))
        ready = (await events_until(executor, "ready"))[-1]
        await events_until(executor, "metrics", step=2)
        psutil.Process(psutil.Process(ready.pid).ppid()).suspend()
        await executor.stop("s", SegmentEnd.STOPPED, within=5)
        ended = (await events_of_job(executor))[-1]
        assert (ended.job, ended.end, ended.worker_lost) == ("s", SegmentEnd.STOPPED, True)
        assert "has not answered" in ended.detail
        await gone(ready.pid)
    finally:
        await executor.close()
        cluster.remove_node(machine, allow_graceful=False)


@pytest.fixture
def elsewhere(cluster: Any, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A machine of two cores that sees nothing of this test's files: its raylet has other mounts."""
    hidden = tmp_path.parent
    ray_command = Path(sys.executable).parent / "ray"
    join = f"{ray_command} start --address {cluster.address} --num-cpus 2 --resources '{{\"far\": 1}}' --block"
    command = f"mount -t tmpfs none {hidden} && exec {join}"
    try:
        subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/mnt"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to unshare mounts")
    process = subprocess.Popen(["unshare", "-m", "sh", "-c", command], start_new_session=True, cwd="/")
    yield process
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@in_one_loop
async def test_files_travel_where_machines_share_no_directory(
    cluster: Any, elsewhere: subprocess.Popen[bytes], make_spec: Spec, tiny_base: str, tmp_path: Path
) -> None:
    """Base, task and parent go there, checkpoints come back and are what their manifests say."""
    base = shutil.copytree(tiny_base, tmp_path / "base")
    task = f"{shutil.copy(LETTERS, tmp_path / 'mine.py')}:Letters"
    executor = await started(1, tmp_path)
    executor.bundle["far"] = 1.0
    try:
        here = {"task": task, "base": str(base), "reference": str(base)}
        spec = make_spec(job="a", steps=2).model_copy(update={**here, "parent": str(base)})
        await executor.submit(spec)
        told = await events_of_job(executor)
        assert told[-1].end is SegmentEnd.FINISHED, told[-1]
        saved = told[-2].directory
        assert saved == f"{spec.directory}/checkpoint-2"
        assert {path.name for path in Path(saved).iterdir()} >= {"manifest.json", "model.safetensors", "optimizer.pt"}
        later = make_spec(job="b", steps=2).model_copy(update={**here, "parent": saved, "optimizer": saved})
        await executor.submit(later)
        assert (await events_of_job(executor))[-1].end is SegmentEnd.FINISHED
        soup = str(tmp_path / "soup")
        scored = EvaluationSpec(n=8)
        both = [saved, f"{later.directory}/checkpoint-2"]
        await executor.submit(
            Evaluate(job="e", task=task, base=str(base), directories=both, evaluation=scored, save_to=soup)
        )
        assert (await events_until(executor, "evaluated"))[-1].evaluation.n == 8
        assert (Path(soup) / "manifest.json").is_file()
        assert not list(tmp_path.glob("worker-*.log")), "the machine saw the run's directory after all"
    finally:
        await executor.close()


def copies_of(executor: Any) -> list[Path]:
    """Scratch directories of an executor with one worker; this machine and the one elsewhere share /tmp."""
    run = hashlib.sha256(str(executor.logs).encode()).hexdigest()[:12]
    return list(Path(tempfile.gettempdir()).glob(f"llmzero-{os.getuid()}-{run}-0-*"))


@in_one_loop
@pytest.mark.timeout(600)
async def test_a_machine_that_shares_no_directory_keeps_a_few_copies_and_none_of_a_dead_actor(
    cluster: Any, elsewhere: subprocess.Popen[bytes], make_spec: Spec, tiny_base: str, tmp_path: Path
) -> None:
    """Six checkpoints come back; what is no longer there is sent again; a killed actor's directory goes."""
    base = str(shutil.copytree(tiny_base, tmp_path / "base"))
    task = f"{shutil.copy(LETTERS, tmp_path / 'mine.py')}:Letters"
    executor = await started(1, tmp_path)
    executor.bundle["far"] = 1.0
    try:
        here = {"task": task, "base": base, "reference": base}
        spec = make_spec(job="a", steps=6, checkpoint_every=1).model_copy(update={**here, "parent": base})
        await executor.submit(spec)
        told = await events_of_job(executor)
        assert told[-1].end is SegmentEnd.FINISHED, told[-1]
        saved = [event.directory for event in told if event.kind == "checkpoint"]
        assert saved == [f"{spec.directory}/checkpoint-{step}" for step in range(1, 7)]
        assert all((Path(each) / "optimizer.pt").is_file() for each in saved)
        [scratch] = copies_of(executor)
        copies = list((scratch / "copies").iterdir())
        assert len(copies) == 4, "the base, the task, and the last two checkpoints"
        assert not list((scratch / "results").rglob("manifest.json"))

        first = {**here, "parent": saved[0], "optimizer": saved[0]}
        await executor.submit(make_spec(job="b", steps=1).model_copy(update=first))
        assert (await events_of_job(executor))[-1].end is SegmentEnd.FINISHED
        scored = {**here, "parent": saved[-1], "optimizer": saved[-1], "directory": spec.directory, "done": 6}
        await executor.submit(make_spec(job="c", steps=6).model_copy(update=scored))
        told = await events_of_job(executor)
        assert [event.directory for event in told if event.kind == "checkpoint"] == [saved[-1]]

        os.kill(holder_of(scratch), signal.SIGKILL)
        await events_until(executor, "ready")
        [anew] = copies_of(executor)
        assert anew != scratch
    finally:
        await executor.close()
    assert copies_of(executor) == []


def holder_of(scratch: Path) -> int:
    """The process that holds a scratch directory."""
    [pid] = [each.pid for each in psutil.process_iter() if holds(each, scratch)]
    return pid


def holds(process: psutil.Process, directory: Path) -> bool:
    try:
        return any(each.readlink() == directory for each in Path(f"/proc/{process.pid}/fd").iterdir())
    except OSError:
        return False


def test_a_run_outlives_a_lost_machine_and_a_killed_engine(cluster: Any, tmp_path: Path) -> None:
    """No row twice, none lost, and nothing left of the engine that was killed."""
    lost, kept = cluster.add_node(num_cpus=1), cluster.add_node(num_cpus=1)
    address = cluster.address
    directory = live.create(tmp_path, nodes=4, segment_steps=8, workers=2, kind="ray", address=address)
    engine = live.start(directory)
    try:
        live.wait_for_rows(directory, "SELECT 1 FROM metrics WHERE step >= 2")
        cluster.remove_node(lost, allow_graceful=False)
        live.wait_for_rows(directory, "SELECT 1 FROM nodes WHERE node_id > 0 AND state = 'finished'")
        before = acknowledged.rows(directory)
        os.kill(engine, signal.SIGKILL)
        live.wait_for("the lock to be free", lambda: directory.holder() is None)
        live.wait_for("its workers to be gone", lambda: not live.workers_in(directory), 60)
        live.start(directory)
        cluster.add_node(num_cpus=1)
        assert live.wait_for_end(directory) == "finished", directory.log.read_text()
    finally:
        live.kill(directory)
        cluster.remove_node(kept, allow_graceful=False)
    assert acknowledged.lost(directory, before) == []
    assert acknowledged.doubled(directory) == []
    assert live.rows(directory, "SELECT count(*) AS n FROM nodes WHERE state = 'finished'") == [{"n": 5}]


def test_a_cluster_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    directory = live.create(tmp_path, kind="ray", address="127.0.0.1:1")
    with pytest.raises(UserError, match=r'^executor.address = "127.0.0.1:1": no Ray cluster answers there'):
        live.start(directory)

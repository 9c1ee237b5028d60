"""Workers of two processes on the CPU (gloo): the promises of every executor, and what only several can suffer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from safetensors.torch import load_file

from engine.executors.local import LocalExecutor
from engine.testing.executors import LONG, ExecutorConformance, events_of_job, events_until
from engine.training.events import MANIFEST, Evaluation, SegmentEnd
from tests.engine.conftest import Spec
from tests.engine.warm_executor import idle, warm_executor

TOLERANCE = 1e-4
"""Of metrics, relative and absolute, and of weights after three steps at a learning rate of 1e-3."""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.long]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def warm(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalExecutor]:
    async with warm_executor(tmp_path_factory.mktemp("logs"), device="2 × cpu", gpus=2) as executor:
        yield executor


@pytest_asyncio.fixture(loop_scope="module")
async def executor(warm: LocalExecutor) -> LocalExecutor:
    return idle(warm)


def ranks(executor: LocalExecutor) -> list[psutil.Process]:
    """The processes of the worker, rank 0 first."""
    [pid] = executor.pids
    first = psutil.Process(pid)
    return [first, *(child for child in first.children() if "engine.training.ranks" in child.cmdline())]


@pytest.mark.slow
class TestTwoProcesses(ExecutorConformance):
    """A worker of two processes keeps the promises of every executor."""


@pytest.mark.parametrize("rank", [0, 1])
async def test_a_killed_rank_is_one_crashed_segment_and_no_orphan(
    executor: LocalExecutor, make_spec: Spec, rank: int
) -> None:
    await executor.submit(make_spec(job="k", steps=LONG))
    await events_until(executor, "metrics", step=2)
    both = ranks(executor)
    assert len(both) == 2
    os.kill(both[rank].pid, signal.SIGKILL)
    told = await events_of_job(executor)
    [ended] = [event for event in told if event.kind == "ended"]
    assert (ended.end, ended.worker_lost) == (SegmentEnd.CRASHED, True)
    _, left = await asyncio.to_thread(psutil.wait_procs, both, 20)
    assert left == []
    await executor.submit(make_spec(job="l", steps=1))
    assert (await events_of_job(executor))[-1].end is SegmentEnd.FINISHED


@pytest.mark.parametrize("fsdp", [False, True], ids=["ddp", "fsdp"])
async def test_a_stop_that_waits_for_no_score_is_saved_and_taken_up(
    executor: LocalExecutor, make_spec: Spec, fsdp: bool
) -> None:
    """Rank 0 gives up its part of the prompts while the others answer theirs."""
    spec = make_spec(job="s", steps=LONG).model_copy(update={"fsdp": fsdp})
    await executor.submit(spec)
    await events_until(executor, "metrics", step=2)
    await executor.stop("s", SegmentEnd.STOPPED, within=60)
    stopped = (await events_of_job(executor))[-1]
    assert stopped.end is SegmentEnd.STOPPED, stopped.detail
    saved = Path(spec.directory) / f"checkpoint-{stopped.steps}"
    assert json.loads((saved / MANIFEST).read_text())["evaluation"] is None
    place = {"parent": str(saved), "optimizer": str(saved), "done": stopped.steps, "steps": stopped.steps + 1}
    await executor.submit(spec.model_copy(update=place))
    rest = await events_of_job(executor)
    assert rest[-1].end is SegmentEnd.FINISHED, rest[-1].traceback
    [scored] = [event.evaluation for event in rest if event.kind == "checkpoint"]
    assert scored.n == spec.evaluation.n


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[LocalExecutor]:
    """A worker of one process."""
    async with warm_executor(tmp_path_factory.mktemp("logs")) as executor:
        yield executor


def greedy(evaluation: Evaluation) -> list[bool]:
    """Whether the greedy answer to each prompt was correct."""
    return [outcome in "13" for outcome in evaluation.outcomes]


@pytest.mark.parametrize("fsdp", [False, True], ids=["ddp", "fsdp"])
async def test_two_processes_train_what_one_trains_with_twice_the_accumulation(
    executor: LocalExecutor, alone: LocalExecutor, make_spec: Spec, fsdp: bool
) -> None:
    """Per step and in the weights at the end, but for the order in which floats are added. The second segment of each
    takes up the other's checkpoint with its optimizer, in whole or in parts."""
    noise = f"{Path(__file__).with_name('shared_noise.py')}:SharedNoise"
    told: dict[str, list[Any]] = {"one": [], "two": []}
    for steps in (2, 1):
        ends = [each[-2].directory if each else None for each in told.values()]
        for (name, trains), end in zip((("one", alone), ("two", executor)), reversed(ends), strict=True):
            spec = make_spec(job=f"{name}-{steps}", steps=steps, micro_batch=4, configuration={"beta": 1.0})
            update = {"task": noise, "fsdp": fsdp and name == "two"}
            update |= {"parent": end, "optimizer": end} if end else {}
            await trains.submit(spec.model_copy(update=update))
            told[name] += await events_of_job(trains)
            assert told[name][-1].end is SegmentEnd.FINISHED, told[name][-1].traceback
    for step in range(3):
        one, two = ([e.values for e in told[job] if e.kind == "metrics"][step] for job in told)
        for name in ("reward", "reward_std", "loss", "grad_norm", "entropy", "completions/mean_length"):
            assert two[name] == pytest.approx(one[name], rel=TOLERANCE, abs=TOLERANCE), (step, name)
    scored = [[e.evaluation for e in told[job] if e.kind == "checkpoint"] for job in told]
    one, two = (load_file(f"{told[job][-2].directory}/model.safetensors") for job in told)
    assert one.keys() == two.keys()
    assert max(float((one[name] - two[name]).abs().max()) for name in one) <= TOLERANCE
    assert [each.n for each in scored[0]] == [each.n for each in scored[1]]
    assert [greedy(each) for each in scored[0]] == [greedy(each) for each in scored[1]]
    assert any(e.values["kl"] > 0 and e.values["reward_std"] > 0 for e in told["one"] if e.kind == "metrics")

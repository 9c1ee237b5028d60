"""What every executor must do, with real segments, as a suite to subclass (needs pytest-asyncio).

Import the fixtures `tiny_base` and `make_spec` from here beside it: an untrained tiny model, and segments of the tasks
in letters.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.executors.base import Executor
from engine.training import events
from engine.training.events import Evaluate, EvaluationSpec, SegmentEnd, SegmentSpec

LONG = 10_000
"""Steps of a segment that has to be stopped."""
LETTERS = Path(__file__).with_name("letters.py")

Spec = Callable[..., SegmentSpec]


@pytest.fixture(scope="session")
def tiny_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained policy of 0.3M parameters with its tokenizer."""
    from tasks.tiny_model import build_model, build_tokenizer

    directory = tmp_path_factory.mktemp("base")
    build_model(seed=0).save_pretrained(directory)
    build_tokenizer().save_pretrained(directory)
    return str(directory)


@pytest.fixture
def make_spec(tiny_base: str, tmp_path: Path) -> Spec:
    """Builds the specification of a short segment of the task in letters.py named by `task`."""
    return spec_builder(tiny_base, tmp_path)


def spec_builder(base: str, directory: Path) -> Spec:
    """What `make_spec` gives: a function of the task's name and of the fields that differ."""

    def build(task: str = "Letters", **changes: Any) -> SegmentSpec:
        configuration = {
            "learning_rate": 1e-3,
            "beta": 0.0,
            "temperature": 1.0,
            "num_generations": 4,
        } | changes.pop("configuration", {})
        fields: dict[str, Any] = {
            "job": "1",
            "task": f"{LETTERS}:{task}",
            "base": base,
            "parent": base,
            "optimizer": None,
            "reference": base,
            "configuration": configuration,
            "steps": 3,
            "seed": 1,
            "directory": str(directory / f"segment-{changes.get('job', '1')}"),
            "checkpoint_every": 100,
            "evaluation": EvaluationSpec(n=16),
            "batch_size": 8,
            "micro_batch": 8,
            "threads": 1,
        }
        return SegmentSpec(**(fields | changes))

    return build


async def next_event(executor: Executor) -> Any:
    """The next event, or a failure of the test: nothing here takes a minute."""
    return await asyncio.wait_for(executor.next_event(), 60)


async def events_until(executor: Executor, kind: str, step: int = 0) -> list[Any]:
    """Events up to the first of that kind (and step), it included."""
    told: list[Any] = []
    while not told or told[-1].kind != kind or getattr(told[-1], "step", step) < step:
        told.append(await next_event(executor))
    return told


async def events_of_job(executor: Executor) -> list[Any]:
    """Events of the job in hand, up to its end; those of starting workers are left out, and what it does between."""
    told = await events_until(executor, "ended")
    return [event for event in told if event.kind not in ("ready", "progress")]


async def is_silent(executor: Executor) -> bool:
    """True when nothing comes for a second, once what was on its way has come. A step takes a tenth of that."""
    for _ in range(20):
        try:
            await asyncio.wait_for(executor.next_event(), 1.0)
        except TimeoutError:
            return True
    return False


class ExecutorConformance:
    """Subclass it with a fixture `executor`: started, warm, of capacity 1; the tests of a module may share it (then all
    of them run in the module's event loop)."""

    async def test_a_segment_comes_out_in_order_with_one_end(self, executor: Executor, make_spec: Spec) -> None:
        await executor.submit(make_spec(job="a", steps=3, checkpoint_every=2))
        told = await events_of_job(executor)
        kinds = [event.kind for event in told if event.kind != "samples"]
        assert kinds == ["started", "metrics", "metrics", "checkpoint", "metrics", "checkpoint", "ended"]
        assert {event.job for event in told} == {"a"}
        assert (told[-1].end, told[-1].steps) == (SegmentEnd.FINISHED, 3)

    async def test_a_busy_executor_takes_no_job_and_a_free_one_does(self, executor: Executor, make_spec: Spec) -> None:
        assert (executor.capacity, executor.idle) == (1, 1)
        await executor.submit(make_spec(job="a", steps=LONG))
        assert executor.idle == 0
        with pytest.raises(RuntimeError):
            await executor.submit(make_spec(job="b"))
        await executor.stop("a", SegmentEnd.STOPPED)
        assert (await events_of_job(executor))[-1].end is SegmentEnd.STOPPED
        assert executor.idle == 1

    async def test_an_evaluation_comes_out_as_evaluated(self, executor: Executor, tiny_base: str) -> None:
        request = Evaluate(
            job="e",
            task=f"{LETTERS}:Letters",
            base=tiny_base,
            directories=[tiny_base],
            evaluation=EvaluationSpec(split="test", n=16, seed=9),
        )
        await executor.submit(request)
        *before, evaluated = await events_until(executor, "evaluated")
        assert {event.job for event in before if event.kind == "progress"} == {"e"}
        done = [(event.done, event.total) for event in before if getattr(event, "phase", "") == "scoring"]
        assert done == sorted(done)
        assert done[-1] == (16, 16)
        assert (evaluated.job, evaluated.split, evaluated.seed) == ("e", "test", 9)
        assert evaluated.evaluation.n == 16
        assert executor.idle == 1

    async def test_an_evaluation_that_fails_comes_out_as_ended(self, executor: Executor, tiny_base: str) -> None:
        request = Evaluate(
            job="e",
            task="no such task",
            base=tiny_base,
            directories=[tiny_base],
            evaluation=EvaluationSpec(n=1),
        )
        await executor.submit(request)
        [ended] = await events_of_job(executor)
        assert (ended.job, ended.end) == ("e", SegmentEnd.CRASHED)
        assert "no such task" in ended.detail

    @pytest.mark.parametrize("end", [SegmentEnd.STOPPED, SegmentEnd.EARLY_STOPPED])
    async def test_a_stop_ends_a_segment_after_the_step_in_progress(
        self, executor: Executor, make_spec: Spec, end: SegmentEnd
    ) -> None:
        await executor.submit(make_spec(job="s", steps=LONG))
        before = await events_until(executor, "metrics", step=3)
        await executor.stop("s", end)
        after = await events_of_job(executor)
        assert after[-1].end is end
        assert after[-1].steps < LONG
        [checkpoint] = [event for event in before + after if event.kind == "checkpoint"]
        assert checkpoint.step == after[-1].steps

    async def test_a_stop_of_a_job_that_is_over_has_no_effect(self, executor: Executor, make_spec: Spec) -> None:
        await executor.submit(make_spec(job="o", steps=1))
        await events_of_job(executor)
        await executor.stop("o", SegmentEnd.STOPPED)
        await executor.submit(make_spec(job="o", steps=2))
        assert (await events_of_job(executor))[-1].end is SegmentEnd.FINISHED

    async def test_a_pause_holds_training_until_it_goes_on(self, executor: Executor, make_spec: Spec) -> None:
        await executor.submit(make_spec(job="p", steps=LONG))
        await events_until(executor, "metrics", step=2)
        await executor.pause()
        assert await is_silent(executor)
        await executor.unpause()
        await events_until(executor, "metrics")
        await executor.stop("p", SegmentEnd.STOPPED)
        await events_of_job(executor)

    @pytest.mark.parametrize(
        ("task", "end"),
        [("Raises", SegmentEnd.CRASHED), ("OutOfMemory", SegmentEnd.OUT_OF_MEMORY), ("Quits", SegmentEnd.CRASHED)],
    )
    async def test_a_failure_is_one_typed_end_and_the_next_job_runs(
        self, executor: Executor, make_spec: Spec, task: str, end: SegmentEnd
    ) -> None:
        await executor.submit(make_spec(task, job="f"))
        told = await events_of_job(executor)
        assert [(event.job, event.end) for event in told if event.kind == "ended"] == [("f", end)]
        assert told[-1].detail
        await executor.submit(make_spec(job="g", steps=1))
        told = await events_of_job(executor)
        assert [(event.job, event.end) for event in told if event.kind == "ended"] == [("g", SegmentEnd.FINISHED)]

    async def test_what_user_code_prints_or_reads_does_no_harm(self, executor: Executor, make_spec: Spec) -> None:
        await executor.submit(make_spec("Noisy", job="n", steps=2))
        told = await events_of_job(executor)
        assert (told[-1].job, told[-1].end) == ("n", SegmentEnd.FINISHED)
        assert [event.step for event in told if isinstance(event, events.StepMetrics)] == [1, 2]

"""The worker process by itself: only events on its stdout, and no life without an engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from engine import own_packages
from engine.training import events
from tests.engine.conftest import Spec

COMMAND = own_packages.command("engine.training.worker")

Worker = subprocess.Popen[bytes]


@pytest.fixture
def worker() -> Iterator[Worker]:
    with start(os.getpid()) as process:
        yield process
        process.kill()


def start(parent: int) -> Worker:
    return subprocess.Popen(
        [*COMMAND, "--parent", str(parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def ask(worker: Worker, request: events.Request) -> None:
    assert worker.stdin is not None
    worker.stdin.write(request.model_dump_json().encode() + b"\n")
    worker.stdin.flush()


def hear(worker: Worker, kind: str) -> Any:
    """The first line of that kind; every line on the way must be an event."""
    assert worker.stdout is not None
    for line in worker.stdout:
        event = events.LINE.validate_json(line)
        if event.kind == kind:
            return event
    raise AssertionError(f"stdout ended before a line of kind {kind}")


def test_a_worker_takes_jobs_and_leaves_when_its_stdin_ends(worker: Worker, make_spec: Spec) -> None:
    ready = hear(worker, "ready")
    assert ready.pid == worker.pid
    assert set(ready.versions) == {"torch", "transformers", "trl"}
    ask(worker, events.Stop(job="1", end=events.SegmentEnd.STOPPED))  # too late for an earlier job of that name
    ask(worker, events.Train(segment=make_spec("Noisy", job="1", steps=2)))
    assert hear(worker, "ended").end is events.SegmentEnd.FINISHED
    ask(worker, events.Train(segment=make_spec(job="2", steps=10_000)))
    hear(worker, "metrics")
    assert worker.stdin is not None
    worker.stdin.close()
    assert worker.wait(20) == 0
    assert worker.stderr is not None
    assert b"straight to the descriptor" in worker.stderr.read()


@pytest.mark.parametrize("line", [b"no JSON\n", b'{"kind":"train"}\n', b'{"kind":"dance"}\n'])
def test_a_request_of_another_version_ends_the_worker(worker: Worker, line: bytes) -> None:
    _, log = worker.communicate(line, timeout=60)
    assert worker.returncode == 2
    assert b"a request that this version does not know" in log


def test_a_worker_whose_engine_died_before_it_began_does_not_begin() -> None:
    with start(parent=os.getppid()) as stranger:
        assert stranger.communicate(timeout=60)[0] == b""
    assert stranger.returncode == 0


def test_importing_the_protocol_imports_no_torch() -> None:
    """The engine process imports events and the executor; torch there would cost it seconds and its GIL."""
    code = "import json, sys, engine.executors.local, engine.training.worker; print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not {"torch", "transformers", "trl", "datasets"} & set(json.loads(done.stdout))

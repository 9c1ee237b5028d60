"""A worker without torch for tests of the executor: what it does with a job is the name of the job's task."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

MINUTE = 60


def say(**event: Any) -> None:
    write(json.dumps(event) + "\n")


def write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def end(job: str, end: str = "finished", detail: str = "") -> None:
    say(kind="ended", job=job, end=end, steps=1, trainer_seconds=0.0, detail=detail)


def hear() -> dict[str, Any]:
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    request: dict[str, Any] = json.loads(line)
    return request


def step(job: str, number: int) -> None:
    say(kind="metrics", job=job, step=number, values={"loss": 1.0, "step_seconds": 0.5})


def fine(job: str) -> None:
    step(job, 1)
    end(job)


def scores(job: str) -> None:
    for done in range(1001):
        say(kind="beat", phase="scoring", done=done, total=1000)
    end(job)


def garbage(job: str) -> None:
    step(job, 1)
    write("Downloading \x1b[31mshards: 100%\n")
    time.sleep(MINUTE)


def other_job(job: str) -> None:
    end("someone else's")
    time.sleep(MINUTE)


def large(job: str) -> None:
    sample: dict[str, Any] = {"prompt": "p" * 200_000, "completion": "c", "answer": ""}
    sample |= {"reward": 0, "correct": False, "truncated": False}
    say(kind="samples", job=job, step=1, samples=[sample])
    end(job)


def endless_line(job: str) -> None:
    while True:
        write("x" * 65536)


def dies(job: str) -> None:
    step(job, 1)
    step(job, 2)
    sys.stderr.write("something\nRuntimeError: \x1b[1mno luck\n")
    sys.exit(3)


def leaves(job: str) -> None:
    say(kind="leaving")
    end(job)
    sys.exit(0)


def lingers(job: str) -> None:
    say(kind="leaving")
    end(job)
    time.sleep(MINUTE)


def silent(job: str) -> None:
    time.sleep(MINUTE)


def stalls(job: str) -> None:
    step(job, 1)
    time.sleep(MINUTE)


def beats(job: str) -> None:
    step(job, 1)
    for _ in range(8):
        time.sleep(0.1)
        say(kind="beat")
    end(job)


def tells_requests(job: str) -> None:
    told: list[str] = []
    while not told or told[-1] != "stop":
        told.append(hear()["kind"])
    end(job, "stopped", " ".join(told))


def has_a_child(job: str) -> None:
    child = os.fork()
    if child:
        say(kind="samples", job=job, step=child, samples=[])
    time.sleep(MINUTE)


def dies_and_leaves_a_child(job: str) -> None:
    child = os.fork()
    if child:
        say(kind="samples", job=job, step=child, samples=[])
        os._exit(4)
    time.sleep(MINUTE)


def main() -> None:
    mode = os.environ.get("FAKE_WORKER", "")
    if mode == "dies at start":
        sys.stderr.write("ModuleNotFoundError: No module named 'trl'\n")
        sys.exit(1)
    if mode == "slow start":
        time.sleep(0.3)
    say(kind="ready", pid=os.getpid(), device="cpu", versions={})
    while True:
        request = hear()
        job = request.get("segment", request)
        if request["kind"] in ("train", "evaluate"):
            work: Callable[[str], None] = globals()[job["task"].replace(" ", "_")]
            work(job["job"])


if __name__ == "__main__":
    main()

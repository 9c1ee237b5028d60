"""A worker that trains nothing and speaks the whole protocol: steps pass, scores rise, checkpoints are written.

For tests of what an engine survives, where real training only takes time. PRETENDED_POINT names a moment at which the
process kills itself, once (the file PRETENDED_MARK is made then): loading, step, before checkpoint, checkpoint, ended,
evaluating, evaluated. At PRETENDED_FREEZE it stays for ever. PRETENDED_STEP is the time of a step in seconds.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import zlib
from pathlib import Path

from engine.training import events
from engine.training.control import JobControl
from engine.training.events import Evaluation, SegmentEnd, SegmentSpec

STEP_SECONDS = float(os.environ.get("PRETENDED_STEP", "0.02"))


def say(message: events.Event) -> None:
    sys.stdout.write(message.model_dump_json() + "\n")
    sys.stdout.flush()


def reached(point: str) -> None:
    """Die here, if this is the point and nobody died at it yet; or wait here for ever."""
    while os.environ.get("PRETENDED_FREEZE") == point:
        time.sleep(1)
    if os.environ.get("PRETENDED_POINT") != point:
        return
    try:
        os.close(os.open(os.environ["PRETENDED_MARK"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    except FileNotFoundError:
        pass  # a mark that cannot be made: every worker dies here
    os.kill(os.getpid(), signal.SIGKILL)


def score(what: str, n: int, gained: int) -> Evaluation:
    """A score that depends on nothing but what is scored."""
    noise = zlib.crc32(what.encode()) % 3
    correct = min(n, n // 4 + gained + noise)
    return Evaluation(n=n, greedy=correct, sampled=correct, seconds=0.01)


def save(directory: Path, record: dict[str, object]) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "model.safetensors").write_bytes(b"weights")
    (directory / events.MANIFEST).write_text(json.dumps(record))


def train(spec: SegmentSpec, control: JobControl) -> None:
    reached("loading")
    say(events.SegmentStarted(job=spec.job, setup_seconds=0.01))
    end, step = SegmentEnd.FINISHED, spec.done
    for step in range(spec.done + 1, spec.steps + 1):
        time.sleep(STEP_SECONDS)
        reached("step")
        say(events.StepMetrics(job=spec.job, step=step, values={"reward": 0.5, "step_seconds": STEP_SECONDS}))
        asked = control.stop_of(spec.job)
        if step % spec.checkpoint_every == 0 or step == spec.steps or asked:
            checkpoint(spec, step)
        if asked and step < spec.steps:
            end = asked
            break
        control.hold(spec.job)
    reached("ended")
    say(events.SegmentEnded(job=spec.job, end=end, steps=step, trainer_seconds=STEP_SECONDS * (step - spec.done)))


def checkpoint(spec: SegmentSpec, step: int) -> None:
    reached("before checkpoint")
    directory = Path(spec.directory) / f"checkpoint-{step}"
    save(directory, {"job": spec.job, "step": step, "parent": spec.parent})
    reached("checkpoint")
    sample = events.CompletionSample(
        prompt="1+1=", completion="2", answer="2", reward=1.0, correct=True, truncated=False
    )
    say(events.CompletionSamples(job=spec.job, step=step, samples=[sample]))
    measured = score(f"{spec.job}/{step}", spec.evaluation.n, int(spec.job) + step)
    say(events.CheckpointSaved(job=spec.job, step=step, directory=str(directory), bytes=7, evaluation=measured))


def evaluate(job: events.Evaluate) -> None:
    reached("evaluating")
    measured = score(job.directories[0] + str(job.evaluation.seed), job.evaluation.n, 5)
    if job.save_to:
        save(Path(job.save_to), {"soup_of": job.directories})
    reached("evaluated")
    say(events.EvaluationResult(job=job.job, split=job.evaluation.split, seed=job.evaluation.seed, evaluation=measured))


def main() -> None:
    control = JobControl()
    jobs: list[events.Train | events.Evaluate] = []
    there = threading.Semaphore(0)

    def hear() -> None:
        for line in sys.stdin:
            request = events.REQUEST.validate_json(line)
            if isinstance(request, events.Train | events.Evaluate):
                jobs.append(request)
                there.release()
            else:
                control.take(request)
        os._exit(0)

    threading.Thread(target=hear, daemon=True).start()
    say(events.WorkerReady(pid=os.getpid(), device="pretended", versions={}))
    while there.acquire():
        job = jobs.pop(0)
        if isinstance(job, events.Train):
            train(job.segment, control)
        else:
            evaluate(job)


if __name__ == "__main__":
    main()

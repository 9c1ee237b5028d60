"""The trainer process, `python -m engine.training.worker`: requests are JSON lines on stdin, events on stdout.

Started by an executor. It keeps torch imported and takes one segment or evaluation after another. It dies with the
engine: at once, even when the engine was killed. Nothing but events ever reaches the real stdout.
"""

from __future__ import annotations

import argparse
import logging
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from typing import BinaryIO, NoReturn

from pydantic import ValidationError

from engine.host.priority import lower_session
from engine.training import events
from engine.training.control import JobControl
from engine.training.events import SegmentEnd
from engine.training.process import Channel, die, die_with, importing, world_size
from engine.training.ranks import Followers
from engine.training.warned import WarningCollector

_log = logging.getLogger(__name__)

Job = events.Train | events.Evaluate


def abandon(channel: Channel, job: str, end: SegmentEnd, steps: int) -> NoReturn:
    """End a job that was stopped while it could not be interrupted, and this process with it."""
    channel.emit(events.WorkerLeaving())
    detail = "it was stopped before its first step"
    channel.emit(events.SegmentEnded(job=job, end=end, steps=steps, trainer_seconds=0.0, detail=detail))
    die(0)


def read_requests(requests: BinaryIO, control: JobControl, jobs: queue.SimpleQueue[Job]) -> None:
    """Sort requests into jobs and control until stdin ends, then end the process."""
    for line in requests:
        try:
            request = events.REQUEST.validate_json(line)
        except ValidationError as error:
            _log.error("a request that this version does not know: %s", error)
            die(2)
        if isinstance(request, events.Train | events.Evaluate):
            control.forget(request.segment.job if isinstance(request, events.Train) else request.job)
            jobs.put(request)
        else:
            control.take(request)
    die(0)


def ready() -> events.WorkerReady:
    """What this worker runs on."""
    import torch
    import transformers
    import trl

    # Their own deprecations, once a segment: nothing that a reader of the log could act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl)\b")
    transformers.logging.set_verbosity_warning()
    transformers.utils.logging.disable_progress_bar()
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    return events.WorkerReady(
        pid=os.getpid(),
        device=f"{world_size()} × {device}" if world_size() > 1 else device,
        versions={
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "trl": trl.__version__,
        },
    )


def serve(
    jobs: queue.SimpleQueue[Job], control: JobControl, emit: Callable[..., None], others: Followers | None = None
) -> None:
    """Import all that jobs need, say Ready, take job after job until one leaves the process in doubt."""
    with importing():
        from engine.training.scoring import run_evaluation
        from engine.training.segment import run_segment
    here = ready()
    WarningCollector(emit).listen("transformers", "datasets", "huggingface_hub")
    emit(here)
    while True:
        job = jobs.get()
        if isinstance(job, events.Train):
            spec = job.segment
            survives = run_segment(spec, emit, others.led(spec, control) if others and spec.steps_left else control)
        else:
            survives = run_evaluation(job, emit)
        if not survives:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=1, help="that train together, this one among them")
    parser.add_argument("--parent", type=int, required=True, help="process id of the engine")
    arguments = parser.parse_args()
    channel = Channel()
    die_with(arguments.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's ^C is for the engine
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    lower_session()
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    control, jobs = JobControl(lambda *job: abandon(channel, *job)), queue.SimpleQueue[Job]()
    threading.Thread(target=read_requests, args=(channel.requests, control, jobs), name="requests", daemon=True).start()
    channel.emit(events.Heartbeat(phase="importing torch"))
    others = Followers(arguments.processes, channel.emit) if arguments.processes > 1 else None
    serve(jobs, control, channel.emit, others)
    die(0)


if __name__ == "__main__":
    main()

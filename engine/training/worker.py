"""The trainer process, `python -m engine.training.worker`: requests are JSON lines on stdin, events on stdout.

Started by an executor. It keeps torch imported and takes one segment or evaluation after another. It dies with the
engine: at once, even when the engine was killed. Nothing but events ever reaches the real stdout.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import gc
import logging
import os
import queue
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from typing import BinaryIO, NoReturn

import psutil
from pydantic import ValidationError

from engine.training import events
from engine.training.control import JobControl
from engine.training.warned import WarningCollector

_PR_SET_PDEATHSIG = 1

_log = logging.getLogger(__name__)

Job = events.Train | events.Evaluate


class Channel:
    """The private copies of stdin and stdout. Libraries that print or read see stderr and an empty input instead."""

    def __init__(self) -> None:
        self.requests: BinaryIO = os.fdopen(os.dup(0), "rb")
        self._events: BinaryIO = os.fdopen(os.dup(1), "wb", buffering=0)
        self._lock = threading.Lock()
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123  a descriptor is wanted
            os.dup2(nothing.fileno(), 0)
        sys.stdout.flush()
        os.dup2(2, 1)

    def emit(self, message: events.Event | events.Heartbeat | events.WorkerLeaving) -> None:
        """Write one line. When nobody reads any more the process ends: the engine is gone."""
        line = message.model_dump_json().encode() + b"\n"
        with self._lock:
            try:
                while line:
                    line = line[self._events.write(line) :]
            except BrokenPipeError:
                die(0)


def die(status: int) -> NoReturn:
    """End this process at once, with the processes it started (vLLM's). From any thread."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
    os._exit(status)


def die_with(parent: int) -> None:
    """Ask the kernel for SIGKILL when the engine dies; the end of stdin says the same wherever this is not Linux."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it died before the call
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


def choose_gpu(slot: int, reserved: int = 0) -> None:
    """Make one of several visible GPUs the only one, by the worker's number. TRL refuses to see more than one.

    The last `reserved` of them are left alone: a vLLM server has them.
    """
    import torch

    count = torch.cuda.device_count()  # asks the driver only: CUDA must not be initialised yet
    if count > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(count)))).split(",")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible[slot % max(1, count - reserved)]


def ready() -> events.WorkerReady:
    """What this worker runs on."""
    import torch
    import transformers
    import trl

    # Their own deprecations, once a segment: nothing that a reader of the log could act on.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl)\b")
    transformers.logging.set_verbosity_warning()
    transformers.utils.logging.disable_progress_bar()
    gpu = torch.cuda.is_available()
    return events.WorkerReady(
        pid=os.getpid(),
        device=torch.cuda.get_device_name(0) if gpu else "cpu",
        versions={
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "trl": trl.__version__,
        },
    )


def serve(jobs: queue.SimpleQueue[Job], control: JobControl, emit: Callable[..., None]) -> None:
    """Import all that jobs need, say Ready, take job after job until one leaves the process in doubt."""
    from engine.training.scoring import run_evaluation
    from engine.training.segment import run_segment

    gc.collect()
    gc.freeze()  # the libraries' objects stay for good; sweeping them again costs 0.15 s at each change of segment
    here = ready()
    WarningCollector(emit).listen("transformers", "datasets", "huggingface_hub")
    emit(here)
    while True:
        job = jobs.get()
        if isinstance(job, events.Train):
            survives = run_segment(job.segment, emit, control)
        else:
            survives = run_evaluation(job, emit)
        if not survives:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slot", type=int, default=0, help="number of this worker among those of the engine")
    parser.add_argument("--parent", type=int, required=True, help="process id of the engine")
    parser.add_argument("--reserved-gpus", type=int, default=0, help="the last visible GPUs that no worker takes")
    arguments = parser.parse_args()
    channel = Channel()
    die_with(arguments.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's ^C is for the engine
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    control, jobs = JobControl(), queue.SimpleQueue[Job]()
    threading.Thread(target=read_requests, args=(channel.requests, control, jobs), name="requests", daemon=True).start()
    channel.emit(events.Heartbeat(phase="importing torch"))
    choose_gpu(arguments.slot, arguments.reserved_gpus)
    serve(jobs, control, channel.emit)
    die(0)


if __name__ == "__main__":
    main()

"""A worker of several processes (DDP): rank 0 is the worker that the engine knows, the others train along with it.

Rank 0 starts the others, gives them each segment, and decides for all when it is held or stopped; it alone saves and
speaks. Each scores its part of the prompts. They are in its process group and die with it, and it dies with the first
of them: half a worker trains nothing. As accelerate has it, each finds RANK, LOCAL_RANK and WORLD_SIZE in its
environment.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import reduce
from typing import Any

from engine import own_packages
from engine.training import events
from engine.training.control import JobControl
from engine.training.events import Evaluation, SegmentEnd, SegmentSpec
from engine.training.process import Channel, die, die_with, importing

_GRACE_SECONDS = 5.0
"""For rank 0 to come to the same failure as another rank, by itself."""
_DEATH_SECONDS = 1.0
"""Within which a lost process is noticed where its loss made a step fail."""
_PATIENCE = datetime.timedelta(days=365)
"""For each other: a pause has no end, and the executor watches over hangs."""

_log = logging.getLogger(__name__)


def join(rank: int, processes: int, store: str) -> None:
    """Meet the other processes of the worker. `store`: path of a file they all can open."""
    import torch
    import torch.distributed as dist

    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    os.environ |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))  # else accelerate sets the threads anew
    for library in ("GLOO", "NCCL"):  # they are all on this machine
        os.environ.setdefault(f"{library}_SOCKET_IFNAME", "lo")
    gpu = torch.cuda.is_available()
    if gpu:
        torch.cuda.set_device(rank)
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if gpu else "gloo", store=dist.FileStore(store, processes),  # type: ignore[attr-defined]
        rank=rank, world_size=processes, timeout=_PATIENCE,
    )  # fmt: skip


def _agreed(ask: Callable[[], Any]) -> Any:
    """What `ask` answers in rank 0, in every rank, once all have come here."""
    import torch
    import torch.distributed as dist

    answer = [ask() if dist.get_rank() == 0 else None]
    dist.broadcast_object_list(answer, src=0, device=torch.device("cpu"))
    return answer[0]


def _told(error: Exception) -> Exception:
    """An exception that can be sent to the other ranks."""
    try:
        pickle.dumps(error)
    except Exception:  # noqa: BLE001  whatever an exception of a task does when it is pickled
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


class SharedControl(JobControl):
    """Stop and pause for all ranks: rank 0 asks its own control, and all go by the answer. Every rank must ask."""

    shared = True

    def __init__(self, own: JobControl | None = None, failed: Callable[[], None] = lambda: None) -> None:
        """`own`: rank 0's control; None in the others. `failed`: called when a job failed here."""
        super().__init__()
        self._own, self._failed = own or self, failed
        self.leads = own is not None

    def stop_of(self, job: str) -> SegmentEnd | None:
        end: SegmentEnd | None = _agreed(lambda: self._own.stop_of(job))
        return end

    def gives_up_scoring(self, job: str) -> bool:
        """Asked in the middle of a part of the prompts, where the others have theirs: rank 0 gives up for all."""
        return self.leads and self._own.gives_up_scoring(job)

    def divided(self, score: Callable[[int, int], Evaluation], begin: int, end: int) -> Evaluation:
        """The scores of every rank's part of the prompts, in every rank. What one raises all raise."""
        import torch.distributed as dist

        ranks = dist.get_world_size()
        first, last = (begin + (end - begin) * rank // ranks for rank in (dist.get_rank(), dist.get_rank() + 1))
        mine: Evaluation | Exception | None
        try:
            mine = score(first, last) if first < last else None
        except Exception as error:  # noqa: BLE001  raised again once the others know
            mine = _told(error)
        parts: list[Evaluation | Exception | None] = [None] * ranks
        dist.all_gather_object(parts, mine)
        scored = []
        for part in parts:
            if isinstance(part, Exception):
                raise part
            if part is not None:
                scored.append(part)
        whole = reduce(Evaluation.and_then, scored)
        return whole.model_copy(update={"seconds": max(part.seconds for part in scored)})

    def hold(self, job: str) -> float:
        seconds: float = _agreed(lambda: self._own.hold(job))
        return seconds

    def failed(self) -> None:
        self._failed()


class Followers:
    """The other processes of a worker, as rank 0 sees them.

    Args:
        processes: of the worker, rank 0 among them. emit: tells the engine.
    """

    def __init__(self, processes: int, emit: Callable[..., None]) -> None:
        self._emit = emit
        # A file of the memory, which leaves nothing behind however the worker ends.
        store = f"/proc/{os.getpid()}/fd/{os.memfd_create('rendezvous')}"
        arguments = ["--processes", str(processes), "--parent", str(os.getpid()), "--store", store]
        command = [*own_packages.command("engine.training.ranks"), *arguments]
        self._others = [
            subprocess.Popen([*command, "--rank", str(rank)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
            for rank in range(1, processes)
        ]
        for rank, process in enumerate(self._others, 1):
            threading.Thread(target=self._watch, args=(rank, process), name=f"rank {rank}", daemon=True).start()
        join(0, processes, store)

    def led(self, spec: SegmentSpec, control: JobControl) -> JobControl:
        """Give the others a segment; what all of them go by while it trains."""
        _agreed(spec.model_dump_json)
        return SharedControl(control, self._end_with_a_lost_one)

    def _watch(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        """Wait until a rank says that it failed, or is gone; this worker ends then."""
        assert process.stdout is not None
        failure = process.stdout.readline()
        if failure:  # rank 0 most likely fails in the same way, and says so itself; or it waits for that rank for ever
            time.sleep(_GRACE_SECONDS)
            self._emit(events.WorkerLeaving())
            self._emit(events.SegmentEnded.model_validate_json(failure))
            die(0)
        self._end(rank, process)

    def _end(self, rank: int, process: subprocess.Popen[bytes]) -> None:
        _log.error("rank %d of %d is gone, with status %d", rank, len(self._others) + 1, process.wait())
        die(1)

    def _end_with_a_lost_one(self) -> None:
        """A step that failed because a process is gone is the loss of a worker, not a failure of the segment."""
        until = time.monotonic() + _DEATH_SECONDS
        while time.monotonic() < until:
            for rank, process in enumerate(self._others, 1):
                if process.poll() is not None:
                    self._end(rank, process)
            time.sleep(0.02)


def main() -> None:
    """Any rank but 0: train what rank 0 gives, until it ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--rank", "--processes", "--parent"):
        parser.add_argument(name, type=int, required=True)
    parser.add_argument("--store", required=True)
    arguments = parser.parse_args()
    channel = Channel()
    die_with(arguments.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    form = f"%(asctime)s %(levelname)s rank {arguments.rank}: %(message)s"
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format=form)
    join(arguments.rank, arguments.processes, arguments.store)
    follow(channel.emit)


def follow(emit: Callable[..., None]) -> None:
    """Train segment after segment with the other ranks, silently; a failure is told to rank 0, and is the end."""
    with importing():
        from engine.training.segment import run_segment
    failed = False

    def told(message: Any) -> None:
        nonlocal failed
        if isinstance(message, events.SegmentEnded) and message.end not in _ORDERLY:
            failed = True
            emit(message)

    while not failed:
        spec = SegmentSpec.model_validate_json(_agreed(str))
        run_segment(spec, told, SharedControl())
    threading.Event().wait()  # rank 0 ends this process


_ORDERLY = (SegmentEnd.FINISHED, SegmentEnd.STOPPED, SegmentEnd.EARLY_STOPPED)


if __name__ == "__main__":
    main()

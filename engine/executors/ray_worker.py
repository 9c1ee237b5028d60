"""What runs on a machine of a Ray cluster: an actor that keeps one worker by a local executor of its own.

Made by the Ray executor, one for each worker, in its process on that machine. Jobs come in as JSON and events go out as
JSON, numbered, until they were taken. Paths that mean nothing on this machine are replaced by copies: those that the
job at hand reads, and a few more.
"""

from __future__ import annotations

import asyncio
import hashlib
import platform
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import ray
from pydantic import TypeAdapter

from engine.executors import moving
from engine.executors.lease import GrantedLease
from engine.executors.local import LocalExecutor
from engine.executors.moving import MovedFile
from engine.executors.scratch import Scratch
from engine.training import events
from engine.training.events import MANIFEST, Evaluate, Event, SegmentEnd, SegmentSpec

JOB: TypeAdapter[events.Train | Evaluate] = TypeAdapter(events.Train | Evaluate)
INPUTS = ("base", "parent", "optimizer", "reference")
"""Fields of a segment that name a directory it reads."""
SPARE = 2
"""Copies that are kept besides what the job at hand reads: a segment often begins where the last one ended."""


class RayWorker:
    """One worker on this machine. All methods are called from afar, in one event loop."""

    def __init__(self) -> None:
        self._told: list[tuple[int, str]] = []
        self._count = 0
        self._news = asyncio.Event()
        self._moved: dict[str, str] = {}  # path on the engine's machine → copy here, the last used last
        self._wanted: set[str] = set()  # those that the job at hand reads
        self._finished: dict[str, str] = {}  # result that was not taken yet → its path on the engine's machine

    async def start(self, logs: str, number: int, options: dict[str, Any]) -> tuple[str, str]:
        """Start the worker; the name of this machine, and Ray's for it. `logs`: the run's directory, used where it
        exists here."""
        run = hashlib.sha256(logs.encode()).hexdigest()[:12]
        self._scratch = await asyncio.to_thread(Scratch, run, number)
        self._copies, self._results = self._scratch.path / "copies", self._scratch.path / "results"
        self._copies.mkdir()
        place = Path(logs) if Path(logs).is_dir() else self._scratch.path
        self._executor = LocalExecutor(1, place, first=number, **options)
        await self._executor.start()
        self._lease = GrantedLease(lambda: self._executor.pids)
        self._listening = asyncio.create_task(self._listen())
        return platform.node(), ray.get_runtime_context().get_node_id()

    async def renew(self) -> None:
        """The engine is there and hears this."""
        self._lease.renew()

    async def _listen(self) -> None:
        while True:
            event = await self._executor.next_event()
            self._count += 1
            self._told.append((self._count, self._noted(event).model_dump_json()))
            self._news.set()

    async def events(self, after: int) -> list[tuple[int, str]]:
        """Events later than number `after`; waits for one. Those up to it are forgotten."""
        self._told = [each for each in self._told if each[0] > after]
        while not self._told:
            if self._listening.done():
                self._listening.result()
            self._news.clear()
            news = asyncio.ensure_future(self._news.wait())
            await asyncio.wait({self._listening, news}, return_when=asyncio.FIRST_COMPLETED)
        return list(self._told)

    async def submit(self, request: str) -> None:
        """Take a job: a Train or an Evaluate, whose paths are those of the engine's machine."""
        job = JOB.validate_json(request)
        moving.remove(self._results)  # of the job before
        await self._executor.submit(self._segment(job.segment) if isinstance(job, events.Train) else self._scoring(job))
        self._tidy()

    async def stop(self, job: str, end: str, within: float | None) -> None:
        await self._executor.stop(job, SegmentEnd(end), within)

    async def pause(self) -> None:
        await self._executor.pause()

    async def unpause(self) -> None:
        await self._executor.unpause()

    async def close(self) -> None:
        """End the worker; the actor may go then."""
        self._listening.cancel()
        await self._executor.close()
        self._scratch.remove()

    # ---- files ----------------------------------------------------------------------------------------------------

    async def lacking(self, paths: Sequence[str]) -> list[str]:
        """Which of these absolute paths, all that the next job reads, are not here, and have no copy yet."""
        self._wanted = set(paths)
        for path in paths:
            if path in self._moved:
                self._moved[path] = self._moved.pop(path)
        return [path for path in paths if path not in self._moved and not Path(path).exists()]

    async def begun(self, content: str) -> dict[str, int] | None:
        """Bytes of each file that an earlier try has brought of a directory; None when it is whole."""
        if (self._copies / content).is_dir():
            return None
        partial = self._copies / f"{content}.partial"
        return {path.name: path.stat().st_size for path in partial.iterdir()} if partial.is_dir() else {}

    async def write(self, content: str, name: str, offset: int, piece: bytes) -> None:
        """Put a piece of a file of a directory that is on its way."""
        partial = self._copies / f"{content}.partial"
        partial.mkdir(exist_ok=True)
        with (partial / name).open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(piece)

    async def complete(self, content: str, files: list[dict[str, Any]], stands_for: dict[str, str]) -> None:
        """All of a directory was written: verify it. `stands_for`: path on the engine's machine → name in it, or ""."""
        listed = [MovedFile.model_validate(file) for file in files]
        target = self._copies / content

        async def nothing(name: str, offset: int) -> bytes:
            return b""

        await moving.bring(listed, nothing, target)
        self._moved |= {path: str(target / name) for path, name in stands_for.items()}

    async def results(self) -> list[tuple[str, str, list[dict[str, Any]]]]:
        """Complete directories of results that only this machine has: path here, path there, files."""
        copies = []
        for here, there in list(self._finished.items()):
            files = await asyncio.to_thread(moving.listing, Path(here))
            copies.append((here, there, [file.model_dump() for file in files]))
        return copies

    async def read(self, source: str, name: str, offset: int) -> bytes:
        """A piece of a result."""
        return await asyncio.to_thread(moving.read, Path(source), name, offset)

    async def taken(self, source: str, target: str) -> None:
        """A result has arrived as `target`: this one serves as its copy."""
        self._moved.pop(target, None)
        self._moved[target] = str(Path(source).replace(tempfile.mkdtemp(dir=self._copies)))
        del self._finished[source]
        self._tidy()

    def _tidy(self) -> None:
        """Remove the copies that were used least recently; what the job at hand reads stays."""
        for path in [path for path in self._moved if path not in self._wanted][:-SPARE]:
            del self._moved[path]
        kept = [Path(copy) for copy in self._moved.values()]
        for each in self._copies.iterdir():
            if not any(copy.is_relative_to(each) for copy in kept):
                moving.remove(each)

    # ---- paths ----------------------------------------------------------------------------------------------------

    def _here(self, path: str) -> str:
        return self._moved.get(path, path)

    def _output(self, there: str) -> str:
        """Where results are written: there, if the engine's directory is here too."""
        if Path(there).parent.is_dir():
            return there
        here = self._results / there.strip("/")
        here.mkdir(parents=True)
        return str(here)

    def _noted(self, event: Event) -> Event:
        """The event, its path that of the engine's machine. Results that the worker is through with are to go there."""
        if isinstance(event, events.CheckpointSaved):
            told = event.directory
            self._finish([told])
            inputs = (path for path, copy in reversed(self._moved.items()) if copy == told)
            return event.model_copy(update={"directory": self._finished.get(told) or next(inputs, told)})
        if isinstance(event, events.SegmentEnded | events.EvaluationResult):
            self._finish(str(manifest.parent) for manifest in self._results.rglob(MANIFEST))
        return event

    def _finish(self, results: Iterable[str]) -> None:
        for each in map(Path, results):
            if each.is_relative_to(self._results):
                self._finished[str(each)] = str("/" / each.relative_to(self._results))

    def _task(self, name: str) -> str:
        return ":".join(self._here(part) for part in name.split(":"))

    def _segment(self, spec: SegmentSpec) -> SegmentSpec:
        changes: dict[str, Any] = {n: self._here(path) for n in INPUTS if (path := getattr(spec, n)) is not None}
        return spec.model_copy(
            update={**changes, "task": self._task(spec.task), "directory": self._output(spec.directory)}
        )

    def _scoring(self, job: Evaluate) -> Evaluate:
        return job.model_copy(
            update={
                "task": self._task(job.task),
                "base": self._here(job.base),
                "directories": [self._here(path) for path in job.directories],
                "save_to": job.save_to and self._output(job.save_to),
            }
        )

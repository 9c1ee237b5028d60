"""What runs on a machine of a Ray cluster: an actor that keeps one worker by a local executor of its own.

Made by the Ray executor, one for each worker, in its process on that machine. Jobs come in as JSON and events go out as
JSON, numbered, until they were taken. Paths that mean nothing on this machine are replaced by copies.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from pydantic import TypeAdapter

from engine.executors import moving
from engine.executors.lease import GrantedLease
from engine.executors.local import LocalExecutor
from engine.executors.moving import MovedFile
from engine.training import events
from engine.training.events import MANIFEST, Evaluate, SegmentEnd, SegmentSpec

JOB: TypeAdapter[events.Train | Evaluate] = TypeAdapter(events.Train | Evaluate)
INPUTS = ("base", "parent", "optimizer", "reference")
"""Fields of a segment that name a directory it reads."""


class RayWorker:
    """One worker on this machine. All methods are called from afar, in one event loop."""

    def __init__(self) -> None:
        self._told: list[tuple[int, str]] = []
        self._count = 0
        self._news = asyncio.Event()
        self._moved: dict[str, str] = {}  # path on the engine's machine → copy here
        self._outputs: dict[str, str] = {}  # directory of results here → the one on the engine's machine
        self._sent: dict[str, int] = {}  # checkpoint here → when it was written, as last sent

    async def start(self, logs: str, number: int, options: dict[str, Any]) -> tuple[str, str]:
        """Start the worker; the name of this machine, and Ray's for it. `logs`: the run's directory, used where it
        exists here."""
        run = hashlib.sha256(logs.encode()).hexdigest()[:12]
        self._scratch = Path(tempfile.gettempdir()) / f"llmzero-{os.getuid()}-{run}-{number}"
        self._scratch.mkdir(mode=0o700, exist_ok=True)
        place = Path(logs) if Path(logs).is_dir() else self._scratch
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
            self._told.append((self._count, event.model_dump_json()))
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
        await self._executor.submit(self._segment(job.segment) if isinstance(job, events.Train) else self._scoring(job))

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
        moving.remove(self._scratch)

    # ---- files ----------------------------------------------------------------------------------------------------

    async def lacking(self, paths: Sequence[str]) -> list[str]:
        """Which of these absolute paths are not here, and have no copy yet."""
        return [path for path in paths if path not in self._moved and not Path(path).exists()]

    async def begun(self, content: str) -> dict[str, int] | None:
        """Bytes of each file that an earlier try has brought of a directory; None when it is whole."""
        if (self._scratch / content).is_dir():
            return None
        partial = self._scratch / f"{content}.partial"
        return {path.name: path.stat().st_size for path in partial.iterdir()} if partial.is_dir() else {}

    async def write(self, content: str, name: str, offset: int, piece: bytes) -> None:
        """Put a piece of a file of a directory that is on its way."""
        partial = self._scratch / f"{content}.partial"
        partial.mkdir(exist_ok=True)
        with (partial / name).open("r+b" if offset else "wb") as file:
            file.seek(offset)
            file.write(piece)

    async def complete(self, content: str, files: list[dict[str, Any]], stands_for: dict[str, str]) -> None:
        """All of a directory was written: verify it. `stands_for`: path on the engine's machine → name in it, or ""."""
        listed = [MovedFile.model_validate(file) for file in files]
        target = self._scratch / content

        async def nothing(name: str, offset: int) -> bytes:
            return b""

        await moving.bring(listed, nothing, target)
        self._moved |= {path: str(target / name) for path, name in stands_for.items()}

    async def results(self) -> list[tuple[str, str, list[dict[str, Any]]]]:
        """Complete directories of results that only this machine has: path here, path there, files."""
        copies = []
        for here, there in self._outputs.items():
            for source, written in _checkpoints(Path(here)).items():
                if self._sent.get(source) != written:
                    files = await asyncio.to_thread(moving.listing, Path(source))
                    target = Path(there) / Path(source).relative_to(here)
                    copies.append((source, str(target), [file.model_dump() for file in files]))
        return copies

    async def read(self, source: str, name: str, offset: int) -> bytes:
        """A piece of a result."""
        return await asyncio.to_thread(moving.read, Path(source), name, offset)

    async def taken(self, source: str, target: str) -> None:
        """A result has arrived as `target`: this copy serves where that one is read later."""
        self._sent[source] = _checkpoints(Path(source)).get(source, 0)
        self._moved[target] = source

    # ---- paths ----------------------------------------------------------------------------------------------------

    def _here(self, path: str) -> str:
        return self._moved.get(path, path)

    def _output(self, there: str) -> str:
        """Where results are written: there, if the engine's directory is here too."""
        if Path(there).parent.is_dir():
            return there
        here = self._scratch / "results" / there.strip("/")
        here.mkdir(parents=True, exist_ok=True)
        self._sent |= _checkpoints(here)  # of an earlier try
        self._outputs[str(here)] = there
        return str(here)

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


def _checkpoints(directory: Path) -> dict[str, int]:
    """Complete checkpoints in a directory, itself among them, and when each was written."""
    return {str(manifest.parent): manifest.stat().st_mtime_ns for manifest in sorted(directory.rglob(MANIFEST))}

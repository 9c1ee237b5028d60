"""Brings the files of a job to the machine of its worker, and its checkpoints back, where they share no directory.

Used by the Ray executor. Where both see the same directory it finds nothing to do, and copies nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from engine.executors import moving
from engine.executors.moving import MovedFile
from engine.executors.ray_worker import INPUTS, JOB
from engine.training import events
from engine.training.events import Evaluate, Event, SegmentSpec


class Carrier:
    """Between the engine's machine and that of one actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    async def send(self, request: str) -> None:
        """Have all that a job reads on the other machine. Raises Fault and OSError."""
        job = JOB.validate_json(request)
        paths = list(dict.fromkeys(_paths(job.segment if isinstance(job, events.Train) else job)))
        for path in await self._actor.lacking.remote(paths):
            await self._send(Path(path))

    async def _send(self, path: Path) -> None:
        """A directory, or a file with the Python files beside it."""
        single = path.is_file()
        source = path.parent if single else path
        names = _beside(path) if single else None
        files = await asyncio.to_thread(moving.listing, source, names)
        content = moving.content(files)
        begun = await self._actor.begun.remote(content)
        for file in files if begun is not None else ():
            at = begun.get(file.name, -1)
            while at < file.size:
                at = max(at, 0)
                piece = await asyncio.to_thread(moving.read, source, file.name, at)
                await self._actor.write.remote(content, file.name, at, piece)
                at += len(piece)
        stands_for = {str(path): path.name if single else ""}
        await self._actor.complete.remote(content, [file.model_dump() for file in files], stands_for)

    async def fetched(self, event: Event) -> Event:
        """The event, once all that it speaks of lies here."""
        if isinstance(event, events.CheckpointSaved | events.SegmentEnded | events.EvaluationResult):
            for source, target, files in await self._actor.results.remote():
                await self._fetch(source, Path(target), [MovedFile.model_validate(file) for file in files])
        return event

    async def _fetch(self, source: str, target: Path, files: list[MovedFile]) -> None:
        async def read(name: str, offset: int) -> bytes:
            piece: bytes = await self._actor.read.remote(source, name, offset)
            return piece

        moving.remove(target)  # of an earlier try
        await moving.bring(files, read, target)
        await self._actor.taken.remote(source, str(target))


def _paths(job: SegmentSpec | Evaluate) -> Iterator[str]:
    """Absolute paths of what a job reads."""
    named = [getattr(job, name, None) for name in INPUTS]
    directories = job.directories if isinstance(job, Evaluate) else []
    for path in (*job.task.split(":"), *named, *directories):
        if path and Path(path).is_absolute():
            yield path


def _beside(path: Path) -> list[str]:
    """A file of the user's and the Python files in its directory, which it may import."""
    return sorted({path.name, *(each.name for each in path.parent.glob("*.py"))})

"""Directories moved between machines that share none: listed with digests, sent piece by piece, verified, then named.

Used by both ends of the Ray executor. What arrives is taken up where it broke off, and has its name only once it is
whole and each file has the digest that it left with.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from engine.errors import Fault
from engine.training.events import MANIFEST

PIECE = 16 * 2**20
"""Bytes that are sent at once."""

Read = Callable[[str, int], Awaitable[bytes]]
"""Bytes of a named file of the source from an offset on, at most PIECE."""


class MovedFile(BaseModel):
    """A file of a directory that is moved: its name there, bytes, and SHA-256."""

    model_config = ConfigDict(frozen=True)

    name: str
    size: int
    digest: str


def listing(source: Path, names: Sequence[str] | None = None) -> list[MovedFile]:
    """The files directly in a directory, or those named, the manifest of a checkpoint last."""
    paths = [source / name for name in names] if names is not None else [p for p in source.iterdir() if p.is_file()]
    paths.sort(key=lambda path: (path.name == MANIFEST, path.name))
    return [MovedFile(name=path.name, size=path.stat().st_size, digest=_digest(path)) for path in paths]


def content(files: Sequence[MovedFile]) -> str:
    """A name for a directory by what is in it."""
    text = "\n".join(f"{file.name} {file.digest}" for file in files)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read(source: Path, name: str, offset: int) -> bytes:
    """At most PIECE bytes of a file from an offset on."""
    with (source / name).open("rb") as file:
        file.seek(offset)
        return file.read(PIECE)


async def bring(files: Sequence[MovedFile], read: Read, target: Path) -> None:
    """Make `target` a copy of the files listed. What an earlier try has brought is not sent again.

    Raises:
        Fault: a file is not what was listed, or not what the manifest among them says.
    """
    if target.is_dir():
        return
    partial = target.with_name(f"{target.name}.partial")
    partial.mkdir(parents=True, exist_ok=True)
    for file in files:
        path = partial / file.name
        with path.open("ab") as written:
            while written.tell() < file.size and (piece := await read(file.name, written.tell())):
                written.write(piece)
        if path.stat().st_size != file.size or await asyncio.to_thread(_digest, path) != file.digest:
            path.unlink()
            raise Fault(f"{target.name}/{file.name} did not arrive as it was sent")
    verify(partial)
    partial.replace(target)


def verify(directory: Path) -> None:
    """Raises Fault when a checkpoint is not what its manifest says; a directory without one is taken as it is."""
    manifest = directory / MANIFEST
    if not manifest.is_file():
        return
    for name, size in json.loads(manifest.read_bytes()).get("files", {}).items():
        path = directory / name
        if not path.is_file() or path.stat().st_size != size:
            raise Fault(f"{directory.name}/{name} is not as its manifest has it")


def remove(directory: Path) -> None:
    """Delete a directory, if it is there."""
    shutil.rmtree(directory, ignore_errors=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

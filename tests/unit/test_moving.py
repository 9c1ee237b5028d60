"""Directories that are moved: taken up where they broke off, verified, and named only once they are whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.errors import Fault
from engine.executors import moving

WEIGHTS = bytes(range(256)) * 1000


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    source = tmp_path / "checkpoint-5"
    source.mkdir()
    (source / "model.safetensors").write_bytes(WEIGHTS)
    (source / "empty").write_bytes(b"")
    sizes = {"model.safetensors": len(WEIGHTS), "empty": 0}
    (source / "manifest.json").write_text(json.dumps({"files": sizes}))
    return source


class Line:
    """A connection over which some bytes go at once, and which breaks after so many pieces."""

    def __init__(self, source: Path, pieces: int = 10**6) -> None:
        self.source, self.pieces, self.sent = source, pieces, 0

    async def read(self, name: str, offset: int) -> bytes:
        if not self.pieces:
            raise ConnectionError
        self.pieces -= 1
        piece = moving.read(self.source, name, offset)[:100_000]
        self.sent += len(piece)
        return piece


async def test_a_copy_is_taken_up_where_it_broke_off(checkpoint: Path, tmp_path: Path) -> None:
    files, target = moving.listing(checkpoint), tmp_path / "copy"
    with pytest.raises(ConnectionError):
        await moving.bring(files, Line(checkpoint, pieces=2).read, target)
    assert not target.exists()
    rest = Line(checkpoint)
    await moving.bring(files, rest.read, target)
    assert {path.name: path.read_bytes() for path in target.iterdir()} == {
        path.name: path.read_bytes() for path in checkpoint.iterdir()
    }
    assert rest.sent == sum(file.size for file in files) - 200_000
    again = Line(checkpoint)
    await moving.bring(files, again.read, target)
    assert again.sent == 0


async def test_a_file_that_changed_on_its_way_is_a_fault(checkpoint: Path, tmp_path: Path) -> None:
    files = moving.listing(checkpoint)
    (checkpoint / "model.safetensors").write_bytes(WEIGHTS[::-1])
    with pytest.raises(Fault, match="did not arrive as it was sent"):
        await moving.bring(files, Line(checkpoint).read, tmp_path / "copy")


async def test_a_checkpoint_that_is_not_what_its_manifest_says_is_a_fault(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "model.safetensors").write_bytes(WEIGHTS[:-1])
    with pytest.raises(Fault, match="is not as its manifest has it"):
        await moving.bring(moving.listing(checkpoint), Line(checkpoint).read, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_the_manifest_goes_last_and_content_names_a_directory(checkpoint: Path, tmp_path: Path) -> None:
    files = moving.listing(checkpoint)
    assert files[-1].name == "manifest.json"
    before = moving.content(files)
    (checkpoint / "empty").write_bytes(b"x")
    assert moving.content(moving.listing(checkpoint)) != before

"""Files that leave a run: answers of queries, copies of the database, the best policy.

One core for `llmzero sql|snapshot|export` and for the screens' workers. A file is there whole or not at all, and
nothing is overwritten unless the caller was told to; no terminal, no question here.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from engine.errors import Fault, UserError, short_path
from engine.files import whole
from engine.run.rundir import refuse_files_of_runs
from engine.store.base import to_rows
from llmzero_tui.format import plain
from llmzero_tui.text.output import table as aligned
from llmzero_tui.values.answers import PIECE, is_number, to_json, unique, values

if TYPE_CHECKING:
    import pyarrow as pa

FORMATS = {".csv": "csv", ".json": "json", ".parquet": "parquet"}


@dataclass(frozen=True, slots=True)
class ExportTarget:
    """Where to write; `overwrite`: the human saw that something is there and wants it replaced."""

    path: Path
    overwrite: bool


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that was made, for one line to the user."""

    path: Path
    what: str
    size: int

    def __str__(self) -> str:
        return f"wrote {plain(self.path.absolute(), 300)}: {self.what}, {file_size(self.size)}"


def file_size(count: float) -> str:
    """Bytes as people say them: 820 B, 3.1 KB, 2.4 GB."""
    for unit in ("B", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"


def rows_word(count: int) -> str:
    """1 row, 12,345 rows."""
    return "1 row" if count == 1 else f"{count:,} rows"


def format_of(path: Path) -> str:
    """The format that a file's name says. Raises UserError for a name that says none."""
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise UserError(f"{plain(path.name, 80)!r} has no known format; allowed: {', '.join(FORMATS)}")
    return kind


def file_name(text: str) -> str:
    """Foreign text as part of a file's name that needs no quotes."""
    return re.sub(r"[^\w.-]+", "-", plain(text, 80)).strip("-.") or "run"


def target(text: str, *, suffixes: tuple[str, ...] = (), directory: bool = False) -> Path:
    """The file that a user named, or the directory that is to be made.

    Raises:
        UserError: in one line, what is wrong with the name: nothing, unprintable, no such directory, a directory, not
        one of `suffixes`.
    """
    text = text.strip()
    if not text or not text.isprintable():
        raise UserError("no file name" if not text else "a file's name must be printable")
    try:
        path = Path(text).expanduser()
        if path.name in ("", ".."):
            raise UserError(f"{text[:80]} is not a file name")
        if suffixes and path.suffix.lower() not in suffixes:
            raise UserError(f"{path.name[:80]!r} must end in {' or '.join(suffixes)}")
        if not path.parent.is_dir():
            raise UserError(f"{short_path(path.parent)} is not a directory")
        if path.is_dir() and not directory:
            raise UserError(f"{short_path(path)} is a directory; name a file in it")
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{text[:80]} is not a file name: {getattr(error, 'strerror', None) or error}") from error
    return path


# ---- whole or not at all --------------------------------------------------------------------------------------------


@contextmanager
def whole_file(output: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """A file that is at `output` once the block has ended well; see `engine.files.whole` for links and devices.

    Raises:
        UserError: it cannot be written, it belongs to a run, or it exists and must not be overwritten.
    """
    refuse_files_of_runs(output)
    if not overwrite and os.path.lexists(output):
        raise UserError(f"{short_path(output)} exists and is not overwritten; choose another name")
    try:
        with whole(output) as file:
            yield file
    except OSError as error:
        raise UserError(f"{short_path(output)}: cannot be written: {error.strerror or error}") from error


@contextmanager
def whole_directory(output: Path) -> Iterator[Path]:
    """A directory to fill, which is at `output` once the block has ended well. It never takes an existing one's place.

    Raises:
        UserError: there is something, it is inside what a run consists of, or it cannot be written.
    """
    refuse_files_of_runs(output)
    if output.exists():
        raise UserError(f"{short_path(output)} exists and is not overwritten; choose another name")
    if not output.name:
        raise UserError(f"{short_path(output)} is not a file name")
    place: Path | None = None
    try:
        place = Path(tempfile.mkdtemp(dir=output.parent, prefix=".llmzero-"))
        made = place / output.name
        made.mkdir()
        yield made
        made.rename(output)
    except OSError as error:
        raise UserError(f"{short_path(output)}: cannot be written: {error.strerror or error}") from error
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)


# ---- answers --------------------------------------------------------------------------------------------------------


def save_answer(answer: pa.Table, output: Path, *, overwrite: bool, cut: bool = False) -> WrittenFile:
    """Write an answer in the format of the file's name. `cut`: there were more rows than the reader gives."""
    with whole_file(output, overwrite=overwrite) as file:
        write_answer(answer, format_of(output), file)
        size = file.tell()
    words = rows_word(answer.num_rows)
    return WrittenFile(output, f"only the first {words}, the answer is too large" if cut else words, size)


def write_answer(answer: pa.Table, kind: str, file: BinaryIO, *, for_people: bool = False) -> None:
    """An answer as csv, json, parquet or table; `for_people`: it goes to a terminal."""
    if kind == "parquet":
        _write_parquet(answer, file)
    elif kind == "json":
        _write_json(answer, file)
    elif kind == "csv":
        for piece in _csv(answer):
            text = "".join(f"{plain(line)}\n" for line in piece.splitlines()) if for_people else piece
            file.write(_encoded(text))
    else:
        numeric = {i for i, each in enumerate(answer.schema) if is_number(each.type)}
        cells = [[_cell(value) for value in row] for row in values(answer)]
        file.write(_encoded("\n".join(aligned(answer.column_names, cells, right=numeric)) + "\n"))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _write_parquet(answer: pa.Table, file: BinaryIO) -> None:
    """Parquet knows no intervals of months and no two columns of one name: the first become text, the second a_2."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    answer = answer.rename_columns(unique(answer.column_names))
    for index, field in enumerate(answer.schema):
        if pa.types.is_interval(field.type):
            words = [row[field.name] for row in to_rows(answer.select([index]))]
            answer = answer.set_column(index, field.name, pa.array(words, pa.string()))
    try:
        pq.write_table(answer, file)
    except pa.ArrowNotImplementedError as error:
        raise UserError(f"parquet cannot hold this answer: {plain(error, 200)}; choose csv or json") from error


def _write_json(answer: pa.Table, file: BinaryIO) -> None:
    names, before = unique(answer.column_names), "[\n  "
    # A file is UTF-8, whatever the terminal is.
    ascii = None if file is getattr(sys.stdout, "buffer", None) else False
    for row in values(answer):
        text = to_json(dict(zip(names, row, strict=True)), ascii=ascii).replace("\n", "\n  ")
        file.write(_encoded(before + text))
        before = ",\n  "
    file.write(b"\n]\n" if answer.num_rows else b"[]\n")


def _csv(answer: pa.Table) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(answer.column_names)
    for number, row in enumerate(values(answer)):
        writer.writerow([_cell(value, null="") for value in row])
        if number % PIECE == PIECE - 1:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def _cell(value: object, null: str = "NULL") -> str:
    match value:
        case None:
            return null
        case float():
            return f"{value:.6g}" if null else repr(value)
        case dict() | list():
            return to_json(value, indent=None, ascii=False)
        case _:
            return str(value)


# ---- copying --------------------------------------------------------------------------------------------------------


class CopyStopped(Fault):
    """The user stopped the copy; nothing is left of it."""


Progress = Callable[[int, int], bool]
"""Called with (bytes copied, bytes in all); True stops the copy."""


def copy_directory(source: Path, output: Path, leave_out: tuple[str, ...], progress: Progress | None) -> int:
    """Copy the files of a directory into another, however large; returns the bytes.

    Raises:
        CopyStopped: by `progress`. UserError: no room. OSError.
    """
    files = [each for each in sorted(source.rglob("*")) if each.is_file() and each.name not in leave_out]
    output.mkdir(exist_ok=True)
    total, done, free = sum(each.stat().st_size for each in files), 0, shutil.disk_usage(output).free
    if total > free:
        raise UserError(f"{output.parent.parent} has {file_size(free)} left, the copy needs {file_size(total)}")
    for each in files:
        place = output / each.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        with each.open("rb") as incoming, place.open("wb") as outgoing:
            while piece := incoming.read(4 << 20):
                outgoing.write(piece)
                done += len(piece)
                if progress is not None and progress(done, total):
                    raise CopyStopped("the copy was stopped and removed")
    return done

"""A consistent copy of a run's database for other tools, of a live run too: the tables as of one moment, in a file of
its own.

Called by the face. The rows come through a reader, so the engine writes no file for a viewer and its SQL stays shut off
from the machine. It must never overwrite a file, nor leave half a copy under the target's name.
"""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import duckdb

from engine.errors import UserError, short, short_path
from engine.run.rundir import refuse_files_of_runs
from engine.store.database import HERE, create_views, open_database
from engine.store.errors import StoreFault, one_line
from engine.store.protocol import SCHEMA_VERSION
from engine.store.reader import Reader, ask_run

STORAGE_VERSIONS = ("v1.1.0", "v1.2.0", "v1.3.0", "v1.4.0", "v1.5.0", "v2.0.0", "latest")
"""Formats in which a copy can be written: each is read by that release of DuckDB and every newer one. DuckDB 1.0 is not
among them: it does not understand our views."""
READ_BY_MOST = STORAGE_VERSIONS[0]


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """What a copy holds, and DuckDB's name for its format, e.g. "v1.2.0+"."""

    rows: int
    storage_version: str


def snapshot(source: Reader | Path, target: Path, storage_version: str = READ_BY_MOST) -> SnapshotInfo:
    """Copies a run to a new DuckDB file.

    Args:
        source: an open reader, or the run's directory. storage_version: one of STORAGE_VERSIONS.

    Raises:
        UserError: the target exists, belongs to a run or cannot be made, an unknown version, or the run cannot be
        opened. QueryError, EngineGone: as a query does. StoreFault: the copy could not be written to its end.
    """
    if storage_version not in STORAGE_VERSIONS:
        raise UserError(f"storage version {short(storage_version)} is unknown: one of {', '.join(STORAGE_VERSIONS)}")
    try:
        return _checked_copy(source, target, storage_version)
    except OSError as error:
        raise UserError(f"{short_path(target)} cannot be written: {error.strerror}") from error


def _checked_copy(source: Reader | Path, target: Path, storage_version: str) -> SnapshotInfo:
    refuse_files_of_runs(target)
    if target.exists() or target.is_symlink():
        raise UserError(f"{target} exists and is not overwritten: choose another name")
    if not target.parent.is_dir():
        raise UserError(f"{target.parent} is not a directory: create it first")
    if not isinstance(source, Path):
        return _write(source, target, storage_version)
    return ask_run(source, lambda reader: _write(reader, target, storage_version))


def _write(reader: Reader, target: Path, storage_version: str) -> SnapshotInfo:
    partial = target.with_name(target.name[:200] + ".partial")
    try:
        partial.unlink(missing_ok=True)
        with closing(open_database(partial, read_only=False, storage_version=storage_version)) as copy:
            copied = SnapshotInfo(_copy(reader, copy), _storage_version(copy))
        partial.rename(target)
    except duckdb.Error as error:
        raise StoreFault(f"{target} cannot be written: {one_line(error)}") from error
    finally:
        with suppress(OSError):
            for leftover in (partial, partial.with_name(partial.name + ".wal")):
                leftover.unlink(missing_ok=True)
    return copied


def _storage_version(copy: duckdb.DuckDBPyConnection) -> str:
    row = copy.execute("SELECT tags['storage_version'] FROM duckdb_databases() WHERE NOT internal").fetchone()
    return str(row[0]) if row else ""


def _copy(reader: Reader, copy: duckdb.DuckDBPyConnection) -> int:
    rows = 0
    copy.execute("BEGIN TRANSACTION")
    copy.execute((HERE / "schema.sql").read_text(encoding="utf-8"))
    for name, piece in reader.tables():
        rows += piece.num_rows
        copy.register("piece", piece)
        # A table's name comes from the catalog of our own schema.
        copy.execute(f'INSERT INTO "{name}" BY NAME SELECT * FROM piece')  # noqa: S608
        copy.unregister("piece")
    copy.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(SCHEMA_VERSION)])
    create_views(copy, (HERE / "views.sql").read_text(encoding="utf-8"))
    copy.execute("COMMIT")
    return rows

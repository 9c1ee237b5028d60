"""Opens run.duckdb: settings that shut SQL off from the machine, the schema, and the errors of a file that is held or
unfit.

Called by the writer (the only one that writes) and by the file reader. It must never leave external access or the
settings open: every connection of the process shares them, the ad-hoc SQL of a human included.
"""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import suppress
from pathlib import Path

import duckdb

from engine.errors import UserError
from engine.store.errors import DamagedDatabase, one_line
from engine.store.protocol import SCHEMA_VERSION
from engine.store.upgrade import upgrade

HERE = Path(__file__).parent
GIB = 1 << 30


class DatabaseInUse(UserError):
    """Another process has the database open."""

    def __init__(self, path: Path, pid: int) -> None:
        super().__init__(f"{path} is held by process {pid}: one engine per run, and no other program that has it open")
        self.pid = pid


_HELD = re.compile(r"Conflicting lock is held.*?\(PID (\d+)\)", re.DOTALL)


def open_database(
    path: Path, *, read_only: bool, memory: int = 0, spill: Path | None = None, storage_version: str = ""
) -> duckdb.DuckDBPyConnection:
    """A connection to the file with external access off and the settings locked.

    Args:
        memory: bytes that all queries may use together, by default `memory_limit()`.
        spill: a directory for what does not fit into it, by default one beside the file.
        storage_version: of a file that is made, e.g. "v1.2.0" for DuckDB 1.2.0 and newer; by default DuckDB's own.

    Raises:
        UserError: another process holds the file (named by pid), or it cannot be opened or is no DuckDB file.
    """
    settings = _settings(memory or memory_limit())
    shut: dict[str, object] = {}
    if spill is not None:
        # It cannot be named once access to files is shut.
        shut = {name: settings.pop(name) for name in ("enable_external_access", "lock_configuration")}
        settings["temp_directory"] = str(spill)
    if storage_version:
        settings["storage_compatibility_version"] = storage_version
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        # DuckDB takes names of files as UTF-8 only.
        raise UserError(f"{str(path)!a}: the name is not valid UTF-8: rename the run's directory") from error
    try:
        connection = duckdb.connect(str(path), read_only=read_only, config=settings)
        for name, value in shut.items():
            connection.execute(f"SET {name} = {str(value).lower()}")
        return connection
    except duckdb.Error as error:
        raise open_error(path, error) from error


def _settings(memory: int) -> dict[str, str | bool | int | float | list[str]]:
    return {
        "enable_external_access": False,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "python_enable_replacements": False,
        "threads": min(4, os.cpu_count() or 1),
        "memory_limit": f"{memory // (1 << 20)}MiB",
        "max_temp_directory_size": "2GiB",
        # Here and not by SET: a second open in the same process shares the instance, which is locked by then. The
        # progress bar is off outside of notebooks, and a connection's own setting could not be given here.
        "lock_configuration": True,
    }


def memory_limit() -> int:
    """Bytes that all queries of one process may use together: a quarter of the machine, within 512 MiB … 4 GiB."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return max(GIB // 2, min(4 * GIB, machine // 4))


def holder(error: BaseException) -> int | None:
    """The pid that holds the file, when this error says so."""
    match = _HELD.search(str(error))
    if match:
        return int(match[1])
    # Within one process DuckDB shares the open file and refuses other settings instead of reporting a lock; while
    # another thread closes it, it is "already attached".
    here = ("different configuration", "Unique file handle conflict")
    return os.getpid() if any(words in str(error) for words in here) else None


def open_error(path: Path, error: duckdb.Error) -> UserError:
    """What to tell the user when the file does not open."""
    pid, text = holder(error), str(error)
    if pid is not None:
        return DatabaseInUse(path, pid)
    if "Permission denied" in text:
        return UserError(f"{path} cannot be opened: Permission denied")
    if not path.exists():
        return UserError(f"{path} cannot be opened: {one_line(error)}")
    if "version number" in text:
        return UserError(f"{path} cannot be opened: it was written by another version of DuckDB: {one_line(error)}")
    if "No locks available" in text or "not supported" in text.lower():
        return UserError(f"{path} cannot be opened: its file system has no locks, move the run to another one")
    with suppress(OSError):
        if path.stat().st_size == 0:
            return DamagedDatabase(path, "it is empty")
    if "not a valid DuckDB" in text:
        return DamagedDatabase(path, "it is not a DuckDB database")
    return DamagedDatabase(path, one_line(text.replace(f' "{path}"', "")))


def prepare(connection: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Creates tables where there are none, brings older ones and the views up to date, all in one transaction.

    Raises:
        UserError: the file was written by a newer schema, or is no run's.
    """
    version = schema_version(connection, path)
    views = (HERE / "views.sql").read_text(encoding="utf-8")
    if version == SCHEMA_VERSION and _digest_kept(connection) == _digest(views):
        return
    connection.execute("BEGIN TRANSACTION")
    if version is None:
        connection.execute((HERE / "schema.sql").read_text(encoding="utf-8"))
        connection.execute("INSERT INTO meta VALUES ('schema_version', ?), ('last_batch', '0')", [str(SCHEMA_VERSION)])
    else:
        upgrade(connection, version)
    create_views(connection, views)
    connection.execute("COMMIT")


def create_views(connection: duckdb.DuckDBPyConnection, views: str) -> None:
    """Creates or replaces the views, inside the caller's transaction, and keeps their digest: they take most of the
    time of an opening, so the next one leaves them where they are the same."""
    connection.execute(views)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('views', ?)", [_digest(views)])


def _digest(views: str) -> str:
    return hashlib.sha256(views.encode()).hexdigest()


def _digest_kept(connection: duckdb.DuckDBPyConnection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = 'views'").fetchone()
    return str(row[0]) if row else None


def schema_version(connection: duckdb.DuckDBPyConnection, path: Path) -> int | None:
    """The version of the tables in the file; None where there are none at all yet.

    Raises:
        DamagedDatabase: its tables are not ours, or cannot be read. UserError: the file is newer than this program.
    """
    try:
        tables = {str(name) for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}
        if not tables:
            return None
        if lacking := {"meta", "runs", "nodes", "events"} - tables:
            raise DamagedDatabase(path, f"it is not a run's database: it has no table {min(lacking)}")
        row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    except duckdb.Error as error:
        raise DamagedDatabase(path, one_line(error)) from error
    if row is None or not str(row[0]).isdecimal():
        raise DamagedDatabase(path, "it has no schema version")
    if (version := int(row[0])) > SCHEMA_VERSION:
        raise UserError(
            f"{path} has schema version {version}, but this llmzero reads up to {SCHEMA_VERSION}: install a newer one"
        )
    return version

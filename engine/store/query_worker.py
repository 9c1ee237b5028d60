"""The process in which ad-hoc SQL runs, `python -m engine.store.query_worker`: questions on stdin, answers on stdout.

Started by `engine.store.query_process` alone, which kills it when a query takes too long. It limits its own memory and
processor time, and must never outlive its parent, nor open anything but the run it is asked about.
"""

from __future__ import annotations

import json
import os
import resource
import select
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

from engine.errors import UserError
from engine.store.database import HERE, DatabaseInUse, open_database, schema_version
from engine.store.errors import QueryError, one_line
from engine.store.execute import QueryJob
from engine.store.protocol import PREFIX, decode_parameters, frame
from engine.store.together import Connect, gather
from engine.store.upgrade import as_of_now

OVERHEAD_MB = 512
"""What the program itself and the answer may take beside the query."""
SPARE_CPU_SECONDS = 5
NICE = 5


def main() -> None:
    """Answer until stdin ends."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)  # what a library prints is no answer
    _be_modest()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _reply(replies, {"ready": True})
    while prefix := requests.read(PREFIX.size):
        request = json.loads(requests.read(PREFIX.unpack(prefix)[0]))
        try:
            if "copy_from" in request:
                _reply(replies, {"path": _copy(Path(request["copy_from"]), Path(request["place"]))})
                continue
            try:
                table, truncated = _answer(request)
            except (MemoryError, duckdb.Error) as error:
                raise QueryError(one_line(error)) from error
            _reply(replies, {"truncated": truncated})
            with pa.ipc.new_stream(replies, table.schema) as stream:
                stream.write_table(table)
            replies.flush()
        except DatabaseInUse as error:
            _reply(replies, {"type": "gone", "error": f"the run was resumed by process {error.pid}: open it again"})
        except UserError as error:
            _reply(replies, {"type": "query", "error": _limit_reached(error, request) or str(error)})


def _be_modest() -> None:
    """Last to get a processor, first to go when the machine has no memory left."""
    os.nice(NICE)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def _end_with_parent() -> None:
    """Whoever asks has gone: nobody wants the answer."""
    poller = select.poll()
    poller.register(0, 0)  # a hang-up is always reported
    poller.poll()
    os._exit(0)


def _reply(replies: BinaryIO, header: dict[str, object]) -> None:
    replies.write(frame(header))
    replies.flush()


def _copy(source: Path, place: Path) -> str:
    """The database of a live run with what is not yet in its main file, while the engine writes nothing."""
    target = place / source.name
    try:
        place.mkdir()
        shutil.copyfile(source, target)
        with suppress(FileNotFoundError):
            shutil.copyfile(f"{source}.wal", f"{target}.wal")
    except OSError as error:
        raise UserError(f"the run cannot be copied to {place} for the query: {error.strerror}; TMPDIR names another"
                        " directory") from error  # fmt: skip
    return str(target)


def _answer(request: dict[str, Any]) -> tuple[pa.Table, bool]:
    memory = int(request["memory"])
    resource.setrlimit(resource.RLIMIT_DATA, ((memory + OVERHEAD_MB) << 20, resource.RLIM_INFINITY))
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = (used.ru_utime + used.ru_stime) + SPARE_CPU_SECONDS + request["seconds"] * (os.cpu_count() or 1)
    resource.setrlimit(resource.RLIMIT_CPU, (int(cpu) + 1, resource.RLIM_INFINITY))
    parameters = decode_parameters(request["params"])
    if not request["together"]:
        [run] = request["runs"]
        with _opened(run, request) as connect:
            result = QueryJob().run(connect, request["sql"], parameters, request["limit"])
        return result.table, result.truncated
    spill = Path(request["place"]) / "spill"
    with closing(open_database(Path(":memory:"), read_only=False, memory=memory << 20, spill=spill)) as every_run:
        for run in request["runs"]:
            with _opened(run, request) as connect:
                gather(every_run, run["name"], connect, request["sql"])
        result = QueryJob().run(every_run.cursor, request["sql"], parameters, request["limit"])
    return result.table, result.truncated


@contextmanager
def _opened(run: dict[str, Any], request: dict[str, Any]) -> Iterator[Connect]:
    """What makes connections to a run, with the tables and views of now."""
    path, spill = Path(run["path"]), Path(request["place"]) / "spill"
    with closing(open_database(path, read_only=True, memory=int(request["memory"]) << 20, spill=spill)) as connection:
        if run.get("copy"):
            for each in (path, path.with_name(path.name + ".wal")):
                each.unlink(missing_ok=True)  # open is enough: nothing is left of it however this process ends
        views = (HERE / "views.sql").read_text(encoding="utf-8")
        yield as_of_now(connection.cursor, schema_version(connection, path) or 0, views, run["name"])


def _limit_reached(error: UserError, request: dict[str, Any]) -> str:
    """The limit that a query has hit, in words; "" when the error is another one."""
    if isinstance(error.__cause__, MemoryError | duckdb.OutOfMemoryException):
        return f"the query was stopped: it took more memory than {request['memory']} MB; LLMZERO_SQL_MEMORY allows more"
    return ""


if __name__ == "__main__":
    main()
    sys.exit(0)

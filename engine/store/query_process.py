"""Ad-hoc SQL in a process of its own, which can be killed: neither the engine nor the terminal shares its memory.

Used by both readers for what a human typed, and for a query over many runs. A run at rest is opened as it is; of a live
run the process copies the file in a moment in which the engine writes nothing. One process is kept for the next
question, and ends when this one does.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from engine import own_packages
from engine.errors import UserError, short
from engine.store.errors import EngineGone, QueryError, QueryInterrupted, StoreFault
from engine.store.protocol import PREFIX, Header, frame

if TYPE_CHECKING:
    import pyarrow as pa

START_SECONDS = 60.0
"""How long a process may take to be ready, on a machine that is busy."""
SECONDS, MEMORY = "LLMZERO_SQL_SECONDS", "LLMZERO_SQL_MEMORY"
"""Variables that set the limits where no flag does."""


Still = Callable[[], AbstractContextManager[None]]
"""A block in which the engine of a live run writes nothing."""


@dataclass(frozen=True, slots=True)
class QueryLimits:
    """What one ad-hoc query may use: seconds until it is killed, and memory in MB (1,048,576 bytes)."""

    seconds: float = 60.0
    memory: int = 1024

    @classmethod
    def given(cls, seconds: str | None = None, memory: str | None = None) -> QueryLimits:
        """From flags, else from the environment, else the defaults.

        Raises:
            UserError: a value that is no number of its range.
        """
        return cls(
            _number(seconds, "--seconds", SECONDS, cls().seconds, 0.1, 86_400),
            int(_number(memory, "--memory", MEMORY, cls().memory, 64, 1 << 20)),
        )


def _number(text: str | None, flag: str, variable: str, default: float, low: float, high: float) -> float:
    name, given = (flag, text) if text is not None else (variable, os.environ.get(variable) or str(default))
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        raise UserError(f"{name} {short(given)}: a number from {low:g} to {high:.0f}")
    return value


class QueryProcess:
    """One process for one question after the other. `stop` may come from any thread and ends it."""

    def __init__(self) -> None:
        try:
            self._process = subprocess.Popen(
                own_packages.command("engine.store.query_worker"),
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise StoreFault(f"no process can be started for the query: {error.strerror}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests: BinaryIO = self._process.stdin  # type: ignore[assignment]
        self._replies: BinaryIO = self._process.stdout  # type: ignore[assignment]
        self._stopped: QueryError | None = None
        self._ready = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None and self._stopped is None

    def stop(self, reason: QueryError) -> None:
        """Kill it; whoever waits for its answer gets the reason."""
        self._stopped = self._stopped or reason
        self._process.kill()

    def close(self) -> None:
        """End it and let go of its pipes."""
        self._process.kill()
        self._process.wait()
        with suppress(OSError):
            self._requests.close()
        self._replies.close()

    def ask(
        self,
        question: Mapping[str, Any],
        limits: QueryLimits,
        stills: Mapping[str, Still],
    ) -> tuple[pa.Table, bool]:
        """The answer, and whether it was cut.

        Args:
            question: as `question` makes it.
            stills: of each live run among its runs, by path.

        Raises:
            QueryError: wrong SQL, or a limit was reached. QueryInterrupted: by `stop`.
        """
        import pyarrow as pa

        try:
            self._expect(START_SECONDS, f"the process for queries did not start within {START_SECONDS:g} s")
            with tempfile.TemporaryDirectory(prefix="llmzero-sql-", ignore_cleanup_errors=True) as place:
                runs = [
                    {**run, "path": self._copy(run["path"], f"{place}/{number}", stills[run["path"]]), "copy": True}
                    if run["path"] in stills else run
                    for number, run in enumerate(question["runs"])
                ]  # fmt: skip
                deadline = self._deadline(limits.seconds, _over(f"longer than {limits.seconds:g} s; {SECONDS}"))
                try:
                    self._send({**question, "runs": runs, "id": 0, "place": place, **asdict(limits)})
                    header = self._receive()
                    return pa.ipc.open_stream(self._replies).read_all(), bool(header["truncated"])
                finally:
                    deadline.cancel()
        except (OSError, pa.ArrowInvalid) as error:  # it ended, perhaps in the middle of its answer
            self.stop(self._death(limits))
            raise self._stopped or error from error

    def _copy(self, path: str, place: str, still: Still) -> str:
        with still():
            self._send({"id": 0, "copy_from": path, "place": place})
            return str(self._receive()["path"])

    def _expect(self, seconds: float, reason: str) -> None:
        """Wait until it has imported what it needs: the limits are for queries, and an engine waits for nobody."""
        if self._ready:
            return
        deadline = self._deadline(seconds, QueryError(reason))
        try:
            self._receive()
        finally:
            deadline.cancel()
        self._ready = True

    def _deadline(self, seconds: float, reason: QueryError) -> threading.Timer:
        timer = threading.Timer(seconds, self.stop, [reason])
        timer.daemon = True
        timer.start()
        return timer

    def _send(self, header: Header) -> None:
        self._requests.write(frame(header))
        self._requests.flush()

    def _receive(self) -> Header:
        header_bytes, _ = PREFIX.unpack(self._exactly(PREFIX.size))
        header: Header = json.loads(self._exactly(header_bytes))
        if "error" in header:
            raise (EngineGone if header["type"] == "gone" else QueryError)(header["error"])
        return header

    def _exactly(self, count: int) -> bytes:
        data = self._replies.read(count)
        if len(data) < count:
            raise ConnectionError("the process for queries ended")
        return data

    def _death(self, limits: QueryLimits) -> QueryError:
        """Why it ended when nobody stopped it."""
        code = self._process.wait()
        if code == -signal.SIGXCPU:
            return _over(f"longer than {limits.seconds:g} s; {SECONDS}")
        if code in (-signal.SIGKILL, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS):  # ends of those without memory
            return _over(f"more memory than {limits.memory} MB; {MEMORY}")
        return QueryError(f"the query was stopped: its process ended with {code}")


def _over(limit: str) -> QueryError:
    return QueryError(f"the query was stopped: it took {limit} allows more")


# ---- the one that is kept -------------------------------------------------------------------------------------------

_lock = threading.Lock()
_kept: list[QueryProcess] = []


def take() -> QueryProcess:
    """A process for one question."""
    with _lock:
        while _kept:
            process = _kept.pop()
            if process.alive:
                return process
            process.close()
    return QueryProcess()


def give_back(process: QueryProcess) -> None:
    """Keep it for the next question, or end it."""
    with _lock:
        if process.alive and not _kept:
            _kept.append(process)
            return
    process.close()


@atexit.register
def end_all() -> None:
    """End what is kept; it would see by itself that nobody is there any more."""
    with _lock:
        while _kept:
            _kept.pop().close()


class AdHocQueries:
    """Ad-hoc queries of a reader, or over many runs: one at a time, stopped by `interrupt` from any thread."""

    def __init__(self) -> None:
        self._process: QueryProcess | None = None

    def ask(
        self,
        question: Mapping[str, Any],
        limits: QueryLimits,
        stills: Mapping[str, Still],
    ) -> tuple[pa.Table, bool]:
        """See `QueryProcess.ask`."""
        self._process = process = take()
        try:
            return process.ask(question, limits, stills)
        except BaseException as error:
            if not isinstance(error, QueryError):
                process.stop(QueryError("the query was stopped"))  # in the middle of a conversation
            raise
        finally:
            self._process = None
            give_back(process)

    def interrupt(self) -> None:
        """Stop what is asked now, if anything is."""
        process = self._process
        if process is not None:
            process.stop(QueryInterrupted("the query was interrupted"))


def question(
    runs: Mapping[str, Path], sql: str, params: object, limit: int | None, *, together: bool = False
) -> dict[str, Any]:
    """What the process is asked.

    Args:
        runs: databases by the name of the run, which is "" for the one that is stored in it.
        params: as they travel.
        together: over all runs in one answer, with the column `run` in every table; else there is one run.
    """
    return {
        "runs": [{"name": name, "path": str(path.absolute())} for name, path in runs.items()],
        "together": together,
        "sql": sql.encode("utf-8", "replace").decode(),
        "params": params,
        "limit": limit,
    }

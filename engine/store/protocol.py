"""What travels on the engine's socket: frames of a JSON header and, in replies, Arrow bytes; and how a socket is
reached.

Used by the server and the socket reader alone. It must import neither duckdb nor pyarrow, so that a viewer starts fast.

A frame is the header's length (4 bytes, little endian), the body's length (8 bytes), the header as JSON, the body.
Requests: {id, sql, params, lane, limit} · {cancel: id} · {id, hello: true} · {id, snapshot: true} · {id, still:
true}, ended by cancel.
Replies: {id, rows, truncated} with an Arrow IPC stream as body · {id, error, type} · {id, pid, schema_version} · {id,
table, …}.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SOCKET_NAME = "engine.sock"
DATABASE_NAME = "run.duckdb"
SCHEMA_VERSION = 7
"""Of the tables in a run's database: viewer and engine must be of the same one."""

COMMAND_KINDS = (
    "approve", "edit", "reject", "prune", "pause", "resume", "stop", "gate", "expand", "stop-node",
    "annotate", "budget", "space",
)  # fmt: skip
"""What a human may ask the engine to do."""

PREFIX = struct.Struct("<IQ")
REQUEST_BYTES = 8 << 20
"""Largest request, in bytes; a longer one ends the conversation."""
SOCKET_PATH_BYTES = 100
"""Longest path the kernel takes for a Unix socket, with a margin (108 on Linux, 104 on macOS)."""

ADHOC_ROWS = 100_000
"""Rows of an ad-hoc answer unless the question says how many."""

Parameters = Sequence[object] | Mapping[str, object]
Header = dict[str, Any]


def run_name(database: Path) -> str:
    """What a run at rest is called: as the directory of its database is; "" for a copy, which lies anywhere."""
    return database.absolute().parent.name if database.name == DATABASE_NAME else ""


def default_limit(lane: str, limit: int | None) -> int | None:
    """The most rows of an answer; None is no limit."""
    return ADHOC_ROWS if limit is None and lane == "adhoc" else limit


def parse_header(text: bytes | bytearray) -> Header:
    """A header from its bytes. Raises ValueError for what is no JSON object with a whole number as id or cancel."""
    header = json.loads(text)
    if not isinstance(header, dict) or type(header.get("id", header.get("cancel"))) is not int:
        raise ValueError("a header must be an object with an id")
    return header


def frame(header: Mapping[str, object], body_bytes: int = 0) -> bytes:
    """One frame up to its body, which is sent after it."""
    text = json.dumps(header).encode()
    return PREFIX.pack(len(text), body_bytes) + text


def encode_parameters(params: Parameters) -> list[Any] | dict[str, Any]:
    """Parameters as JSON values; times are tagged.

    Raises:
        TypeError: a value that is no text, number, boolean, time, None, or list of these.
    """
    if isinstance(params, Mapping):
        return {str(name): _encode(value) for name, value in params.items()}
    return [_encode(value) for value in params]


def decode_parameters(params: object) -> list[object] | dict[str, object]:
    """The inverse of `encode_parameters`. Raises ValueError for anything else."""
    if isinstance(params, dict):
        return {name: _decode(value) for name, value in params.items()}
    if isinstance(params, list):
        return [_decode(value) for value in params]
    raise ValueError(f"params must be a list or an object, but got {type(params).__name__}")


def _encode(value: object) -> Any:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, datetime):
        utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return {"time": utc.isoformat()}
    if isinstance(value, list | tuple):
        return [_encode(item) for item in value]
    raise TypeError(f"a query takes text, numbers, booleans, times and lists as parameters, but got {value!r}")


def _decode(value: object) -> object:
    if isinstance(value, dict):
        return datetime.fromisoformat(str(value.get("time")))
    if isinstance(value, list):
        return [_decode(item) for item in value]
    return value


@contextmanager
def reachable(path: Path) -> Iterator[str]:
    """A name for this socket path that is short enough for the kernel, valid inside the block."""
    if len(os.fsencode(path)) <= SOCKET_PATH_BYTES:
        yield str(path)
    elif Path("/proc/self/fd").is_dir():
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield f"/proc/self/fd/{folder}/{path.name}"
        finally:
            os.close(folder)
    else:
        with tempfile.TemporaryDirectory(dir="/tmp") as temporary:
            link = Path(temporary, "d")
            link.symlink_to(path.parent.resolve(), target_is_directory=True)
            yield str(link / path.name)

"""Serves the writer's database to viewers over a Unix socket: SQL that reads, and one INSERT that asks the engine for
something.

Started by the daemon beside the writer. It must never let a viewer write anything else, let a long question delay the
live view, or let a viewer that is slow or gone hold up the engine. Who may connect is decided by the socket file's
mode, 0600.
"""

from __future__ import annotations

import asyncio
import socket
import stat
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.store.answers import Reply, RequestHandler
from engine.store.execute import QueryJob
from engine.store.protocol import PREFIX, REQUEST_BYTES, Header, frame, parse_header, reachable
from engine.store.writer import Writer

THREADS = {"tick": 4, "long": 2, "copy": 1, "still": 1}
"""A pool for each kind of question, so that none waits for another kind."""
QUERIES_PER_VIEWER = 8
COPY_SECONDS = 60.0
"""How long a viewer that copies a run may take for one piece."""
SEND_BYTES = 1 << 18
STOP_SECONDS = 0.02
"""How often a query that was told to stop is told again."""


class StoreServer:
    """Answers on `socket_path` from a thread of its own. `on_command(command_id)` is called once a command is safe, in
    some thread.
    """

    def __init__(self, writer: Writer, socket_path: Path, on_command: Callable[[int], None]) -> None:
        self._path = socket_path
        self._answers = RequestHandler(writer, on_command)
        self._pools = {lane: ThreadPoolExecutor(THREADS[lane], f"store-{lane}") for lane in THREADS}
        self._loop = asyncio.new_event_loop()
        self._conversations: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._serve, name="store-server", daemon=True)
        self._listening: socket.socket | None = None
        self._ready = threading.Event()
        self._ending = False

    def start(self) -> None:
        """Listens; viewers can connect when this returns. The caller holds the database, so a socket file left here is
        stale.

        Raises:
            UserError: something that is no socket stands at the path, or it cannot be made.
        """
        self._listening = listen(self._path)
        self._thread.start()
        self._ready.wait()

    def close(self) -> None:
        """Stops queries, ends conversations, removes the socket file. Nothing that was written is lost."""
        if self._listening is not None:
            self._path.unlink(missing_ok=True)
            asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._listening = None
        for pool in self._pools.values():
            pool.shutdown()
        self._loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._accepting = self._loop.run_until_complete(
            asyncio.start_unix_server(self._accept, sock=self._listening, limit=REQUEST_BYTES)
        )
        self._ready.set()
        self._loop.run_forever()
        # Not before: asyncio forgets a viewer whom it accepts while it stops to listen, and that one waits for ever.
        while late := asyncio.all_tasks(self._loop):
            self._loop.run_until_complete(asyncio.gather(*late, return_exceptions=True))
        self._accepting.close()
        self._loop.run_until_complete(asyncio.sleep(0))  # what was aborted is closed a turn later

    async def _end(self) -> None:
        self._ending = True
        conversations = list(self._conversations)
        for task in conversations:
            task.cancel()
        await asyncio.gather(*conversations, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._ending:
            writer.transport.abort()
            return
        task = asyncio.ensure_future(ViewerConnection(self._answers, self._pools, writer).hold(reader))
        self._conversations.add(task)
        try:
            with suppress(asyncio.CancelledError):
                await task
        finally:
            self._conversations.discard(task)


class ViewerConnection:
    """One viewer: its requests in flight, answered in the order in which they end."""

    def __init__(
        self, answers: RequestHandler, pools: dict[str, ThreadPoolExecutor], writer: asyncio.StreamWriter
    ) -> None:
        self._answers = answers
        self._pools = pools
        self._writer = writer
        self._sending = asyncio.Lock()
        self._jobs: dict[int, QueryJob] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def hold(self, reader: asyncio.StreamReader) -> None:
        """Reads requests until the viewer leaves; then its queries are stopped."""
        try:
            # A viewer may leave, or break the protocol, in the middle of a frame: the end of the conversation.
            with suppress(asyncio.IncompleteReadError, ConnectionError, ValueError):
                while True:
                    header_bytes, body_bytes = PREFIX.unpack(await reader.readexactly(PREFIX.size))
                    if header_bytes > REQUEST_BYTES or body_bytes:
                        break
                    self._take(parse_header(await reader.readexactly(header_bytes)))
        finally:
            for job in self._jobs.values():
                self._start(stop(job))
            # Not close(), which waits until the viewer has read everything.
            self._writer.transport.abort()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _take(self, request: Header) -> None:
        if "cancel" in request:
            job = self._jobs.get(request["cancel"])
            if job is not None:
                self._start(stop(job))
            return
        number = request["id"]
        if number in self._jobs or len(self._jobs) >= QUERIES_PER_VIEWER:
            raise ValueError(f"too many requests at once, or {number} twice")
        self._jobs[number] = QueryJob()
        self._start(self._answer(request, self._jobs[number]))

    async def _answer(self, request: Header, job: QueryJob) -> None:
        loop = asyncio.get_running_loop()

        def send(reply: Reply) -> None:
            asyncio.run_coroutine_threadsafe(self._send(reply), loop).result(COPY_SECONDS)

        try:
            if "snapshot" in request:
                await loop.run_in_executor(self._pools["copy"], self._answers.copy, request, job, send)
                return
            if "still" in request:
                await loop.run_in_executor(self._pools["still"], self._answers.still, request, job, send)
                return
            if "hello" in request:
                # In no pool: it must not wait for anybody's question.
                await self._send(self._answers.hello(request))
                return
            lane = "long" if request.get("lane") == "long" else "tick"
            reply = await loop.run_in_executor(self._pools[lane], self._answers.answer, request, job)
            job.end()
            await self._send(reply)
        except (ConnectionError, TimeoutError):
            # The viewer left, or takes no more of a copy.
            self._writer.transport.abort()
        except BaseException:
            # Our bug, which goes to the engine's log: the viewer must not wait for an answer.
            self._writer.transport.abort()
            raise
        finally:
            job.end()
            del self._jobs[request["id"]]

    async def _send(self, reply: Reply) -> None:
        header, view = reply
        async with self._sending:
            self._writer.write(frame(header, len(view)))
            # In pieces: asyncio copies what the socket does not take at once.
            for start in range(0, len(view), SEND_BYTES):
                if self._writer.is_closing():
                    raise ConnectionResetError("the viewer left")
                self._writer.write(view[start : start + SEND_BYTES])
                await self._writer.drain()
            await self._writer.drain()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def stop(job: QueryJob) -> None:
    """Tells a query to stop until it has ended."""
    while not job.ended:
        job.interrupt()
        await asyncio.sleep(STOP_SECONDS)


def listen(path: Path) -> socket.socket:
    """A listening socket at the path, mode 0600 before anybody can connect."""
    try:
        if path.is_symlink() or path.exists():
            if not stat.S_ISSOCK(path.lstat().st_mode):
                raise UserError(f"{path} is in the way of the engine's socket: move the file")
            path.unlink()
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with reachable(path) as name:
            listening.bind(name)
            # Until listen() nobody can connect, so no umask is needed, which other threads would feel.
            Path(name).chmod(0o600)
        listening.listen(64)
    except OSError as error:
        raise UserError(f"{path}: no socket can be created here: {error.strerror}") from error
    return listening

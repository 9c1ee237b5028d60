"""The real controller, search, store and server over simulated segments, in a thread of the test: what a human sends is
carried out by the code that carries it out in a run.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine.advisors.rules import RulesAdvisor
from engine.run import daemon
from engine.run.config import parse
from engine.run.rundir import RunDirectory
from engine.store.server import StoreServer
from engine.store.writer import Writer
from tests.engine.simulated import SimulatedExecutor

RUN_FILE = """
name = "simulated"
[task]
name = "knights"
[budget]
steps = 0
nodes = 40
[search]
segment_steps = 6
[evaluation]
validation_prompts = 64
[gate]
mode = "manual"
"""


@contextmanager
def searching(where: Path, seconds: float = 0.6) -> Iterator[Path]:
    """A run that searches until the block ends; every proposal waits for a human. `seconds`: of a segment."""
    config, directory = parse(RUN_FILE), RunDirectory(where / "simulated")
    directory.path.mkdir(parents=True)
    ready, done, failed = threading.Event(), threading.Event(), list[BaseException]()

    async def live(writer: Writer) -> None:
        controller = daemon.assemble(config, directory, writer, RulesAdvisor(), SimulatedExecutor(seconds))
        loop = asyncio.get_running_loop()

        def on_command(_: int) -> None:
            loop.call_soon_threadsafe(controller.wake)

        server = StoreServer(writer, directory.socket, on_command)
        server.start()
        running = asyncio.create_task(controller.run())
        ready.set()
        await asyncio.to_thread(done.wait)
        controller.shut_down()
        await running
        server.close()

    def work() -> None:
        writer = Writer(directory.database)
        try:
            asyncio.run(live(writer))
        except BaseException as error:
            failed.append(error)
            raise
        finally:
            ready.set()
            writer.close()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield directory.path
    finally:
        done.set()
        thread.join(30)
        assert not failed, failed

"""A simulated run with a human at it: commands as rows while the real controller runs, and their answers awaited."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from engine.advisors.base import Advisor
from engine.advisors.rules import RulesAdvisor
from engine.controller.loop import Controller
from engine.run import daemon
from engine.run.config import RunConfig, parse
from engine.run.rundir import RunDirectory
from engine.store.writer import Writer
from engine.training.events import Evaluate
from tests.engine.simulated import SimulatedExecutor

PATIENCE = 30.0
RUN_FILE = """
name = "steered"
[task]
name = "knights"
[budget]
steps = 0
{budget}
[search]
segment_steps = 6
[evaluation]
validation_prompts = 64
[gate]
mode = "{gate}"
"""


def config(budget: str = "nodes = 4", gate: str = "auto") -> RunConfig:
    """A small run file; `budget` are lines of its [budget]."""
    return parse(RUN_FILE.format(budget=budget, gate=gate))


class Hand:
    """What a human does to a run, and sees of it."""

    def __init__(self, writer: Writer, controller: Controller, run: asyncio.Task[str]) -> None:
        self.writer = writer
        self.controller = controller
        self._run = run

    async def ask(self, kind: str, author: str = "ada", **fields: Any) -> tuple[str, str]:
        """A command; its answer once there is one: ("done" | "refused", message)."""
        number = self.send(kind, author, **fields)
        found = await self.until(
            "SELECT state, message FROM command_results WHERE command_id = ? AND state <> 'taken'", number
        )
        return found[0]["state"], found[0]["message"]

    def send(self, kind: str, author: str = "ada", **fields: Any) -> int:
        """A command, as the socket's server writes it; its number."""
        row = {key: fields.pop(key, None) for key in ("node_id", "proposal_id", "revision")}
        number = self.writer.next_id("commands")
        self.writer.insert(
            "commands", command_id=number, kind=kind, payload=json.dumps(fields), author=author, **row
        )  # fmt: skip
        self.writer.flush()
        self.controller.wake()
        return number

    async def until(self, sql: str, *params: object) -> list[dict[str, Any]]:
        """Until a query gives rows; fails loudly."""
        async with asyncio.timeout(PATIENCE):
            while True:
                if over := self._run.done():
                    self.writer.flush()
                if rows := self.rows(sql, *params):
                    return rows
                assert not over, f"the run ended before: {sql}"
                await asyncio.sleep(0.01)

    def rows(self, sql: str, *params: object) -> list[dict[str, Any]]:
        return self.writer.rows(sql, list(params))


Play = Callable[[Hand], Coroutine[Any, Any, None]]


def steer(
    config: RunConfig, where: Path, play: Play, executor: SimulatedExecutor | None = None,
    advisor: Advisor | None = None,
) -> str:  # fmt: skip
    """One whole run in this process while `play` does what a human does; its end state. The database is closed."""
    directory = RunDirectory(where)
    directory.path.mkdir(parents=True, exist_ok=True)
    writer = Writer(directory.database)

    async def live() -> str:
        workers = executor or SimulatedExecutor(0.2)
        controller = daemon.assemble(config, directory, writer, advisor or RulesAdvisor(), workers)
        run = asyncio.create_task(controller.run())
        human = asyncio.create_task(play(Hand(writer, controller, run)))
        try:
            await asyncio.wait({run, human}, return_when=asyncio.FIRST_COMPLETED)
            await human  # what the human missed is the failure to show
            return await run
        finally:
            run.cancel()
            await asyncio.gather(run, return_exceptions=True)

    try:
        return asyncio.run(live())
    finally:
        writer.close()


class Held(SimulatedExecutor):
    """Its measurements on a split wait until `free` is set."""

    def __init__(self, split: str) -> None:
        super().__init__(0.05)
        self.free = asyncio.Event()
        self._split = split

    async def _evaluate(self, job: Evaluate) -> None:
        if job.evaluation.split == self._split:
            await self.free.wait()
        await super()._evaluate(job)

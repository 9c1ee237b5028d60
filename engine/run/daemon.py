"""The engine process, `python -m engine.run.daemon RUN_DIR`: lock, store, socket, signals, and the controller's life.

Started by `engine.run.launch` in its own session; it never imports torch, so that the socket answers while workers
train. It exits 0 when the run finished or was stopped, 1 when it failed, 2 for a user's mistake (told through
--ready-fd).
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from engine.advisors.base import Advisor, shown_name
from engine.advisors.factory import make as make_advisor
from engine.analysis.strategy import read_strategy, to_toml
from engine.controller.job_builder import spare_threads
from engine.controller.loop import Controller
from engine.controller.run_file_edits import edits
from engine.controller.run_record import CommandInbox, RunRecorder
from engine.controller.run_state import RunState
from engine.domain.space import Space
from engine.errors import Fault, UserError
from engine.executors.base import Executor
from engine.executors.factory import make as make_executor
from engine.files import whole
from engine.host.model_files import find_model
from engine.host.priority import lower_session
from engine.run import config as run_file
from engine.run import source_policy, trackers
from engine.run.config import RunConfig
from engine.run.evaluation_sizes import in_force, settled
from engine.run.launch import BY_A_BUG
from engine.run.rundir import Holder, RunDirectory, RunLock
from engine.search.registry import make as make_strategy
from engine.store.errors import StoreFault
from engine.store.server import StoreServer
from engine.store.writer import Writer
from tasks import registry
from tasks.base import Task, TaskError, TaskNotFound

_log = logging.getLogger("engine")

NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
"""What a disk says that is full, or a quota that is used up."""
FREE_SPACE = "free some space there, then resume"

LEAVE_SECONDS = 10.0
"""After the second SIGTERM for an orderly end."""

MOVED = "its directory was moved or deleted while it trained; `llmzero resume` continues it at its new place"
PLACE_SECONDS = 1.0
"""Between two looks whether it was."""
SETTLE_SECONDS = 2.0
"""Between two tries to write a run's end."""


def main(arguments: list[str] | None = None) -> int:
    """Run the engine of one run until it ends."""
    parser = argparse.ArgumentParser(prog="engine.run.daemon")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--ready-fd", type=int, default=None)
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    lower_session()
    tell = _ReadyLine(options.ready_fd)
    try:
        return _serve(RunDirectory(options.run_dir.resolve()), tell)
    except UserError as mistake:
        _log.error("%s", mistake)
        tell.say(str(mistake))
        return 2
    except Fault as fault:
        line = f"{fault}; {FREE_SPACE}" if isinstance(fault, StoreFault) else str(fault)
        _log.error("%s", line)
        tell.say(line)
        return 1
    except BaseException as bug:
        if isinstance(bug, OSError) and bug.errno in NO_ROOM:
            line = f"{options.run_dir}: {bug.strerror}; {FREE_SPACE}"
            _log.error("%s", line)
            tell.say(line)
            return 1
        _log.exception("the engine ended because of a bug")
        tell.say(f"{BY_A_BUG} ({type(bug).__name__}); its traceback is in {options.run_dir}/engine.log")
        raise


class _ReadyLine:
    """The one line for whoever started the engine: "ready", or why not."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def say(self, line: str) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as pipe:  # nothing is left for close() to write
                pipe.write((line.replace("\n", " ") + "\n").encode(errors="replace"))
        except BrokenPipeError:
            _log.warning("the process that started the engine is gone; the engine continues")


def _serve(directory: RunDirectory, tell: _ReadyLine) -> int:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal that started it may close
    config = run_file.load(directory.config)
    lock = RunLock(
        directory, Holder(os.getpid(), version("llmzero-tui"), datetime.now(UTC).isoformat(timespec="seconds"))
    )
    try:
        with _writer(directory) as writer:
            return asyncio.run(_live(config, directory, lock, writer, tell))
    finally:
        lock.release()


@contextmanager
def _writer(directory: RunDirectory) -> Iterator[Writer]:
    writer = Writer(directory.database)
    try:
        yield writer
    finally:
        writer.close()


async def _live(config: RunConfig, directory: RunDirectory, lock: RunLock, writer: Writer, tell: _ReadyLine) -> int:
    """Put the rooms together, serve, and run the controller to its end."""
    asked = config.advisor
    advisor = await asyncio.to_thread(
        make_advisor, asked.kind, host=asked.host, model=asked.model, timeout=asked.timeout_seconds,
        options=asked.options, roles=asked.roles, spare_threads=spare_threads(source_policy.settled(config, directory)),
    )  # fmt: skip
    executor = make_executor(config, config.executor.workers, directory.path)
    controller = assemble(config, directory, writer, advisor, executor)
    asked_to_end, loop = _end_by_signal(controller), asyncio.get_running_loop()

    def on_command(_: int) -> None:
        loop.call_soon_threadsafe(controller.wake)

    record, server = RunRecorder(writer), StoreServer(writer, directory.socket, on_command)
    server.start()
    try:
        directory.strategy.unlink(missing_ok=True)  # of an earlier end: it may not be what the run reports any more
        tell.say("ready")
        _log.info("run %s: engine %d serves", directory.name, os.getpid())
        telling = asyncio.create_task(
            trackers.watch(config.tracking, directory, lambda line: record.event("warning", "tracking", line))
        )
        try:
            state = await _while_in_place(controller, lock)
        finally:
            telling.cancel()
        await settle(directory, writer, asked_to_end)
    except BaseException as bug:
        if not lock.in_place():
            record.set_state("stopped", MOVED, log=False)
            raise Fault(f"{directory.path}: {MOVED}") from bug
        record.failed_by_bug(bug)
        raise
    finally:
        server.close()
    CommandInbox(writer).refuse_unanswered(f"the run {state} before the command was carried out")
    _log.info("run %s: %s (%d threads left)", directory.name, state, threading.active_count() - 1)
    return 1 if state == "failed" else 0


def _end_by_signal(controller: Controller) -> asyncio.Event:
    """Have SIGTERM and SIGINT end the run; the event is set once one has come."""
    loop = asyncio.get_running_loop()
    asked_to_end = asyncio.Event()

    def end() -> None:
        if asked_to_end.is_set():  # the second time: whatever still hangs then must not hold the process
            _log.warning("asked to end a second time: exiting at once")
            loop.call_later(LEAVE_SECONDS, os._exit, 1)
        asked_to_end.set()
        controller.shut_down()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    return asked_to_end


def assemble(
    config: RunConfig, directory: RunDirectory, writer: Writer, advisor: Advisor, executor: Executor
) -> Controller:
    """Every room of this run. Raises UserError when the run file asks for what is not there."""
    config = settled(config, in_force(writer.rows))
    task = _task(config.task.name)
    suggested = task.space()
    space = config.build_space(suggested)
    search = config.search
    strategy = make_strategy(
        search.strategy,
        seed=search.seed,
        segment_steps=search.segment_steps,
        roots=search.roots,
        space=space,
        **search.settings,
    )
    base = find_model(source_policy.settled(config, directory).model.path, task, settled=True)
    run = _resumed(config, directory, writer, space, base, task)
    if run is None:
        _begin_run(config, directory, writer, space, base, advisor.name)
        run = RunState.begin(writer, directory, base, space.default())
        for note in task.notes():
            run.event("warning", "task", note)
    run.record.advisor(shown_name(advisor))
    run.flush()
    if config.name != directory.name and run_file.rename(directory.config, directory.name):  # it was moved
        config = config.model_copy(update={"name": directory.name})
    return Controller(config, space, run, strategy, advisor, executor, lambda asked: asked.build_space(suggested))


def _resumed(
    config: RunConfig, directory: RunDirectory, writer: Writer, space: Space, base: str, task: Task
) -> RunState | None:
    """The run of an earlier engine, with what was edited in the run file since taken over; None in a new run."""
    if not writer.rows("SELECT 1 FROM nodes LIMIT 1"):
        return None
    edited = edits(writer.rows, config, space, directory.name, task.max_completion_length)
    run = RunState.load(writer, directory, base)
    assert run is not None  # there are nodes
    if edited.lines:
        run.record.space(json.dumps(space.to_json()))
    if "gate.mode" in edited.keys:
        run.record.gate(config.gate.mode)
    for line in edited.lines:
        run.event("info", "edited", f"run.toml: {line}")
    return run


def _task(name: str) -> Task:
    try:
        return registry.get(name)
    except (TaskNotFound, TaskError) as error:
        raise UserError(str(error)) from error


def _begin_run(
    config: RunConfig, directory: RunDirectory, writer: Writer, space: Space, base: str, advisor: str
) -> None:
    RunRecorder(writer).begin(
        name=directory.name, task=config.task.name, model=base, strategy=config.search.strategy, advisor=advisor,
        config=config.model_dump_json(), space=json.dumps(space.to_json()), seed=config.search.seed,
        engine_version=version("llmzero-tui"), budget=config.budget.model_dump_json(),
    )  # fmt: skip


async def _while_in_place(controller: Controller, lock: RunLock) -> str:
    """The controller's last state. A run that is moved or deleted while it trains ends: its workers write to a place
    that is gone, or make it anew. Raises Fault."""
    life = asyncio.ensure_future(controller.run())
    while not life.done():
        await asyncio.wait({life}, timeout=PLACE_SECONDS)
        if not life.done() and not lock.in_place():
            controller.shut_down()
            await asyncio.wait({life})
            raise Fault(MOVED)
    return life.result()


async def settle(directory: RunDirectory, writer: Writer, asked_to_end: asyncio.Event) -> None:
    """The last rows and the strategy, once the disk takes them; one try when the process is asked to end meanwhile."""
    while True:
        try:
            await asyncio.to_thread(writer.flush)
            _write_strategy(directory, writer)
            return
        except (StoreFault, OSError) as fault:
            if asked_to_end.is_set():
                _log.error("the end of the run was not written: %s", fault)
                return
            _log.warning("the end of the run cannot be written yet, retrying: %s", fault)
        with suppress(TimeoutError):
            await asyncio.wait_for(asked_to_end.wait(), SETTLE_SECONDS)


def _write_strategy(directory: RunDirectory, writer: Writer) -> None:
    """The best trajectory so far as TOML, beside the database; written whole or not at all, and only if something beats
    the base."""
    strategy = read_strategy(writer.rows)
    if strategy.stages:
        with whole(directory.strategy) as file:
            file.write(to_toml(strategy).encode("utf-8", "replace"))


if __name__ == "__main__":
    raise SystemExit(main())

"""Commands that bring a run to life and then show it: `demo`, `run`, `resume`, `fork`.

The engine runs in a session of its own; what is here only starts it and looks at it. When an engine never became ready,
nothing of the new run is left.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from engine.analysis.summary import summarise
from engine.errors import Fault, UserError, short
from engine.host import machine
from engine.run import config as run_file
from engine.run import edits, forking, launch, preflight, source_policy
from engine.run.config import RunConfig
from engine.run.rundir import RunDirectory
from engine.store.reader import ask_run, read_state
from llmzero_tui.commands import runfile
from llmzero_tui.commands.control import order
from llmzero_tui.commands.look import has_screens, look, way_back
from llmzero_tui.commands.steer import assignment
from llmzero_tui.files.policy import copy_policy
from llmzero_tui.format import plain
from llmzero_tui.text.output import emit, note
from llmzero_tui.values.answers import to_json

if TYPE_CHECKING:
    from llmzero_tui.text.headless import ResumePoint

DEMO_SEGMENT_STEPS = 30
DEMO_NODES_PER_MINUTE = 4
"""A modest machine trains that many of the demo's segments in a minute; on a quick one the demo ends early."""


def demo(options: argparse.Namespace) -> int:
    """A small search on this machine, with the base shipped for a task."""
    return _begin(options, demo_config(options.task, options.minutes, options.runs_dir))


def run(options: argparse.Namespace) -> int:
    """Start the engine of a run file, and look at it."""
    return _begin(options, runfile.load_run(options.file))


def resume(options: argparse.Namespace) -> int:
    """Go on with a run that is paused, stopped, crashed, or whose machine was switched off."""
    directory = launch.find_run(options.runs_dir, options.name)
    _check_settings(options)
    state = read_state(directory.path)
    before = _told_before(directory) if state and not options.detach and not has_screens(options) else None
    if directory.holder() and state == "paused":
        note(order(directory, "resume", timeout=30.0))
    else:
        if state == "finished" and not _changed(directory):
            raise UserError(
                f"run {directory.name} is finished; raise a limit of [budget] in {directory.config} and resume again"
            )
        config = source_policy.settled(run_file.load(directory.config), directory)
        preflight.resolve(config, settled=True)  # a task or a model that is gone is one line, not a crash
        pid = launch.start_engine(directory)
        note(f"run {directory.name} continues: engine {pid}")
    return _after_start(options, directory, before)


def fork(options: argparse.Namespace) -> int:
    """A new run with the tree of another up to now, under a run file with some keys changed."""
    source = launch.find_run(options.runs_dir, options.name)
    _check_settings(options)
    taken = {each.name for each in launch.list_runs(options.runs_dir)}
    name = options.to or next(n for i in range(2, 10_000) if (n := f"{source.name}-{i}") not in taken)
    settings = [assignment(each, f"--set {short(each)}: give KEY=VALUE, e.g. budget.steps=900") for each in options.set]
    if read_state(source.path) == "finished" and not settings:
        raise UserError(f"run {source.name} is finished; raise a limit in the fork, e.g. --set budget.steps=900")
    config = forking.changed(run_file.load(source.config), name, dict(settings))
    _something_is_left(source, config)
    directory = forking.fork(source, config, options.runs_dir)
    try:
        preflight.resolve(source_policy.settled(config, directory), settled=True)
        pid = launch.start_engine(directory)
    except BaseException:
        launch.remove_run(directory)
        raise
    note(f"run {directory.name} goes on from the tree of {source.name}: engine {pid}, {directory.path}")
    return _after_start(options, directory, None if options.detach or has_screens(options) else _told_before(directory))


def _something_is_left(source: RunDirectory, config: RunConfig) -> None:
    """Raises UserError where the tree has spent a limit of the fork already."""
    tree = ask_run(source.path, summarise)
    spent = {
        "steps": tree.steps, "nodes": tree.nodes, "minutes": tree.wall_seconds / 60,
        "gpu_hours": tree.trainer_seconds / 3600,
    }  # fmt: skip
    for name, limit in config.budget.model_dump().items():
        if 0 < limit <= spent[name]:
            words = f"{spent[name]:.3g}" if isinstance(spent[name], float) else spent[name]
            raise UserError(
                f"budget.{name} = {limit:g}: the tree of {source.name} has spent {words}; "
                f"give the fork more with --set budget.{name}=…, or 0 for no limit"
            )


def demo_config(task: str, minutes: float, runs_dir: Path) -> RunConfig:
    """The run file of the demo, fitted to this machine: at most two workers of one thread each.

    Raises:
        UserError: no such task, or none that ships a base model.
    """
    workers = min(machine.cores(), 2)
    stem = launch.default_name(task).rsplit("-", 2)[0]
    taken = {each.name for each in launch.list_runs(runs_dir)}
    name = next(name for i in range(1, 10_000) if (name := f"demo-{stem}-{i}") not in taken)
    data = {
        "name": name,
        "task": {"name": task},
        "budget": {"steps": 0, "minutes": minutes, "nodes": max(1, round(DEMO_NODES_PER_MINUTE * minutes))},
        "search": {"segment_steps": DEMO_SEGMENT_STEPS},
        "executor": {"workers": workers},
        "evaluation": {"validation_prompts": 256, "rerank_prompts": 256, "test_prompts": 1024},
        "advisor": {"kind": "rules"},
        "training": {"threads": 1},
    }
    return RunConfig.model_validate(data)


def _begin(options: argparse.Namespace, asked: RunConfig) -> int:
    """Check, create, start, show. What the check finds wrong is an error before anything is written."""
    _check_settings(options)
    source = runfile.source(asked, options.runs_dir)
    known = source_policy.with_path(asked, source.readable) if source else asked
    report = preflight.check(known, options.runs_dir, note)
    if report.errors:
        raise UserError(f"{report.errors[0].subject}: {report.errors[0].text}")
    config = preflight.resolve(known, report.task)
    if source:
        config = config.model_copy(update={"model": asked.model.model_copy(update={"run": source.name})})
    for warning in report.warnings:
        note(f"warning: {warning.subject}: {plain(warning.text)}")
    directory = launch.create_run(config, options.runs_dir)
    try:
        if source:
            note(f"the base is a copy of {plain(source.name, 120)}")
            place = source_policy.place(config, directory)
            place.mkdir(parents=True)
            copy_policy(source.path, source.base, place)
        pid = launch.start_engine(directory)
    except BaseException as error:
        if isinstance(error, Fault):
            _quote_log(directory)
        launch.remove_run(directory)
        raise
    note(f"run {directory.name} started: engine {pid}, {directory.path}")
    return _after_start(options, directory)


def _told_before(directory: RunDirectory) -> ResumePoint:
    """What is not told again as text."""
    from llmzero_tui.text.headless import resume_point

    return resume_point(directory)


def _after_start(options: argparse.Namespace, directory: RunDirectory, before: ResumePoint | None = None) -> int:
    if options.detach:
        if options.json:
            holder = directory.holder()
            emit(to_json({"name": directory.name, "path": str(directory.path), "pid": holder.pid if holder else None}))
        note(way_back(directory))
        return 0
    return look(options, directory, before)


def _check_settings(options: argparse.Namespace) -> None:
    """Settings that are wrong are told before an engine is started for a terminal that would not open."""
    if not options.detach and has_screens(options):
        from llmzero_tui.user.settings import load

        load()


def _quote_log(directory: RunDirectory) -> None:
    """The engine died on its way up: its log is about to go, so the end of it is shown."""
    try:
        lines = directory.log.read_text(encoding="utf-8", errors="replace").splitlines()[-40:]
    except OSError:
        return
    for line in lines:
        note(f"  {plain(line, 300)}")


def _changed(directory: RunDirectory) -> bool:
    """Whether run.toml was edited since the run began; a name alone is none, the directory's counts."""
    [run] = ask_run(directory.path, lambda reader: reader.rows("SELECT config FROM runs"))
    return bool(edits.edited(json.loads(run["config"]), run_file.load(directory.config)).keys() - {"name"})

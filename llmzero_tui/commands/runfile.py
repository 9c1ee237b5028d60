"""`llmzero new`, `llmzero check` and `llmzero plan`: a run file before the run.

The file that `new` writes is made from the pydantic models themselves, so that it cannot fall behind them.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from engine.errors import Fault, UserError, bounded, one_line
from engine.run import launch, preflight, source_policy
from engine.run.child_answer import child_answer
from engine.run.config import RunConfig, load
from engine.run.findings import CheckFinding, CheckReport
from engine.run.source_policy import SourcePolicy
from engine.words import counted
from llmzero_tui.format import plain
from llmzero_tui.text.output import emit, note
from llmzero_tui.values.answers import to_json
from tasks import registry

GLYPHS = {"ok": "ok     ", "warning": "warning", "error": "error  "}
UNNAMED = "unnamed"


def new(options: argparse.Namespace) -> int:
    """Write a commented run file; an existing file is never touched."""
    from llmzero_tui.files.exporting import whole_file
    from llmzero_tui.text.run_file import run_file_text

    text = run_file_text(options.task, options.model)
    path: Path = options.file
    with whole_file(path, overwrite=False) as file:
        file.write(text.encode())
    note(f"wrote {path}; edit it, then `llmzero check {path}` and `llmzero run {path}`")
    return 0


def check(options: argparse.Namespace) -> int:
    """Print everything that can be known; 2 when something must be mended."""
    config, report = _checked(options)
    if options.dry_run and not report.errors:
        trained, _ = _dry_run(preflight.resolve(config, report.task))
        report = CheckReport((*report.findings, *trained))
    show_findings(report.findings, as_json=options.json)
    _refuse_errors(options.file, report)
    if not options.dry_run:
        note(f"`llmzero check {options.file} --dry-run` trains two steps: the base's pass rate, time and memory")
    return 0


def plan(options: argparse.Namespace) -> int:
    """Print what the budget of a run file buys; 2 when something must be mended first."""
    from llmzero_tui.commands.listing import look
    from llmzero_tui.text.plan import plan_lines, recorded_gains, simulation_lines

    config, report = _checked(options, new=False)
    _refuse_errors(options.file, report)
    findings, bought = _dry_run(preflight.resolve(config, report.task))
    _refuse_errors(options.file, CheckReport(tuple(findings)))
    runs = [look(each).summary for each in launch.list_runs(options.runs_dir)]  # a damaged one has none
    gains = recorded_gains(runs, registry.absolute(config.task.name))
    simulated = _simulation(preflight.resolve(config, report.task), bought)
    if options.json:
        emit(to_json({**bought, "recorded_gains": list(map(asdict, gains)), "simulated": simulated}))
        return 0
    disk = next(each.text for each in report.findings if each.subject == "disk")
    emit(*plan_lines(config, bought, disk, gains), *simulation_lines(config, simulated))
    return 0


def _checked(options: argparse.Namespace, *, new: bool = True) -> tuple[RunConfig, CheckReport]:
    """The run file and what is found of it; `new`: a run of its name is an error."""
    config = load_run(options.file)
    if policy := source(config, options.runs_dir):
        config = source_policy.with_path(config, policy.readable)
    return config, preflight.check(config, options.runs_dir, note, new=new)


def _refuse_errors(file: Path, report: CheckReport) -> None:
    if report.errors:
        first = report.errors[0]
        raise UserError(f"{file}: {counted(len(report.errors), 'error')}; {first.subject}: {one_line(first.text)}")


def _dry_run(config: RunConfig) -> tuple[list[CheckFinding], dict[str, Any]]:
    """What a worker measured, and what the budget buys; {} where it could not. In a process of its own: the face
    imports nothing that runs."""
    note("dry run: a worker scores the base and trains two GRPO steps …")
    try:
        answer = _asked(config, "engine.run.dry_run")
        return [CheckFinding(**each) for each in answer["findings"]], answer["plan"] or {}
    except (Fault, TypeError, KeyError) as error:
        return [CheckFinding("error", "dry run", str(error))], {}


def _simulation(config: RunConfig, bought: Mapping[str, Any]) -> dict[str, Any]:
    """What `engine.simulation.expected_gain` makes of what the budget buys; "none" says why it makes nothing."""
    steps = min(config.budget.steps or math.inf, bought["segments"] * bought["segment_steps"])
    try:
        asked = f"{steps}", f"{bought['base_score']}"
        return dict(_asked(config, "engine.simulation.expected_gain", *asked))
    except Fault as error:
        return {"none": f"the simulation failed: {error}"}


def _asked(config: RunConfig, module: str, *arguments: str) -> Any:
    """What a module of the engine answers about a run file."""
    with tempfile.TemporaryDirectory(prefix="llmzero-check-") as where:
        path = Path(where) / "run.toml"
        path.write_text(config.to_toml(), encoding="utf-8")
        return child_answer(module, str(path), *arguments)


def load_run(path: Path) -> RunConfig:
    """A run file with a name in any case: its own, or its task and the time."""
    config = load(path, default_name=UNNAMED)
    if config.name != UNNAMED:
        return config
    return config.model_copy(update={"name": launch.default_name(config.task.name)})


def source(config: RunConfig, runs_dir: Path) -> SourcePolicy | None:
    """The policy of an old run that `model.run` names, if it does. Raises UserError as `source_policy.find`."""
    return source_policy.find(runs_dir, config.model.run) if config.model.run else None


def show_findings(findings: Iterable[CheckFinding], *, as_json: bool) -> None:
    """One line for each finding, or a JSON list of them."""
    bounded_findings = [replace(each, text=bounded(each.text)) for each in findings]
    if as_json:
        emit(to_json([asdict(each) for each in bounded_findings]))
        return
    width = max((len(each.subject) for each in bounded_findings), default=0)
    emit(*(f"{GLYPHS[each.level]}  {each.subject:<{width}}  {plain(each.text)}" for each in bounded_findings))

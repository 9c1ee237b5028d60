"""`llmzero advisor-bench`: how well an advisor decides where the outcomes of decisions were measured."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from engine import own_packages
from engine.errors import Fault, UserError
from engine.run.advisor_section import AdvisorSection
from engine.run.rundir import refuse_files_of_runs
from llmzero_tui.text.advisor_bench import bench_lines, page
from llmzero_tui.text.output import emit, note
from llmzero_tui.values.answers import to_json

OLLAMA = "ollama"
TIMEOUT_SECONDS = 120.0
"""For one answer of a model."""


def advisor_bench(options: argparse.Namespace) -> int:
    """Ask, score, and print the tables; with --to write them as a page."""
    answers: Path | None = options.answers
    if options.advisor != OLLAMA:
        _refuse_options_of_models(options)
        if answers is not None and not answers.exists():
            raise UserError(
                f"--answers {answers}: there is no such file; with --advisor {OLLAMA} answers are kept there"
            )
    for file in (answers, options.to):
        if file is not None:
            refuse_files_of_runs(file)
    if options.to is not None and options.to.suffix != ".md":
        raise UserError(f"--to {options.to}: must be a file that ends in .md")
    if options.to is not None and not options.to.parent.is_dir():
        raise UserError(f"--to {options.to}: {options.to.parent} is not a directory; create it first")
    result = _result(options)
    if options.json:
        emit(to_json(result))
    elif options.to is None:
        emit(*bench_lines(result))
    if options.to is not None:
        _write(options.to, result)
    return 0


def _refuse_options_of_models(options: argparse.Namespace) -> None:
    for name in ("model", "host", "timeout", "shows_rules", "without"):
        if getattr(options, name):
            raise UserError(f"--{name.replace('_', '-')} is for a model: add --advisor {OLLAMA}, or leave it out")


def _result(options: argparse.Namespace) -> Any:
    """What the bench says, in a process of its own: the face imports no advisors."""
    question = {
        "advisor": options.advisor or ("" if options.answers else "rules"),
        "model": options.model or AdvisorSection().model,
        "host": options.host or "",
        "timeout": options.timeout or TIMEOUT_SECONDS,
        "points": options.n,
        "bank": str(options.bank or ""),
        "answers": str(options.answers or ""),
        "shows_rules": options.shows_rules,
        "without": options.without,
    }
    command = [*own_packages.command("engine.decisions.bench"), json.dumps(question)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    try:
        result = json.loads(done.stdout)
    except ValueError as error:
        raise Fault(f"the bench ended with {done.returncode}") from error
    if "error" in result:
        raise UserError(result["error"])
    if "fault" in result:
        raise Fault(f"{result['fault']}; what was answered before is kept with --answers")
    return result


def _write(file: Path, result: Any) -> None:
    try:
        file.write_text(page(result), encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: cannot be written: {error.strerror or error}") from error
    note(f"wrote {file}")

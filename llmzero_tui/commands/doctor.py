"""`llmzero doctor`: what this machine has, what is missing, and the remedy, one line for each.

Looks only. Nothing here is an error of the user: the exit code is 0 unless no run could start at all.
"""

from __future__ import annotations

import argparse
import json
import locale
import os
import subprocess
import sys
from collections.abc import Iterator

from engine import own_packages
from engine.errors import Fault, UserError, one_line
from engine.host import machine, ollama_host
from engine.run import advisor_check, vllm_check
from engine.run.advisor_section import AdvisorSection
from engine.run.findings import CheckFinding
from engine.run.memory_check import gib
from llmzero_tui.commands.runfile import show_findings

PACKAGES = ("torch", "trl", "transformers", "duckdb", "textual")
WITHOUT_PLOTS = 'or advisor.kind = "ollama" for advice without plots'
LEAST_MEMORY = 2 * machine.GIB
LEAST_DISK = 2 * machine.GIB


def doctor(options: argparse.Namespace) -> int:
    """Print the findings; 1 when a run cannot start here."""
    findings = list(examine(options))
    show_findings(findings, as_json=options.json)
    return 1 if any(each.level == "error" for each in findings) else 0


def examine(options: argparse.Namespace) -> Iterator[CheckFinding]:
    """Look at the machine, part by part."""
    here = machine.inspect()
    new_enough = sys.version_info >= (3, 11)
    yield CheckFinding("ok" if new_enough else "error", "python", f"{here.python} on {here.system}")
    yield CheckFinding("ok", "cores", str(here.cores))
    yield _amount("memory", here.available, here.memory, LEAST_MEMORY, "close other programs")
    free = machine.disk_free(options.runs_dir)
    enough = free >= LEAST_DISK
    text = f"{gib(free)} free for {options.runs_dir}"
    yield CheckFinding(
        "ok" if enough else "warning", "disk", text + ("" if enough else "; free some, or choose another --runs-dir")
    )
    yield from _gpus(here)
    yield from _packages()
    model = options.model or AdvisorSection().model
    try:
        host = ollama_host.asked(options.host or "")
    except UserError as error:
        if options.host:
            raise UserError(f"--host {error}") from error
        yield CheckFinding("warning", "ollama", f"{error}; the rules advisor is used")
    else:
        yield _ollama(host, model)
        yield advisor_check.look(AdvisorSection(kind="auto", host=host, model=model))
        if options.probe_vision:
            yield _probe(host, model)
    yield _terminal()


def _amount(subject: str, free: int, total: int, least: int, remedy: str) -> CheckFinding:
    text = f"{gib(free)} of {gib(total)} free"
    return CheckFinding("ok", subject, text) if free >= least else CheckFinding("warning", subject, f"{text}; {remedy}")


def _gpus(here: machine.Machine) -> Iterator[CheckFinding]:
    for gpu in here.gpus:
        yield CheckFinding("ok", "gpu", f"{gpu.name}, {gib(gpu.free)} of {gib(gpu.memory)} free, driver {gpu.driver}")
    if not here.gpus:
        yield CheckFinding(
            "warning", "gpu", "no NVIDIA GPU: training runs on the CPU, which suits the tiny models only"
        )


def _packages() -> Iterator[CheckFinding]:
    for name in PACKAGES:
        installed = machine.version(name)
        yield CheckFinding(
            "ok" if installed else "error", name, installed or f"is missing; `{machine.install_command()}`"
        )
    yield CheckFinding("ok", "vllm", vllm_check.package())


def _ollama(host: str, model: str) -> CheckFinding:
    """Whether it answers, what it has, which of that sees, and what to pull."""
    pull = f"`ollama pull {model}`"
    try:
        models = advisor_check.models(host)
    except Fault as error:
        return CheckFinding("warning", "ollama", f"{error}; the rules advisor is used; start Ollama and {pull}")
    names = [f"{name} (sees)" if sees else name for name, sees in models.items()]
    text = f"{host} has {', '.join(names[:8]) or 'no model'}"
    name = next((name for name in (model, f"{model}:latest") if name in models), None)
    if name is None:
        return CheckFinding("warning", "ollama", f"{text}; not {model}: {pull}, or set advisor.model")
    if not models[name]:
        seeing = next((name for name, sees in models.items() if sees), "")
        remedy = f"set advisor.model = {seeing!r}" if seeing else f"`ollama pull {AdvisorSection().model}`"
        return CheckFinding("warning", "ollama", f"{text}; {model} has no vision: {remedy}, {WITHOUT_PLOTS}")
    return CheckFinding("ok", "ollama", text)


def _probe(host: str, model: str) -> CheckFinding:
    """How many plots the model reads right, how many cases it decides, and how fast it is.

    Asked in a process of its own: the face imports no advisors.
    """
    command = [*own_packages.command("engine.advisors.qualification"), host, model]
    sys.stderr.write("testing the model on five plots and three cases …\n")
    done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False)
    try:
        finding = json.loads(done.stdout)
    except ValueError:
        return CheckFinding(
            "warning", "vision", f"the probe ended with {done.returncode}: {one_line(done.stderr)[-200:]}"
        )
    return CheckFinding(finding["level"], "vision", one_line(finding["text"]))


def _terminal() -> CheckFinding:
    encoding = locale.getpreferredencoding(False).upper().replace("-", "")
    colours = os.environ.get("COLORTERM") or os.environ.get("TERM") or "no TERM"
    if encoding != "UTF8":
        return CheckFinding("warning", "terminal", f"{encoding}, {colours}; set LC_ALL=C.UTF-8, or use --ascii")
    if os.environ.get("TERM", "dumb") == "dumb":
        return CheckFinding("warning", "terminal", "TERM is unset or dumb: text only; set TERM=xterm-256color")
    return CheckFinding("ok", "terminal", f"UTF-8, {colours}{', NO_COLOR' if os.environ.get('NO_COLOR') else ''}")

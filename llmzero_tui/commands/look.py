"""Commands that only look: the terminal itself (`llmzero` alone) and `attach`.

Also used by the commands that start a run and then show it. What is imported here stands before the first paint: no
pydantic, no run file, nothing that looks at the machine.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.run import launch
from engine.run.rundir import RunDirectory
from llmzero_tui import garbage
from llmzero_tui.terminal import in_browser

if TYPE_CHECKING:
    from llmzero_tui.text.headless import ResumePoint


def terminal(options: argparse.Namespace) -> int:
    """`llmzero` alone: the list of runs."""
    if not is_terminal():
        raise UserError("no terminal here; `llmzero ls` lists the runs, `llmzero --help` the commands")
    return _screen(options, None)


def attach(options: argparse.Namespace) -> int:
    """Look at a run, live or over."""
    directory = launch.find_run(options.runs_dir, options.name)
    if options.web is not None:
        return _serve(options, directory)
    if options.steer:
        raise UserError("--steer is for --web; without a browser `llmzero attach` steers unless --watch is given")
    return look(options, directory)


def _serve(options: argparse.Namespace, directory: RunDirectory) -> int:
    """The same screens in a browser."""
    if find_spec("textual_serve") is None:
        from engine.host.machine import install_command

        raise UserError(f"--web needs textual-serve: {install_command('web')}")
    from llmzero_tui.commands.web import serve

    return serve(directory, options.web, steer=options.steer, ascii=options.ascii)


def is_terminal() -> bool:
    """Whether screens can be drawn: a terminal on both ends that can do more than print, or a browser."""
    return in_browser() or (sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb")


def look(options: argparse.Namespace, directory: RunDirectory, before: ResumePoint | None = None) -> int:
    """The screens of a run where there is a terminal, its progress as text elsewhere, without what it told `before`."""
    if has_screens(options):
        return _screen(options, directory)
    from llmzero_tui.text.headless import follow

    return follow(directory, as_json=options.json, ascii=options.ascii, before=before)


def has_screens(options: argparse.Namespace) -> bool:
    """Whether a run is shown on screens: where there is a terminal and `--headless` does not ask for text."""
    return not options.headless and is_terminal()


def _screen(options: argparse.Namespace, directory: RunDirectory | None) -> int:
    """The terminal; the last line says how to come back."""
    garbage.not_while_starting()
    from llmzero_tui.app import run as show_screens

    path = directory.path if directory else None
    code = show_screens(options.runs_dir, path, ascii=options.ascii, tour=True, watch=options.watch)
    if in_browser():
        return code  # nobody reads a last line there
    from llmzero_tui.text.output import note  # has json and decimal with it

    left = [directory] if directory else launch.list_runs(options.runs_dir)
    for each in left:
        if each.holder():
            note(way_back(each))
    return code


def way_back(directory: RunDirectory) -> str:
    """How to come back to a run that goes on."""
    return f"detached: run {directory.name} continues; `llmzero attach {directory.name}` returns to it"

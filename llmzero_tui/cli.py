"""The command line: runs one command, and how every command ends. What it understands is in `llmzero_tui.arguments`.

Parses, then imports the one module of `llmzero_tui.commands` that is asked for, so that a listing starts at once. It
never imports torch; a user's mistake is one line on stderr and exit code 2.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import signal
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from engine.errors import Fault, UserError, bounded, short_path
from llmzero_tui import streams
from llmzero_tui.arguments import build_parser
from llmzero_tui.parser import FINE, MISTAKE

FAILED, INTERRUPTED = 1, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 fine, 1 the run failed, 2 the user's mistake, 130 interrupted."""
    streams.prepare()
    parser = build_parser()
    verbose = False
    try:
        options = parser.parse_args(arguments)
        verbose = options.verbose
        if options.ascii and not options.json:
            streams.only_ascii()
        _here(options)
        module, _, function = options.handler.partition(":")
        with _ended_by_signals():
            code: int = getattr(importlib.import_module(f"llmzero_tui.commands.{module}"), function)(options)
            sys.stdout.flush()
    except UserError as error:
        return _complain(error, MISTAKE, verbose)
    except Fault as error:
        return _complain(error, FAILED, verbose)
    except BrokenPipeError:  # the reader of a pipe has seen enough, as `head` has
        streams.give_up(sys.stdout)
        return FINE
    except OSError as error:
        return _complain(*_explained(error), verbose)
    except KeyboardInterrupt:
        streams.complain("")
        return INTERRUPTED
    except SystemExit as done:  # after --help, --version, or a wrong option
        return _ended(done)
    return code


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end a command as Ctrl+C does, so that no temporary file and no process of its own is left."""
    taken = [each for each in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(each) is signal.SIG_DFL]
    for each in taken:
        signal.signal(each, _interrupt)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)


def _interrupt(number: int, frame: FrameType | None) -> None:
    from tasks.user_code import ProcessInterrupted

    raise ProcessInterrupted


def _here(options: argparse.Namespace) -> None:
    """Raises UserError where a path was given that means nothing, because the working directory was deleted, and where
    what holds the runs is a file."""
    if _cwd_is_gone() and any(isinstance(each, Path) and not each.is_absolute() for each in vars(options).values()):
        raise _nowhere()
    if options.runs_dir.is_file():
        raise UserError(f"--runs-dir {short_path(options.runs_dir)}: must be a directory, is a file")


def _cwd_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def _nowhere() -> UserError:
    return UserError("the working directory does not exist any more: change to another one")


def _explained(error: OSError) -> tuple[Exception, int]:
    """The error to tell and the exit code. Raises what is no fault of the world but ours."""
    if error.errno == errno.ENAMETOOLONG:
        return UserError(f"{short_path(error.filename)}: {error.strerror}"), MISTAKE
    if isinstance(error, FileNotFoundError) and _cwd_is_gone():
        return _nowhere(), MISTAKE
    if streams.is_output_error(error):
        streams.give_up(sys.stdout)
        return Fault(f"the output cannot be written: {error.strerror}"), FAILED
    raise error


def _ended(done: SystemExit) -> int:
    code = done.code if isinstance(done.code, int) else FINE
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        streams.give_up(sys.stdout)
    except OSError as error:
        return _complain(*_explained(error), verbose=False)
    return code


def _complain(error: Exception, code: int, verbose: bool) -> int:
    if verbose:
        traceback.print_exception(error)
    from llmzero_tui.format import plain

    # It may quote what a model, a file's name or a database says.
    streams.complain(f"llmzero: {plain(bounded(str(error)), 1000)}")
    return code

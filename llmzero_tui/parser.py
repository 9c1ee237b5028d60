"""How a command line is parsed: the parser of a command, the options of all commands, a wrong word told in one line.

Used by `llmzero_tui.arguments`, which says what commands there are, and by `llmzero_tui.cli`. Knows no command.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from engine.errors import bounded, short_name

FINE, MISTAKE = 0, 2
"""Exit codes: all well, the user's mistake."""


class Parser(argparse.ArgumentParser):
    """argparse whose complaints are one line, with the nearest known word. A command's words and options may stand in
    any order."""

    _mixing = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; where words are optional, those behind an option count too."""
        optional = any(not each.option_strings and each.nargs in ("*", "?") for each in self._actions)
        if self._mixing or not optional:
            return super().parse_known_args(args, namespace)
        self._mixing = True  # argparse asks this method again, first for the options and then for the words
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixing = False

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        from llmzero_tui.format import plain

        what, unknown, words = message.partition("unrecognized arguments: ")
        line = plain(bounded(what + unknown + short_name(words)), 1000)
        self.exit(MISTAKE, f"{self.prog}: {line}; see `{self.prog} --help`\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse does, but stdout that cannot be written is an error and not passed over."""
        if file is sys.stdout:
            file.write(message)
            file.flush()
        else:
            super()._print_message(message, file)

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            near = difflib.get_close_matches(str(value), known, n=1, cutoff=0.5)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise argparse.ArgumentError(action, f"{str(value)[:60]!r} is unknown; {hint}")


def command(commands: Any, name: str, handler: str, text: str) -> argparse.ArgumentParser:
    """Add a command; `handler` is the "module:function" of `llmzero_tui.commands` that does it, `text` its help."""
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
    parser.set_defaults(handler=handler)
    common(parser, defaults=False)
    return parser


def common(parser: argparse.ArgumentParser, *, defaults: bool) -> None:
    """Options that every command takes; a subcommand has no defaults of its own, or it would overwrite what stands
    before it on the line."""

    def default(value: object) -> object:
        return value if defaults else argparse.SUPPRESS

    runs = Path(os.environ.get("LLMZERO_RUNS") or "runs")
    where = "directory of the runs (LLMZERO_RUNS; ./runs)"
    parser.add_argument("--runs-dir", type=Path, default=default(runs), metavar="DIR", help=where)
    parser.add_argument("--json", action="store_true", default=default(False), help="output as JSON")
    parser.add_argument(
        "--ascii", action="store_true", default=default(False), help="ASCII characters only, but in data"
    )
    parser.add_argument(
        "-v", "--verbose", action="store_true", default=default(False), help="print more about an error"
    )


class Version(argparse.Action):
    """Looks the version up when it is asked for, not whenever a parser is built."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        from llmzero_tui.text.output import emit

        emit(f"llmzero {version('llmzero-tui')}")
        parser.exit(FINE)

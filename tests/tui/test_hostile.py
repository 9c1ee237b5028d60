"""A thousand hostile strings in every text of a run: nothing crashes or hangs, and no sequence of theirs reaches the
terminal, neither through a screen nor through a command."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import cast

import pytest

from benchmarks import big_run
from llmzero_tui.format import plain
from tests.terminal.terminals import Terminal
from tests.tui import hostile

TEXTS = hostile.strings()
SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_].*?(?:\x07|\x1b\\)|[ -/]*[0-~])", re.DOTALL)
ODD = re.compile(r"[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Control characters that the program itself never writes, and marks that turn the direction of text."""
NODES = 24
TABS = "12345"
SCREENS = ("c", "w", "d", "S", "A", "T", "B", "n", "e", "r", "x", ",", "?", ":", "\x10")
"""Keys that open something over the run; `escape` leaves each."""


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a poisoned run, one in which even the program's own words are foreign, and odd names."""
    directory = tmp_path_factory.mktemp("hostile")
    for name, broken in (("poisoned", False), ("broken", True)):
        run = big_run.build(directory, name=name, nodes=60, state="training")
        hostile.poison(run, TEXTS, broken=broken)
    hostile.copies(directory / "poisoned", directory, hostile.names(TEXTS))
    return directory


def opened(runs: Path, home: Path, *words: str, size: tuple[int, int] = (120, 40)) -> Terminal:
    """`llmzero` in a pseudo-terminal, with settings of its own."""
    places = {f"XDG_{name}_HOME": str(home) for name in ("CONFIG", "STATE", "DATA", "CACHE")}
    return Terminal(home, *words, size=size, LLMZERO_RUNS=str(runs), **places)


def press(terminal: Terminal, key: str) -> None:
    """A key, and what it brings: until the app has written nothing for a moment."""
    terminal.send(key)
    deadline, before = time.monotonic() + 20, -1
    while len(terminal.said) != before and time.monotonic() < deadline:
        before = len(terminal.said)
        assert terminal._read(0.06), f"the app ended at {key!r}:\n{terminal.text}"


def assert_harmless(said: bytes) -> None:
    """Nothing of a hostile sequence, and no control character that is not the program's own."""
    text = said.decode("utf-8", "replace")
    for found in re.finditer(r"\x1b[\[\]PX^_#( ]?" + hostile.MARK, text):
        raise AssertionError(repr(text[max(0, found.start() - 100) : found.end() + 50]))
    for found in ODD.finditer(SEQUENCE.sub("", text)):
        raise AssertionError(repr(found.string[max(0, found.start() - 60) : found.end() + 30]))


def walk(terminal: Terminal, nodes: int) -> None:
    """Through the tree, every tab of every node, and every screen that a key opens."""
    for _ in range(nodes):
        press(terminal, "j")
        for tab in TABS:
            press(terminal, tab)
    for metric in range(4):
        press(terminal, "[" if metric % 2 else "]")
    for key in "mjmi":
        press(terminal, key)
    for key in SCREENS:
        press(terminal, key)
        for inner in ("j", "\x1b[B", "\t", "\x1b[6~"):
            press(terminal, inner)
        for _ in range(3):
            press(terminal, "\x1b")


@pytest.mark.long
@pytest.mark.parametrize(("run", "nodes"), [("poisoned", 20), ("broken", 6)])
def test_no_screen_of_a_run_lets_a_sequence_through(poisoned: Path, tmp_path: Path, run: str, nodes: int) -> None:
    terminal = opened(poisoned, tmp_path, "attach", run)
    terminal.until(lambda: "#0" in terminal.text, "the run")
    press(terminal, "\x1b")
    press(terminal, "\x1b[H")
    walk(terminal, nodes)
    assert terminal.child.isalive()
    terminal.child.close(force=True)
    assert_harmless(terminal.said)


def test_the_list_of_runs_shows_odd_names_and_opens_them(poisoned: Path, tmp_path: Path) -> None:
    terminal = opened(poisoned, tmp_path, size=(100, 30))
    terminal.until(lambda: "run-7-" in terminal.text and "reading" not in terminal.text, "the list")
    for key in ("j", "o", "/", "a", "\x1b", "\x1b[F", "D", "\x1b", "\r", "j", "\x7f", "?", "\x1b", ":", "\x1b"):
        press(terminal, key)
    assert terminal.child.isalive()
    terminal.child.close(force=True)
    assert_harmless(terminal.said)


def test_rows_of_a_query_are_harmless(poisoned: Path, tmp_path: Path) -> None:
    terminal = opened(poisoned, tmp_path, "attach", "poisoned")
    terminal.until(lambda: "#0" in terminal.text, "the run")
    for key in (
        "\x1b",
        ":",
        "\x01",
        "\x0b",
        "SELECT rationale, label, expected, '\x1b[6660m' AS x FROM nodes",
        "\x1b[15~",
    ):
        press(terminal, key)
    for key in ("j", "l", "\r", "\x1b[6~", "\x1b", "n", "y", "Y", "A", "\x1b"):
        press(terminal, key)
    assert terminal.child.isalive()
    terminal.child.close(force=True)
    assert_harmless(terminal.said)


COMMANDS = (
    ("ls",), ("ls", "--json"), ("show", "poisoned"), ("show", "poisoned", "--json"), ("show", "broken"),
    ("sql", "poisoned", "SELECT * FROM nodes LIMIT 40"), ("sql", "poisoned", "SELECT * FROM completions LIMIT 200"),
    ("sql", "poisoned", "SELECT rationale AS \"\x1b[6660m\" FROM nodes", "--format", "csv"),
    ("sql", "poisoned", "SELECT * FROM events", "--format", "json"),
    ("sql", "poisoned", "SELECT \x1b[6660;1m FROM nodes"), ("sql", "poisoned", "SELECT * FROM \"\x9b6660m\""),
    ("show", "no-\x1b[6660;1mrun"), ("show", "run-0-"), ("check", "no-\x1b[6660;1mfile.toml"),
    ("attach", "poisoned", "--headless"), ("tail", "poisoned"), ("tail", "broken", "--json"),
)  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_no_command_lets_a_sequence_through(poisoned: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    terminal = opened(poisoned, tmp_path, *words)
    said = cast(bytes, terminal.child.read())  # not through the emulator, which hostile sequences can break
    terminal.child.close()
    assert terminal.child.exitstatus in (0, 1, 2), said
    assert b"Traceback" not in said
    assert_harmless(said)


def test_every_string_becomes_a_harmless_line() -> None:
    for text in TEXTS:
        for shown in (plain(text, 300), plain(text, 300, lines=True).replace("\n", " "), plain(text[:5000])):
            assert not ODD.search(shown)
            assert "\n" not in shown
            assert "\x1b" not in shown


def test_the_strings_are_hostile() -> None:
    """The strings are what they should be: many, different, and most of them changed by `plain`."""
    assert len(set(TEXTS)) > 900
    assert sum(plain(text, 3000) != text for text in TEXTS) > 700
    assert sum(hostile.MARK in text for text in TEXTS) > 200
    assert max(map(len, TEXTS)) > 900_000

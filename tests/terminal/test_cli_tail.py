"""`llmzero tail`, and a headless run on a terminal: real engines, real processes, what they print and how they end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.terminal.terminals import Terminal
from tests.terminal.test_cli_live import ENDLESS, follow, interrupt
from tests.unit.cli_process import RUN_FILE, llmzero, run_file

FIRST_NODE = re.compile(r"^  #1 .*(running|finished)", re.MULTILINE)
COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]")


@dataclass(frozen=True)
class Watched:
    """A small run from its start to its end, and what was said of it by those who watched it all the while."""

    place: Path
    headless: str
    colourless: str
    told: list[dict[str, Any]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Begun on a terminal; watched from a second one that wants no colour, and by a script."""
    place = tmp_path_factory.mktemp("whole")
    begun = Terminal(place, "run", str(run_file(place, 'name = "whole"\n' + RUN_FILE)), "--headless", size=(80, 24))
    begun.wait_for("of the budget ·")
    attached = Terminal(place, "attach", "whole", "--headless", size=(80, 24), NO_COLOR="1")
    attached.wait_for("of the budget ·")
    tail = follow(place, "tail", "whole", "--json", "-n", "1000")
    with ThreadPoolExecutor() as watching:
        said = watching.map(_to_its_end, (begun, attached))
        out, err = tail.communicate(timeout=200)
        headless, colourless = said
    assert tail.returncode == 0, err
    assert [begun.child.exitstatus, attached.child.exitstatus] == [0, 0]
    yield Watched(place, headless, colourless, objects(out))
    live.kill(RunDirectory(place / "runs" / "whole"))


def _to_its_end(terminal: Terminal) -> str:
    """What was printed, once the screen has shown a score and the tree while the run went on."""
    terminal.wait_for("best 0.", seconds=120)
    terminal.until(lambda: FIRST_NODE.search(terminal.text), "the tree", 120)
    return terminal.rest()


@dataclass(frozen=True)
class Left:
    """A run that goes on until it is told otherwise, begun on a terminal and left with Ctrl+C."""

    directory: RunDirectory
    status: int | None
    said: str


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Left]:
    place = tmp_path_factory.mktemp("left")
    path = run_file(place, 'name = "endless"\n' + ENDLESS)
    terminal = Terminal(place, "run", str(path), "--headless", "--ascii", size=(100, 30))
    terminal.wait_for("of the budget")
    terminal.send("\x03")
    said = terminal.rest()
    directory = RunDirectory(place / "runs" / "endless")
    yield Left(directory, terminal.child.exitstatus, said)
    live.kill(directory)


def objects(lines: str) -> list[dict[str, Any]]:
    """Every line is one object."""
    return [json.loads(line) for line in lines.splitlines()]


@pytest.mark.long
def test_tail_follows_a_run_to_its_end_and_every_line_is_an_object(whole: Watched) -> None:
    place, told = whole.place, whole.told
    assert {each["type"] for each in told} == {"event", "activity", "training", "run"}
    events = [each for each in told if each["type"] == "event"]
    assert [each["seq"] for each in events] == sorted({each["seq"] for each in events})
    rows = live.rows(RunDirectory(place / "runs" / "whole"), "SELECT seq FROM events ORDER BY seq")
    assert [each["seq"] for each in events] == [row["seq"] for row in rows]
    activity = [each for each in told if each["type"] == "activity"]
    assert all(each["what"] and each["done"] <= each["total"] for each in activity)
    training = [each for each in told if each["type"] == "training"]
    assert all(0 < each["step"] <= each["planned"] and "reward" in each["metrics"] for each in training)
    last = told[-1]
    assert (last["type"], last["state"], last["eta_seconds"]) == ("run", "finished", None)
    shown = json.loads(llmzero("show", "whole", "--json", cwd=place).stdout)
    listed = json.loads(llmzero("ls", "--json", cwd=place).stdout)[0]
    ages = {"age_seconds", "live"}
    assert {key: last[key] for key in listed.keys() - ages} == {key: listed[key] for key in listed.keys() - ages}
    assert {key: shown[key] for key in listed.keys() - ages} == {key: listed[key] for key in listed.keys() - ages}
    assert shown["budget"] == {"steps": 0, "nodes": 2, "minutes": 0.0, "gpu_hours": 0.0}
    assert shown["best_validation"]["low"] < shown["best_validation"]["value"] < shown["best_validation"]["high"]
    assert shown["best_test"]["n"] == 16
    assert (shown["running"], shown["waiting"]) == ([], [])

    text = llmzero("tail", "whole", "-n", "2", cwd=place)
    assert text.returncode == 0
    lines = text.stdout.splitlines()
    assert len(lines) == 3
    assert re.match(r"\d\d-\d\d \d\d:\d\d:\d\d ", lines[0])
    assert "✓ finished" in lines[2]
    assert "100% of the budget" in lines[2]
    assert "(n 16)" in lines[2]
    assert llmzero("tail", "whole", "-n", "0", cwd=place).stdout.splitlines() == lines[2:]


@pytest.mark.long
@pytest.mark.parametrize("colourless", [False, True])
def test_a_headless_run_on_a_terminal_draws_tree_budget_and_best_and_leaves_its_result(
    whole: Watched, colourless: bool
) -> None:
    said = whole.colourless if colourless else whole.headless
    for words in ("━", "● training", "#0 base", "whole  ✓ finished", "95% interval"):
        assert words in said
    assert bool(COLOUR.search(said)) is not colourless


def test_a_headless_run_on_a_terminal_is_left_with_ctrl_c(left: Left) -> None:
    assert left.status == 130
    assert "llmzero attach endless" in left.said
    assert left.said.isascii()
    assert left.directory.holder() is not None


def test_tail_tells_what_a_live_run_does_and_ctrl_c_leaves_it(left: Left) -> None:
    directory, place = left.directory, left.directory.path.parents[1]
    process = follow(place, "tail", "endless", "-n", "3")
    assert process.stdout is not None
    seen = ""
    while not re.search(r"● #\d+ .*step \d+/4  reward ", seen):
        line = process.stdout.readline()
        assert line, f"tail ended after\n{seen}"
        seen += line
    assert re.search(r"● training · .*\d+ steps in \d+ nodes · ", seen)
    _, err = interrupt(process)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert directory.holder() is not None
    llmzero("pause", "endless", cwd=place)
    paused = follow(place, "tail", "endless", "-n", "0", "--json")
    assert paused.stdout is not None
    line = json.loads(paused.stdout.readline())
    while "state" not in line:  # the step in progress may still end its segment
        line = json.loads(paused.stdout.readline())
    assert line["state"] == "paused"
    assert llmzero("stop", "endless", cwd=place).returncode == 0
    out, err = paused.communicate(timeout=60)
    assert paused.returncode == 0, err
    assert objects(out)[-1]["state"] == "stopped"

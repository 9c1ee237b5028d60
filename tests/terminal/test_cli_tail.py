"""`llmzero tail`, and a headless run on a terminal: real engines, real processes, what they print and how they end."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.run import launch
from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.terminal.terminals import Terminal
from tests.terminal.test_cli_live import ENDLESS, follow, interrupt, start_endless
from tests.unit.cli_process import RUN_FILE, llmzero, run_file

COLOUR = re.compile(r"\x1b\[[0-9;]*3[0-7]")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A working directory; no engine of its runs outlives the test."""
    yield tmp_path
    for directory in launch.list_runs(tmp_path / "runs"):
        live.kill(directory)


def objects(lines: str) -> list[dict[str, Any]]:
    """Every line is one object."""
    return [json.loads(line) for line in lines.splitlines()]


def test_tail_follows_a_run_to_its_end_and_every_line_is_an_object(place: Path) -> None:
    started = llmzero("run", run_file(place, 'name = "whole"\n' + RUN_FILE), "--detach", cwd=place)
    assert started.returncode == 0, started.stderr
    done = llmzero("tail", "whole", "--json", "-n", "1000", cwd=place, timeout=200)
    assert done.returncode == 0, done.stderr
    told = objects(done.stdout)
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


def test_tail_tells_what_a_live_run_does_and_ctrl_c_leaves_it(place: Path) -> None:
    directory = start_endless(place)
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


def test_tail_of_a_run_whose_engine_is_gone_says_how_to_go_on(place: Path) -> None:
    directory = start_endless(place)
    process = follow(place, "tail", "endless")
    live.wait_for_rows(directory, "SELECT 1 FROM nodes WHERE state = 'running'")
    live.kill(directory)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err.splitlines()[-1].startswith("llmzero: the engine of endless is gone")
    assert "llmzero resume endless" in err


@pytest.mark.parametrize("colourless", [False, True])
def test_a_headless_run_on_a_terminal_draws_tree_budget_and_best_and_leaves_its_result(
    place: Path, colourless: bool
) -> None:
    path = run_file(place, 'name = "whole"\n' + RUN_FILE)
    extra = {"NO_COLOR": "1"} if colourless else {}
    terminal = Terminal(place, "run", str(path), "--headless", size=(80, 24), **extra)
    terminal.wait_for("of the budget ·")
    terminal.wait_for("best 0.", seconds=120)
    terminal.until(lambda: re.search(r"^  #1 .*(running|finished)", terminal.text, re.MULTILINE), "the tree", 120)
    said = terminal.rest()
    assert terminal.child.exitstatus == 0
    for words in ("━", "● training", "#0 base", "whole  ✓ finished", "95% interval"):
        assert words in said
    assert bool(COLOUR.search(said)) is not colourless


def test_a_headless_run_on_a_terminal_is_left_with_ctrl_c(place: Path) -> None:
    path = run_file(place, 'name = "endless"\n' + ENDLESS)
    terminal = Terminal(place, "run", str(path), "--headless", "--ascii", size=(100, 30))
    terminal.wait_for("of the budget")
    terminal.send("\x03")
    said = terminal.rest()
    assert terminal.child.exitstatus == 130
    assert "llmzero attach endless" in said
    assert said.isascii()
    assert RunDirectory(place / "runs" / "endless").holder() is not None

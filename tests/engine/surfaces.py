"""What every place that names a run's result says about it, side by side, for tests that they all say the same."""

from __future__ import annotations

import json
import shutil
import tomllib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from engine.run.rundir import RunDirectory
from llmzero_tui import cli
from llmzero_tui.feeds.compare import CompareFeed
from llmzero_tui.feeds.run import RunFeed
from llmzero_tui.feeds.runs import RunsFeed
from llmzero_tui.feeds.trajectory import TrajectoryFeed
from llmzero_tui.format import share
from llmzero_tui.values.comparison import CompareView
from llmzero_tui.values.nodes import ShownScore, Target
from llmzero_tui.values.proposal_detail import TrajectoryView
from llmzero_tui.values.snapshot import RunRow, RunView

NOW = datetime(2026, 1, 1)


@dataclass(frozen=True)
class Told:
    """The reported policy by one surface: name, node, step, and its scores as (value, n)."""

    policy: str
    node: int
    step: int
    validation: tuple[float, int]
    test: tuple[float, int] | None


def told_by_all(directory: RunDirectory, capsys: pytest.CaptureFixture[str]) -> dict[str, Told]:
    """Asks the command line, the feeds of the screens, and the exported strategy; the card's words are checked too."""
    capsys.readouterr()
    found = {}
    for name, command in (("show", ["show", str(directory.path)]), ("ls", ["ls"])):
        assert cli.main([*command, "--json", "--runs-dir", str(directory.path.parent)]) == 0
        answer = json.loads(capsys.readouterr().out)
        found[name] = _of_json(answer if name == "show" else answer[0])
    run = _read(RunFeed(directory.path, lambda: NOW), RunView()).run
    found["header"] = _of_run(run)
    found["runs"] = _of_run(_read(RunsFeed(directory.path.parent, lambda: NOW), None).runs[0])
    path = _read(TrajectoryFeed(directory.path, lambda: NOW), TrajectoryView(None))
    assert (path.node, path.stages[-1].steps) == (run.best.node, run.best.step) if run.best else False
    found["trajectory"] = _of_run(path.run)
    compared = _read(CompareFeed((Target(directory.path),), lambda: NOW), CompareView()).contenders[0]
    found["compare"] = _of_scored(compared.best, compared.test)
    assert compared.stages[-1].left_at == found["compare"].step
    found["strategy"] = _of_export(directory, capsys)
    return found


def _read(feed: Any, view: Any) -> Any:
    try:
        return feed.read(view)
    finally:
        feed.close()


def _of_json(row: dict[str, Any]) -> Told:
    return Told(
        row["best_policy"],
        row["best_node"],
        row["best_step"],
        _pair(row["best_validation"]),
        _pair_or_none(row["best_test"]),
    )


def _of_run(run: RunRow) -> Told:
    return _of_scored(run.best, run.test)


def _of_scored(best: ShownScore | None, test: ShownScore | None) -> Told:
    assert best is not None
    assert best.node is not None
    assert best.step is not None
    measured = None if test is None else (round(test.value, 6), test.n)
    return Told(best.policy, best.node, best.step, (round(best.value, 6), best.n), measured)


def _of_export(directory: RunDirectory, capsys: pytest.CaptureFixture[str]) -> Told:
    place = directory.path.parent.with_name("exported")
    shutil.rmtree(place, ignore_errors=True)
    assert cli.main(["export", str(directory.path), "--to", str(place)]) == 0, capsys.readouterr().err
    strategy = tomllib.loads((place / "strategy.toml").read_text(encoding="utf-8"))
    last, scores = strategy["stage"][-1], strategy["scores"]
    found = Told(
        strategy["policy_name"],
        last["node"],
        last["steps"],
        _pair(scores["validation"]),
        _pair_or_none(scores.get("test")),
    )
    _check_card(card_of(place), found)
    return found


def card_of(place: Path) -> str:
    """The model card of an exported policy."""
    return (place / "README.md").read_text(encoding="utf-8")


def _check_card(card: str, told: Told) -> None:
    """The card names the policy, with its own test score or none."""
    rows = [line.split() for line in card.splitlines() if line.startswith("    ") and " test  " in line]
    assert told.policy in card
    if told.test is None:
        assert f"{told.policy} has no test score" in card
        assert {row[0] for row in rows} <= {"base"}
    else:
        assert any(share(told.test[0]) in row for row in rows), (told, rows)


def _pair(score: dict[str, Any]) -> tuple[float, int]:
    return round(score["value"], 6), score["n"]


def _pair_or_none(score: dict[str, Any] | None) -> tuple[float, int] | None:
    return None if score is None else _pair(score)

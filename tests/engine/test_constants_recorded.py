"""A bank of constants made by real training: recorded, scored with an interruption, replayed."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest

from benchmarks.constants import score
from benchmarks.constants_replay import banks, closing_scores, on_test, recorded, replay, reported, results_of
from engine.compare import statistics
from engine.compare.plan import cells, load
from engine.compare.records import lines
from engine.compare.work import ComparisonRunner
from engine.errors import Fault
from engine.run.rundir import RunDirectory

PLAN = """
name = "tiny"
tasks = ["ladder"]
seeds = [1]
[run.budget]
steps = 24
[run.search]
segment_steps = 4
comparator = "off"
[run.evaluation]
validation_prompts = 16
rerank_prompts = 16
test_prompts = 16
soup = false
[run.advisor]
kind = "rules"
[run.training]
batch_size = 16
threads = 1
keep_checkpoints = 100
[strategies.constants]
strategy = "random"
settings = { segments = 2 }
"""


class Killed(BaseException):
    """In the place of a kill."""


@pytest.mark.long
@pytest.mark.timeout(900)  # real training; a minute on a machine that does nothing else
def test_a_recorded_bank_is_scored_and_a_search_replayed_on_it(tmp_path: Path) -> None:
    plan, runs = tmp_path / "plan.toml", tmp_path / "runs"
    plan.write_text(PLAN)
    told = list[str]()
    assert ComparisonRunner(list(cells(load(plan))), runs, results_of(plan), 1, "all", told.append).run() == 0, told
    (cell,) = recorded(plan)
    assert [len(segments) for segments in cell.constants()] == [2, 2, 2]
    assert len(cell.reportable()) == 1 + 3 * 2

    def until_the_third(line: str) -> None:
        if ": 3 of 7" in line:
            raise Killed

    def scored() -> list[tuple[int, int]]:
        return [(line["node"], line["step"]) for line in lines(results_of(plan)) if line.get("kind") == "policy"]

    with pytest.raises(Killed):
        score(plan, runs, until_the_third)
    assert scored() == cell.reportable()[:3]
    segments = RunDirectory(runs / cell.cell.run_name).segments
    shutil.move(segments, tmp_path / "elsewhere")
    with pytest.raises(Fault, match="is gone before it was scored; record it with --keep all"):
        score(plan, runs, told.append)
    shutil.move(tmp_path / "elsewhere", segments)
    score(plan, runs, told.append)
    assert scored() == cell.reportable()
    assert told[-1] == "ladder/constants/1: 4 of 4 scored"
    assert not list(segments.rglob("*.safetensors"))
    score(plan, runs, told.append)
    assert len(scored()) == 7

    best, found = cell.line["best"], closing_scores(results_of(plan), cell)
    assert found[best["node"], best["step"]].test == statistics.score(cell.line["test"]), "as the engine measured it"

    (bank,) = banks(plan)
    assert (len(bank.defaults), len(bank.draws), bank.broken, bank.unscored, bank.steps) == (1, 2, 0, 0, 8)
    place = reported(replay(bank, "topk", 24, bank.order(random.Random(1))))
    assert place[0] in (*bank.defaults, *bank.draws)
    assert on_test(place).n == 16

"""What a comparison's lines say: statistics with known answers, tables that name what is missing."""

from __future__ import annotations

import csv
import io
import json
import random
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest

from engine.compare import records
from engine.compare.packing import pack
from engine.compare.plan import AWAY, ComparisonCell, cells, load
from engine.compare.replayed import replay_cells
from engine.compare.report import RUNS, ComparisonReport, PlannedComparison, as_csv, markdown, summary
from engine.compare.statistics import (
    anytime,
    best_so_far,
    group,
    improvement,
    mean,
    mean_score,
    paired,
    scores_by_seed,
)
from engine.domain.score import PromptSet, of_outcomes
from llmzero_tui.commands.compare import report_lines
from tests.unit.cli_process import called

PLAN = """
name = "small"
tasks = ["ladder", "chain"]
seeds = [1, 2, 3, 4]
[strategies.ours]
strategy = "llmzero"
[strategies.fixed]
strategy = "fixed"
[strategies.grid]
strategy = "grid"
against = "fixed"
"""


def plan_of(where: Path, text: str = PLAN) -> list[ComparisonCell]:
    path = where / "plan.toml"
    path.write_text(text)
    return list(cells(load(path)))


def measured(correct: int, n: int = 90) -> dict[str, Any]:
    outcomes = "3" * correct + "0" * (n - correct)
    return {"n": n, "greedy": correct, "sampled": correct, "seed": 0, "outcomes": pack(outcomes)}


def line_of(cell: ComparisonCell, correct: int) -> records.Line:
    rising = [[0, 0, 90, 9, 9, 0, 0.0, 0, ""], [1, 25, 90, 45, 45, 25, 5.0, 900, ""]]
    return {
        "task": cell.task, "strategy": cell.strategy, "seed": cell.seed, "settings_hash": cell.settings_hash,
        "revisions": ["abc1234"], "advisor": "rules", "base": measured(9), "test": measured(correct),
        "best": {"node": 1, "step": 25, "soup": False}, "nodes": [{"id": 0}, {"id": 1, "parent": 0, "branch_step": 0}],
        "spent": {"steps": 50, "tokens": 1800, "trainer_seconds": 10.0, "wall_seconds": 12.0, "segments": 1},
        "scores": [*rising, [1, 50, 90, 30, 30, 50, 10.0, 1800, ""]],
    }  # fmt: skip


def report_of(plan: list[ComparisonCell], lines: list[records.Line]) -> ComparisonReport:
    return ComparisonReport(
        "small", "the command", plan, records.standing(plan, lines), {"fixed": ["ours"], "grid": ["fixed"]}
    )


def test_a_mean_has_the_t_interval_over_seeds_and_none_of_one_seed() -> None:
    found = mean([0.70, 0.72, 0.74])
    assert found.value == pytest.approx(0.72)
    assert found.interval == pytest.approx((0.72 - 4.3027 * 0.02 / 3**0.5, 0.72 + 4.3027 * 0.02 / 3**0.5), abs=1e-5)
    assert mean([0.7]).interval is None


def test_the_interval_of_a_mean_score_ends_at_0_and_1_and_that_of_a_mean_difference_does_not() -> None:
    half = 12.7062 * 0.05
    assert mean_score([0.9, 1.0]).interval == pytest.approx((0.95 - half, 1.0), abs=1e-4)
    assert mean_score([0.0, 0.1]).interval == pytest.approx((0.0, 0.05 + half), abs=1e-4)
    assert mean([-0.1, 0.0]).interval == pytest.approx((-0.05 - half, -0.05 + half), abs=1e-4)


def test_paired_differences_use_common_seeds_alone() -> None:
    ours = {1: 0.8, 2: 0.7, 3: 0.9, 4: 0.8, 9: 0.1}
    found = paired(ours, {1: 0.7, 2: 0.65, 3: 0.75, 4: 0.72, 8: 0.9})
    assert found is not None
    assert found.n == 4
    assert found.value == pytest.approx(0.095)
    half = 3.1824 * stdev([0.1, 0.05, 0.15, 0.08]) / 2
    assert found.interval == pytest.approx((0.095 - half, 0.095 + half), abs=1e-5)
    assert found.bootstrap is not None
    assert 0.05 <= found.bootstrap[0] < 0.095 < found.bootstrap[1] <= 0.15
    assert found.p == pytest.approx(0.125)
    assert paired({1: 0.5}, {2: 0.5}) is None
    one, two = paired({1: 0.5}, {1: 0.4}), paired({1: 0.5, 2: 0.6}, {1: 0.4, 2: 0.4})
    assert one is not None
    assert two is not None
    assert (one.interval, one.bootstrap, one.p) == (None, None, None)
    assert (two.bootstrap, two.p) == (None, None)
    assert two.interval is not None
    nothing = paired({1: 0.3, 2: 0.2}, {1: 0, 2: 0})
    assert nothing is not None
    assert (nothing.value, nothing.relative) == (0.25, None)


def test_differences_that_rounding_alone_tells_apart_are_equal() -> None:
    alike = paired({1: 0.3, 2: 0.2, 3: 0.6}, {1: 0.2, 2: 0.1, 3: 0.5})
    assert alike is not None
    assert alike.value == pytest.approx(0.1)
    assert (alike.interval, alike.bootstrap) == (None, None)


@pytest.mark.parametrize(("seeds", "of_bootstrap"), [(3, 0.71), (5, 0.84), (8, 0.90)])
def test_the_t_interval_of_a_difference_holds_it_and_the_bootstrap_less_often(seeds: int, of_bootstrap: float) -> None:
    """Normal differences of mean 0; the shares are what the pages say."""
    rng, nothing = random.Random(1), dict.fromkeys(range(seeds), 0.0)
    worlds = [paired({seed: rng.gauss(0, 0.02) for seed in range(seeds)}, nothing) for _ in range(300)]

    def share(which: str) -> float:
        intervals = [getattr(world, which) for world in worlds]
        return fmean(low <= 0 <= high for low, high in intervals)

    assert share("interval") == pytest.approx(0.95, abs=0.03)
    assert share("bootstrap") == pytest.approx(of_bootstrap, abs=0.06)


def test_equal_runs_differ_by_nothing_and_are_beaten_half_the_time(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    lines = group([line_of(cell, 60) for cell in plan])
    same = paired(scores_by_seed(lines["ladder", "ours"]), scores_by_seed(lines["ladder", "fixed"]))
    assert same is not None
    assert (same.value, same.interval, same.bootstrap, same.p) == (0.0, None, None, 1.0)
    found = improvement(lines, ["ladder", "chain"], "ours", "fixed")
    assert found is not None
    assert (found.value, found.tasks) == (0.5, 2)


def test_a_strategy_that_always_wins_has_probability_one(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    lines = group([line_of(cell, 60 + 10 * (cell.strategy == "ours") + cell.seed) for cell in plan])
    found = improvement(lines, ["ladder", "chain"], "ours", "fixed")
    assert found is not None
    assert (found.value, found.interval) == (1.0, (1.0, 1.0))


def test_two_seeds_have_no_probability_of_improvement(tmp_path: Path) -> None:
    """Their bootstrap would be the point 1.000 with the interval [1.000, 1.000]."""
    cells = [cell for cell in plan_of(tmp_path) if cell.seed <= 2]
    lines = group([line_of(cell, 60 + 10 * (cell.strategy == "ours") + cell.seed) for cell in cells])
    assert improvement(lines, ["ladder", "chain"], "ours", "fixed") is None


def test_a_strategy_may_be_held_against_several(tmp_path: Path) -> None:
    report = replace(report_of(plan_of(tmp_path), []), references={"fixed": ["ours"], "grid": ["ours", "fixed"]})
    assert report.pairs == [("ours", "fixed"), ("ours", "grid"), ("fixed", "grid")]


def test_a_reference_that_is_left_out_is_said_and_no_other_stands_in_for_it(tmp_path: Path) -> None:
    part = [cell for cell in plan_of(tmp_path) if cell.strategy != "ours"]
    report = PlannedComparison(load(tmp_path / "plan.toml"), part, tmp_path / "none.jsonl").report()
    assert report.pairs == [("fixed", "grid")]
    assert "Nothing is held against ours: no cell of it is among these." in list(summary(report))
    assert not any("Nothing is held against" in each for each in summary(report_of(plan_of(tmp_path), [])))


def test_the_best_so_far_never_falls_and_is_held_to_the_end(tmp_path: Path) -> None:
    line = line_of(plan_of(tmp_path)[0], 60)
    assert best_so_far(line, "seconds") == [(0.0, 0.1), (5.0, 0.5)]
    curve = anytime({1: line}, "tokens", points=3)
    assert curve == [(0.0, 0.1), (900.0, 0.5), (1800.0, 0.5)]


def test_a_first_look_is_no_incumbent(tmp_path: Path) -> None:
    line = line_of(plan_of(tmp_path)[0], 60)
    look = [1, 10, 20, 20, 20, 10, 2.0, 400, ""]  # all right, of few prompts
    scores = [line["scores"][0], look, *line["scores"][1:]]
    assert best_so_far({**line, "scores": scores}, "seconds") == best_so_far(line, "seconds")


def test_the_page_names_what_is_missing_stale_or_of_several_revisions(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    lines = [line_of(cell, 60) for cell in plan if cell.seed < 3]
    lines[0]["revisions"] = ["def5678"]
    lines.append({**line_of(plan[-1], 60), "settings_hash": "0" * 10})
    page = markdown(report_of(plan, lines), figure="page.svg")
    assert "from 12 of 24 runs" in page
    assert "Not measured yet: 12 runs" in page
    assert "Stale, left out (other settings than the plan's now): chain/grid/4" in page
    assert "Code: abc1234, def5678" in page
    assert "mix runs of several revisions" in page
    assert "| fixed | grid | ladder | +0.000 |" in page


def test_the_terminal_says_what_is_mixed_stale_or_missing_in_the_words_of_the_page(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    lines = [line_of(cell, 60) for cell in plan if cell.seed < 3]
    lines[0]["revisions"] = ["def\x1b[31m"]
    lines.append({**line_of(plan[-1], 60), "settings_hash": "0" * 10})
    report = report_of(plan, lines)
    page, shown = markdown(report), list(report_lines(report, "steps"))
    for words in ("These tables mix runs of several", "Stale, left out (", "Not measured yet: 12 runs."):
        (line,) = [each for each in shown if each.startswith(words)]
        assert line in page.splitlines()
    assert "\x1b" not in "".join(shown)


def test_the_csv_has_a_row_for_each_run_with_its_interval(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    rows = list(csv.DictReader(io.StringIO(as_csv(report_of(plan, [line_of(cell, 60) for cell in plan])))))
    assert len(rows) == len(plan)
    assert float(rows[0]["test_low"]) < float(rows[0]["test_score"]) < float(rows[0]["test_high"])
    assert rows[0]["test_n"] == "90"


def test_the_csv_of_nothing_is_its_header(tmp_path: Path) -> None:
    assert as_csv(report_of(plan_of(tmp_path), [])).startswith("task,strategy,seed,test_score,")


def test_a_comparison_without_a_result_is_told_without_a_crash(tmp_path: Path) -> None:
    report = report_of(plan_of(tmp_path), [])
    text = "\n".join(report_lines(report, "seconds"))
    assert "0 of 24 runs measured" in text
    assert "nothing measured yet" in text
    assert "Nothing measured yet." in markdown(report)


def test_a_single_table_is_the_same_as_among_all(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    report = report_of(plan, [line_of(cell, 60) for cell in plan if cell.seed < 3])
    assert [report.table(title) for title in report.titles] == report.tables()
    assert "The schedule again on unseen seeds" not in report.titles
    runs = report.table(RUNS)
    assert [row[:3] for row in runs.rows] == [(c.task, c.strategy, str(c.seed)) for c in report.measured]


def test_a_run_stands_beside_what_its_reference_leads_by_on_the_same_prompts(tmp_path: Path) -> None:
    solved = {"ours": 70, "fixed": 60, "grid": 62}
    plan = plan_of(tmp_path)
    lines = [line_of(cell, solved[cell.strategy]) for cell in plan if (cell.strategy, cell.seed) != ("fixed", 4)]
    runs = report_of(plan, lines).table(RUNS)
    led = {row[:3]: row[runs.header.index("led by")] for row in runs.rows}
    assert led["ladder", "ours", "1"] == "–"
    known = PromptSet("test", 0, 90)
    paired = of_outcomes("3" * 70 + "0" * 20, known).minus(of_outcomes("3" * 60 + "0" * 30, known)).interval
    assert led["ladder", "fixed", "1"] == f"ours +0.111 [{paired[0]:+.3f}, {paired[1]:+.3f}]"
    assert led["ladder", "grid", "1"].startswith("fixed -0.022 [")
    assert led["ladder", "grid", "4"] == "–"


def test_the_terminal_shows_tables_and_curves(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    text = "\n".join(report_lines(report_of(plan, [line_of(cell, 60) for cell in plan]), "steps"))
    assert "0.667 (4)" in text
    assert "chain: best validation score so far" in text
    assert "\x1b" not in text


def searched_line(cell: ComparisonCell) -> records.Line:
    """A cell whose best policy stands 30 steps into the second of two stages, beside a branch that was left."""
    nodes = [
        {"id": 0, "intent": "base", "steps": 0},
        {"id": 1, "parent": 0, "branch_step": 0, "intent": "root", "steps": 50, "changes": {"learning_rate": 2e-4}},
        {"id": 2, "parent": 1, "branch_step": 25, "intent": "change", "steps": 50, "changes": {"beta": 0.01}},
        {"id": 3, "parent": 1, "branch_step": 50, "intent": "change", "steps": 50, "changes": {"temperature": 0.9},
         "optimizer": "reset", "reference": "branch point"},
    ]  # fmt: skip
    return {**line_of(cell, 60), "best": {"node": 3, "step": 30, "soup": False}, "nodes": nodes}


def test_the_schedule_of_a_measured_cell_is_trained_again_on_a_seed_far_from_the_plans(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, PLAN.replace('name = "small"', 'name = "small"\nreplays = 2'))
    ours = next(cell for cell in plan if cell.strategy == "ours")
    standing = records.standing(plan, [searched_line(ours)])
    again = list(replay_cells(plan, standing.done, replays=2))
    assert [cell.key for cell in again] == [("ladder", "ours.replay", 10_001), ("ladder", "ours.replay", 20_001)]
    config = again[0].config()
    assert (config.budget.steps, config.search.strategy, config.search.comparator) == (80, "replay", "off")
    first, second = config.search.settings["stages"]
    assert (first["steps"], first["configuration"], first["optimizer"]) == (50, {"learning_rate": 2e-4}, "keep")
    assert (second["steps"], second["configuration"]) == (30, {"temperature": 0.9})
    assert (second["optimizer"], second["reference"]) == ("reset", "branch point")


def test_nothing_is_replayed_of_a_cell_that_found_nothing(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    line = {**searched_line(plan[0]), "best": {"node": 0, "step": 0, "soup": False}}
    assert list(replay_cells(plan, records.standing(plan, [line]).done, replays=3)) == []


def test_both_columns_stand_in_one_table(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    lines = [searched_line(cell) for cell in plan if cell.strategy == "ours" and cell.task == "ladder"]
    standing = records.standing(plan, lines)
    again = list(replay_cells(plan, standing.done, replays=2))
    right = {1: (40, 50), 2: (54, 54)}  # each schedule on two seeds
    measured = [cell for cell in again if cell.seed % AWAY in right]
    replayed = records.standing(
        again, [line_of(cell, right[cell.seed % AWAY][cell.seed // AWAY - 1]) for cell in measured]
    )
    report = ComparisonReport("small", "the command", plan, standing, replayed=replayed)
    (table,) = [each for each in report.tables() if each.title.startswith("The schedule again")]
    (row,) = table.rows
    assert row[:2] == ("ours", "ladder")
    assert row[2].endswith("(2)")
    assert row[2].startswith("0.667")
    assert row[3].startswith("0.550")
    assert row[3].endswith("(2)")
    assert "Not measured yet: 20 runs and 4 replays." in markdown(report)


def test_the_table_of_replays_can_be_made_again_of_the_csv(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    standing = records.standing(plan, [searched_line(cell) for cell in plan[:2]])
    again = list(replay_cells(plan, standing.done, replays=1))
    replayed = records.standing(again, [line_of(cell, 45) for cell in again])
    report = ComparisonReport("small", "the command", plan, standing, replayed=replayed)
    rows = list(csv.DictReader(io.StringIO(as_csv(report))))
    assert [(row["strategy"], row["seed"], row["test_score"]) for row in rows] == [
        ("ours", "1", str(60 / 90)), ("fixed", "1", str(60 / 90)),
        ("ours.replay", "10001", "0.5"), ("fixed.replay", "10001", "0.5"),
    ]  # fmt: skip


def test_the_report_as_json_has_the_summary_the_tables_and_the_numbers(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    for cell in plan[:2]:
        records.append(tmp_path / "plan.jsonl", line_of(cell, 60))
    done = called("compare", "plan.toml", "--report", "--json", cwd=tmp_path)
    found = json.loads(done.stdout)
    assert list(found) == ["plan", "summary", "tables", "runs"]
    assert found["plan"] == "small"
    assert found["summary"][-1] == "Not measured yet: 22 runs."
    assert found["tables"][0]["title"] == "Test scores"
    assert found["tables"][0]["rows"][0]["strategy"] == "ours"
    assert [(run["strategy"], run["test_score"], run["test_n"]) for run in found["runs"]] == [
        ("ours", 60 / 90, 90), ("fixed", 60 / 90, 90),
    ]  # fmt: skip


@pytest.mark.parametrize("as_json", [False, True])
def test_the_list_says_which_cells_are_measured_stale_or_pending(tmp_path: Path, as_json: bool) -> None:
    first, second, *rest = plan_of(tmp_path)
    records.append(tmp_path / "plan.jsonl", line_of(first, 60))
    records.append(tmp_path / "plan.jsonl", {**line_of(first, 60), "settings_hash": "0" * 10})
    records.append(tmp_path / "plan.jsonl", {**line_of(second, 60), "settings_hash": "0" * 10})
    done = called("compare", "plan.toml", "--list", *["--json"] * as_json, cwd=tmp_path)
    if as_json:
        states = [[row["cell"], row["state"]] for row in json.loads(done.stdout)]
    else:
        states = [line.split()[:2] for line in done.stdout.splitlines()[1:]]
    assert states == [[first.title, "done"], [second.title, "stale"], *([cell.title, "pending"] for cell in rest)]

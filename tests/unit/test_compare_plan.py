"""The plan of a comparison and its results file: order of the cells, what counts as done, mistakes in one line."""

from __future__ import annotations

import json
import resource
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.compare import records
from engine.compare.packing import pack, unpack
from engine.compare.plan import ComparisonCell, cells, load, merged
from engine.compare.replayed import replay_cells
from engine.errors import Fault, UserError
from tasks import registry

PLAN = """
name = "small"
tasks = ["ladder", "chain"]
seeds = [1, 2]
[run.budget]
steps = 60
[task.chain.search]
segment_steps = 20
[strategies.ours]
strategy = "llmzero"
[strategies.bare]
strategy = "llmzero"
run.search.comparator = "off"
seeds = [1]
[strategies.continue]
strategy = "continue"
settings = { constants = 2 }
tasks = ["ladder"]
"""


def written(where: Path, text: str = PLAN) -> list[ComparisonCell]:
    path = where / "plan.toml"
    path.write_text(text)
    return list(cells(load(path)))


def line_of(cell: ComparisonCell, **other: Any) -> dict[str, Any]:
    line = {"task": cell.task, "strategy": cell.strategy, "seed": cell.seed, "settings_hash": cell.settings_hash}
    measured = {"n": 8, "greedy": 4, "sampled": 4, "seed": 0}
    spent = {"steps": 60, "segments": 2, "tokens": 900, "trainer_seconds": 80.0, "wall_seconds": 100.0}
    best, nodes = (
        {"node": 1, "step": 50, "soup": False},
        [{"id": 0}, {"id": 1, "parent": 0, "branch_step": 0, "steps": 50}],
    )
    return {
        **line, "revisions": ["abc1234"], "advisor": "rules", "spent": spent, "base": measured, "test": measured,
        "best": best, "nodes": nodes, "scores": [[0, 0, 8, 1, 1, 0, 0.0, 0, ""]], **other,
    }  # fmt: skip


def test_all_strategies_come_with_the_first_seed_of_each_task_before_the_second_seed(tmp_path: Path) -> None:
    titles = [cell.title for cell in written(tmp_path)]
    assert titles == [
        "ladder/ours/1", "ladder/bare/1", "ladder/continue/1", "chain/ours/1", "chain/bare/1",
        "ladder/ours/2", "ladder/continue/2", "chain/ours/2",
    ]  # fmt: skip


def test_a_random_start_is_one_draw_for_all_strategies_of_a_task_and_seed(tmp_path: Path) -> None:
    by_title = {
        cell.title: cell.config().build_space(registry.get(cell.task).space())
        for cell in written(tmp_path, PLAN.replace("seeds = [1, 2]\n", 'seeds = [1, 2]\nstart = "random"\n', 1))
    }
    starts = {title: space.default() for title, space in by_title.items()}
    assert starts["ladder/ours/1"] == starts["ladder/bare/1"] == starts["ladder/continue/1"]
    drawn = [starts[f"{task}/ours/{seed}"] for task in ("ladder", "chain") for seed in (1, 2)]
    assert len({each["learning_rate"] for each in drawn}) == 4
    as_the_task_begins = registry.get("ladder").space()["difficulty"]["default"]
    assert by_title["ladder/ours/1"]["difficulty"].rising
    assert [starts[f"ladder/ours/{seed}"]["difficulty"] for seed in (1, 2)] == [as_the_task_begins] * 2


def test_a_replay_of_a_search_with_a_random_start_begins_there_too(tmp_path: Path) -> None:
    [cell, *_] = written(tmp_path, PLAN.replace("seeds = [1, 2]\n", 'seeds = [1, 2]\nstart = "random"\n', 1))
    nodes = [{"id": 1, "parent": 0, "branch_step": 0, "changes": {}}]
    line = line_of(cell, best={"node": 1, "step": 20}, nodes=nodes)
    [again] = replay_cells([cell], {cell.key: line}, 1)
    assert again.settings["space"] == cell.settings["space"]


def test_an_unknown_task_of_a_random_start_is_named_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^nonesuch/start/1: task 'nonesuch' is unknown; nearest: "):
        written(tmp_path, 'start = "random"\ntasks = ["nonesuch"]\nseeds = [1]\n[strategies.a]\nstrategy = "fixed"\n')


def test_a_cell_is_a_whole_run_file_with_the_seed_and_what_its_task_and_strategy_say(tmp_path: Path) -> None:
    by_title = {cell.title: cell.config() for cell in written(tmp_path)}
    bare = by_title["chain/bare/1"]
    assert (bare.task.name, bare.search.strategy, bare.search.seed) == ("chain", "llmzero", 1)
    assert (bare.search.comparator, bare.search.segment_steps, bare.budget.steps) == ("off", 20, 60)
    assert by_title["ladder/ours/2"].search.segment_steps == 50
    assert by_title["ladder/continue/1"].search.settings == {"constants": 2}
    assert len({config.name for config in by_title.values()}) == len(by_title)


def test_seeds_share_a_settings_hash_and_other_settings_have_another(tmp_path: Path) -> None:
    before = {cell.title: cell.settings_hash for cell in written(tmp_path)}
    assert before["ladder/ours/1"] == before["ladder/ours/2"]
    assert before["ladder/ours/1"] != before["ladder/bare/1"]
    after = {cell.title: cell.settings_hash for cell in written(tmp_path, PLAN.replace("steps = 60", "steps = 61"))}
    assert before["ladder/ours/1"] != after["ladder/ours/1"]


def test_a_line_of_other_settings_is_stale_and_its_cell_pending(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    plan = written(tmp_path)
    records.append(file, line_of(plan[0]))
    records.append(file, line_of(plan[1], settings_hash="0123456789"))
    standing = records.standing(plan, records.load(file))
    assert list(standing.done) == [plan[0].key]
    assert standing.pending == tuple(plan[1:])
    assert [line["strategy"] for line in standing.stale] == ["bare"]


RIGHT = {"n": 8, "greedy": 4, "sampled": 4, "seed": 0}
"""A score without the outcomes of its prompts."""
FIRST = {"id": 1, "parent": 0, "branch_step": 0}


@pytest.mark.parametrize(
    "wrong",
    [
        {"seed": True}, {"revisions": [1]}, {"test": {}}, {"test": {"n": 8, "greedy": 4, "sampled": 4}},
        {"test": {**RIGHT, "n": 0, "greedy": 0, "sampled": 0}}, {"test": {**RIGHT, "greedy": 9}},
        {"test": {**RIGHT, "sampled": "4"}}, {"test": {**RIGHT, "outcomes": "aa"}},
        {"test": {**RIGHT, "outcomes": "\x1b[2J"}},
        {"spent": {"steps": 60}}, {"best": {"node": 7, "step": 50, "soup": False}}, {"best": {"node": 1, "step": 50}},
        {"nodes": [{"id": 0}, {**FIRST, "parent": 1}]},
        {"nodes": [{**FIRST, "parent": 2}, {**FIRST, "id": 2, "parent": 1}]},
        {"nodes": [{"id": 1, "branch_step": 0}]}, {"nodes": [{"id": 0}, {"id": 1, "parent": 0}]}, {"nodes": ["1"]},
        {"scores": [[]]}, {"scores": [[0, 0, 0, 1, 1, 0, 0.0, 0]]}, {"scores": [[0, 0, "8", 1, 1, 0, 0.0, 0]]},
        {"scores": {"0": []}},
    ],
    ids=str,
)  # fmt: skip
def test_a_line_with_something_wrong_inside_is_left_out(tmp_path: Path, wrong: dict[str, Any]) -> None:
    file = tmp_path / "results.jsonl"
    whole = line_of(written(tmp_path)[0])
    records.append(file, {**whole, **wrong})
    assert records.load(file) == []
    records.append(file, {**whole, "more": {"of": "a later version"}})
    assert len(records.load(file)) == 1


def test_a_line_that_is_no_measurement_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    plan = written(tmp_path)
    whole = line_of(plan[0])
    for key in whole:
        records.append(file, {name: value for name, value in whole.items() if name != key})
        records.append(file, {**whole, key: None})
    with file.open("a") as other:
        other.write("[" * 100_000 + "\n")
    assert records.load(file) == []
    records.append(file, whole)
    assert records.load(file) == [whole]


def test_lines_that_are_no_whole_measurements_are_numbered(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    plan = written(tmp_path)
    whole = line_of(plan[0])
    assert records.left_out(file) == []
    wrong = [{**whole, "test": None}, {**whole, "test": {**RIGHT, "outcomes": "aa"}}, {**whole, "scores": None}]
    for each in (whole, {"kind": "policy"}, *wrong):
        records.append(file, each)
    with file.open("a") as cut:
        cut.write("\n" + json.dumps(line_of(plan[1]))[:40])
    records.append(file, line_of(plan[2]))
    assert records.left_out(file) == [3, 4, 5, 7]


def test_a_line_that_cannot_be_written_is_a_fault_and_leaves_no_half_of_it(tmp_path: Path) -> None:
    with pytest.raises(Fault, match=r"^/dev/full cannot be written: No space left on device$"):
        records.append(Path("/dev/full"), {"kind": "x"})
    file = tmp_path / "results.jsonl"
    records.append(file, {"kind": "whole"})
    before, limits = file.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 4, limits[1]))  # as a disk that is full soon
    try:
        with pytest.raises(Fault, match="cannot be written: File too large"):
            records.append(file, {"kind": "too long"})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before


def test_results_that_are_no_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^/dev/full: cannot be read: it is not a regular file"):
        records.load(Path("/dev/full"))
    for path in (Path("/proc/x.jsonl"), tmp_path):
        with pytest.raises(UserError, match=r"cannot be written: .*; give a file"):
            records.check_writable(path)


def test_the_time_left_is_the_mean_time_of_a_cell_for_each_that_is_left(tmp_path: Path) -> None:
    plan = written(tmp_path)
    nothing = records.standing(plan, [])
    assert nothing.seconds_left([], 0, 1) is None
    assert nothing.seconds_left([(0.1, 5.0)], 0, 1) is None, "the first steps do not say how long a cell takes"
    assert nothing.seconds_left([(0.5, 50.0)], 0, 1) == pytest.approx(750)
    one = records.standing(plan, [line_of(plan[0])])
    assert one.seconds_left([], 0, 1) == pytest.approx(700)
    assert one.seconds_left([(0.5, 50.0), (0.5, 50.0)], given_up=2, jobs=2) == pytest.approx(200)
    assert records.standing(plan, map(line_of, plan)).seconds_left([], 0, 1) == 0


def test_a_line_cut_off_by_a_crash_costs_that_line_alone(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    plan = written(tmp_path)
    records.append(file, line_of(plan[0]))
    with file.open("a") as cut:
        cut.write(json.dumps(line_of(plan[1]))[:40])
    records.append(file, line_of(plan[2]))
    standing = records.standing(plan, records.load(file))
    assert list(standing.done) == [plan[0].key, plan[2].key]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('strategy = "continue"', 'strategy = "continu"', r"search\.strategy = 'continu'"),
        ("constants = 2", "constants = 0", r"settings of continue: constants = 0"),
        ("constants = 2", "constant = 2", r"unknown key constant; did you mean constants"),
        ("seeds = [1]\n", "seeds = [3]\n", r"has seed 3, which is not in seeds"),
        ("seeds = [1, 2]", "seeds = []", r"plan\.toml: seeds"),
        ('tasks = ["ladder", "chain"]', 'tasks = "ladder"', r"plan\.toml: tasks = 'ladder'"),
        ("[strategies.bare]", '[strategies."bare one"]', r"\[strategies\.bare one\]: letters, digits"),
        ("steps = 60", "step = 60", r"unknown key budget\.step"),
        ("settings = {", "setings = {", r"unknown key strategies\.continue\.setings; did you mean settings\?"),
    ],
)
def test_a_mistake_in_a_plan_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        [cell.config() for cell in written(tmp_path, PLAN.replace(old, new))]
    assert "\n" not in str(error.value)


def test_no_two_cells_have_the_same_run(tmp_path: Path) -> None:
    """However long plan, task, strategy and seed are called."""
    plan = PLAN.replace('"small"', '"twelve-chars-and-more"').replace("ours]", "a-label-of-24-characters]")
    many = plan.replace("seeds = [1, 2]", "seeds = [1, 1234567890, 1234567891]")
    for text in (many, many.replace("steps = 60", "steps = 80")):
        for cell in written(tmp_path, text):
            for seed in (cell.seed, cell.seed // 10 + 10_000):
                longer = replace(cell, strategy=cell.strategy + ".replay", seed=seed)
                assert len(longer.run_name) <= 64
                names = {cell.run_name, longer.run_name, replace(longer, seed=seed + 1).run_name}
                assert len(names) == 3
    assert written(tmp_path)[0].run_name == f"small-ladder-ours-1-{written(tmp_path)[0].settings_hash[:6]}"


def test_tables_are_merged_key_by_key() -> None:
    below = {"search": {"roots": 2, "workers": 1}, "model": {"path": "a"}}
    over = {"search": {"roots": 3}, "budget": {"steps": 9}}
    assert merged(below, over) == {
        "search": {"roots": 3, "workers": 1}, "model": {"path": "a"}, "budget": {"steps": 9},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "first"), [("dev", ["ours", "continue", "keep-only"]), ("table", ["llmzero", "ours", "continue"])]
)
def test_the_evidence_plans_are_valid_run_files_throughout(name: str, first: list[str]) -> None:
    plan = list(cells(load(Path(__file__).parents[2] / "benchmarks" / "evidence" / f"{name}.toml")))
    assert len({cell.config().name for cell in plan}) == len(plan)
    assert [cell.strategy for cell in plan[:3]] == first


def test_development_and_table_share_no_seed() -> None:
    folder = Path(__file__).parents[2] / "benchmarks" / "evidence"
    dev, table = load(folder / "dev.toml"), load(folder / "table.toml")
    assert not set(dev.seeds) & set(table.seeds)


@given(st.text("0123", max_size=40))
def test_outcomes_are_packed_without_loss(outcomes: str) -> None:
    packed = pack(outcomes)
    assert unpack(packed, len(outcomes)) == outcomes
    assert len(packed) <= len(outcomes) / 3 + 1

"""The benchmark of learning: its plan is valid, an interruption costs one run, and nothing unmeasured gets a number."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from benchmarks import learning, learning_report
from benchmarks.learning_plan import GROUPS, SEEDS, STEPS, Run, plan
from engine.domain.space import Space
from tasks import registry


def test_every_configuration_of_the_plan_is_inside_its_tasks_space() -> None:
    runs = plan()
    assert {run.group for run in runs} == set(GROUPS)
    assert set(STEPS) == set(registry.names())
    for run in runs:
        space = Space.build({}, registry.get(run.task).space(), batch_size=learning.BATCH_SIZE)
        for number in range(len(run.stages)):
            assert space.violations(learning.configuration(run, number)) == ()
        assert bool(run.steps) != bool(run.seconds) or run.group == "base"


def test_an_arm_that_equals_another_is_measured_once() -> None:
    keys = [learning.key(run) for run in plan()]
    shared = [run.label for run in plan() if keys.count(learning.key(run)) > 1]
    assert "sensitivity knights learning_rate: learning_rate 0.0001 seed 0" in shared
    assert "constant knights suggested seed 0" in shared
    assert len({learning.key(run) for run in plan() if run.group == "ladder"}) == 5 * len(SEEDS)


def test_results_are_found_again_and_a_line_cut_off_is_measured_again(tmp_path: Path) -> None:
    cache, runs = tmp_path / "learning.jsonl", plan()[:3]
    assert list(learning.pending(runs, cache)) == runs
    result = learning.Result(n=1024, greedy=512, sampled=256, steps=10, seconds=1.5)
    whole = json.dumps({"key": learning.key(runs[0]), "label": "", "result": asdict(result)})
    cut = json.dumps({"key": learning.key(runs[1]), "label": "", "result": asdict(result)})[:-20]
    cache.write_text(f"{whole}\n{cut}", encoding="utf-8")
    assert learning.load(cache) == {learning.key(runs[0]): result}
    assert list(learning.pending(runs, cache)) == runs[1:]
    learning.append(runs[2], result, cache)
    assert list(learning.pending(runs, cache)) == [runs[1]]


def test_the_page_names_what_was_not_measured_and_judges_what_was() -> None:
    runs = [run for run in plan() if run.task == "chain" and run.group in ("base", "constant")]
    base = learning.Result(1024, 100, 50, 0, 0.0)
    after = learning.Result(1024, 1000, 60, 200, 50.0)
    page = learning_report.render([(runs[0], base), (runs[1], after), (runs[2], after), (runs[3], None)])
    assert "from 3 of 4 runs" in page
    assert "- constant chain suggested seed 2" in page
    greedy, sampled = (line for line in page.splitlines() if line.startswith("| chain | 200 |"))
    assert greedy.endswith("| 0.977 (2 of 3 seeds) | 10.0 | **no** |"), "saturated"
    assert sampled.endswith("| 0.059 (2 of 3 seeds) | 1.2 | **no** |"), "too little"


def test_a_mean_of_three_seeds_has_students_interval() -> None:
    assert learning_report._mean([0.5, 0.6, 0.7]) == "0.600 ± 0.248"
    assert learning_report._mean([0.01, 0.02, 0.03], "+") == "+0.020 ± 0.025"


def test_a_hyperparameter_is_apart_only_when_every_seed_says_so() -> None:
    runs = [run for run in plan() if run.group == "sensitivity" and run.name.startswith("beta")]
    scores = {"beta 0": (700, 710, 720), "beta 0.04": (800, 810, 719)}

    def result(run: Run) -> learning.Result:
        greedy = scores[run.name.rpartition(", ")[2]][run.seed]
        return learning.Result(1024, greedy, greedy, 200, 40.0)

    def verdict() -> str:
        page = learning_report.render([(run, result(run)) for run in runs])
        return next(line for line in page.splitlines() if line.startswith("| beta | chain |"))

    assert verdict().endswith("| learning_rate 0.0001, beta 0 | learning_rate 0.0001, beta 0.04 "
                              "| 0.693 → 0.758 | 0.693 → 0.758 | **no** |")  # fmt: skip
    scores["beta 0.04"] = (800, 810, 721)
    assert verdict().endswith("| yes |")


def test_the_staged_arm_is_compared_with_the_best_constant_seed_by_seed() -> None:
    runs = [run for run in plan() if run.group == "ladder"]

    def result(run: Run) -> learning.Result:
        greedy = 900 + run.seed if run.name.startswith("staged") else 700 + len(run.name)
        return learning.Result(1024, greedy, 512, 250, 50.0)

    page = learning_report.render([(run, result(run)) for run in runs])
    best = max((run.name for run in runs if run.name.startswith("constant")), key=len)
    assert f"({best.removeprefix('constant: ')})" in page
    gains = ", ".join(f"{(200 + seed - len(best)) / 1024:+.3f}" for seed in SEEDS)
    assert f"- greedy: {gains}; mean" in page

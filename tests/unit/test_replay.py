"""A schedule carried to another model: what is taken as it is, what is rescaled and why, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from engine.compare import plan as plans
from engine.compare import replay
from engine.compare.replay import ModelFacts, StrategyFile, TargetChanges
from engine.domain.space import Intent, OptimizerState
from engine.errors import UserError
from engine.run.config import RunConfig
from engine.search.registry import make
from engine.simulation.search import Simulation
from engine.testing.simulation import SPACE, World
from llmzero_tui.cli import main
from llmzero_tui.commands.replay import at_once
from tests.unit.cli_process import llmzero

SMALL = ModelFacts(width=64, lora=0, tokens=1000)


def document(**more: Any) -> dict[str, Any]:
    stage = {"steps": 40, "optimizer": "keep", "reference": "base", "node": 1, "label": "lr 1e-4"}
    later = {**stage, "steps": 7, "optimizer": "reset", "reference": "branch point", "rationale": 'KL "high"\x1b[31m'}
    return {
        "format": 2, "run": "found", "task": "knights", "base": "assets/tiny/knights", "engine_version": "0.1.0",
        "found_by": {"strategy": "llmzero", "advisor": "rules", "seed": 4, "steps": 200, "nodes": 4},
        "run_file": {"task": {"name": "knights"}, "training": {"batch_size": 32, "threads": 1}},
        "scores": {"test": {"value": 0.8, "low": 0.75, "high": 0.84, "n": 1024}},
        "stage": [
            {**stage, "configuration": {"learning_rate": 1e-4, "max_completion_length": 32}},
            {**later, "configuration": {"learning_rate": 5e-5, "max_completion_length": 48}},
        ],
        **more,
    }  # fmt: skip


def strategy_file(**more: Any) -> StrategyFile:
    return replay.parse(tomli_w.dumps(document(**more)), "s.toml")


def factors(target: ModelFacts, source: ModelFacts = SMALL, **changes: Any) -> dict[str, float]:
    found = replay.carried(strategy_file(), SPACE, source, target, TargetChanges(**changes))
    return {p.name: p.factor for p in found}


def test_everything_is_carried_as_it_is_to_the_model_it_was_found_on() -> None:
    assert factors(SMALL) == {"learning_rate": 1, "max_completion_length": 1}
    assert replay.schedule(strategy_file(), replay.carried(strategy_file(), SPACE, SMALL, SMALL, TargetChanges()))[
        1
    ].configuration == {"learning_rate": 5e-5, "max_completion_length": 48}


def test_the_rate_follows_the_width_and_the_length_the_tokens() -> None:
    found = factors(ModelFacts(width=128, lora=0, tokens=1250))
    assert found == {"learning_rate": 0.5, "max_completion_length": 1.25}


def test_the_rate_is_ten_times_as_high_with_an_adapter_and_the_width_says_nothing() -> None:
    assert factors(ModelFacts(width=128, lora=8, tokens=1000))["learning_rate"] == 10
    assert factors(ModelFacts(256, 0, 0), source=ModelFacts(64, 8, 0))["learning_rate"] == 0.1
    assert factors(ModelFacts(256, 16, 0), source=ModelFacts(64, 8, 0))["learning_rate"] == 1


def test_a_factor_of_the_users_stands_in_place_of_the_rule_and_stays_within_the_space() -> None:
    changes = TargetChanges(scale={"learning_rate": 1000.0})
    (rate, length) = replay.carried(strategy_file(), SPACE, SMALL, ModelFacts(128, 0, 0), changes)
    assert (rate.factor, length.factor) == (1000, 1)
    assert rate.why == f"as you asked; held within {SPACE['learning_rate'].allowed}"
    assert [after for _, after in rate.values] == [SPACE["learning_rate"].high] * 2


def test_a_value_that_the_target_does_not_allow_is_held_within_its_range_and_told_or_refused() -> None:
    table = document()
    table["stage"][0]["configuration"]["learning_rate"] = 99.0
    [rate, _] = replay.carried(replay.parse(tomli_w.dumps(table), "s"), SPACE, SMALL, SMALL, TargetChanges())
    assert rate.values == ((99.0, SPACE["learning_rate"].high), (5e-5, 5e-5))
    assert rate.why == f"as it is; held within {SPACE['learning_rate'].allowed}"
    table["stage"][0]["configuration"]["learning_rate"] = "fast"
    with pytest.raises(UserError, match=r"learning_rate = 'fast' of the schedule .*--without learning_rate"):
        replay.carried(replay.parse(tomli_w.dumps(table), "s"), SPACE, SMALL, SMALL, TargetChanges())


def test_what_the_target_lacks_is_refused_with_what_to_do() -> None:
    lacking = document()
    lacking["stage"][0]["configuration"]["difficulty"] = 3
    strategy = replay.parse(tomli_w.dumps(lacking), "s.toml")
    with pytest.raises(UserError, match=r"no hyperparameter difficulty.*--without difficulty"):
        replay.carried(strategy, SPACE, SMALL, SMALL, TargetChanges())
    assert replay.carried(strategy, SPACE, SMALL, SMALL, TargetChanges(without=("difficulty",)))
    with pytest.raises(UserError, match="--scale rate: the schedule has no such hyperparameter"):
        factors(SMALL, scale={"rate": 2.0})
    with pytest.raises(UserError, match="--without rate: the schedule has no such hyperparameter"):
        factors(SMALL, without=("rate",))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = [", "not TOML"),
        ("x = 1", "no strategy file"),
        ('format = 1\nrun = "old"\n[[stage]]\nsteps = 3', "format 1, this version replays format 2"),
        (tomli_w.dumps({**document(), "stage": []}), "stage"),
        (tomli_w.dumps({**document(), "stage": [{"steps": 0}]}), "steps"),
    ],
)
def test_a_file_that_is_none_is_told_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        replay.parse(text, "s.toml")
    assert "\n" not in str(caught.value)


def test_seeds_are_those_that_the_search_never_saw() -> None:
    assert replay.unseen_seeds(strategy_file(), 3) == [5, 6, 7]
    with pytest.raises(UserError, match="seed 4 is the search's own"):
        replay.check_seeds(strategy_file(), [9, 4])


def test_the_runs_have_the_same_budget_and_the_keys_that_were_set() -> None:
    strategy = strategy_file()
    changes = TargetChanges(model="Qwen/Qwen3-0.6B", settings={"training.lora.rank": 8, "evaluation.soup": False})
    base = replay.run_file(strategy, changes)
    stages = replay.schedule(strategy, replay.carried(strategy, SPACE, SMALL, SMALL, changes))
    configs = {cell.title: cell.config() for cell in plans.cells(replay.plan(strategy, base, stages, [5, 6], SPACE))}
    assert list(configs) == ["knights/replay/5", "knights/plain/5", "knights/replay/6", "knights/plain/6"]
    for config in configs.values():
        assert (config.budget.steps, config.training.lora.rank, config.evaluation.soup) == (47, 8, False)
        assert (config.model.path, config.gate.mode) == ("Qwen/Qwen3-0.6B", "auto")


def test_nothing_is_trained_beside_a_schedule_that_is_plain_grpo(tmp_path: Path) -> None:
    default = {"steps": 40, "optimizer": "keep", "reference": "base", "node": 1, "configuration": {}}
    for change, runs in (({}, 3), ({"optimizer": "reset"}, 6), ({"reference": "branch point"}, 6)):
        (tmp_path / "s.toml").write_text(tomli_w.dumps(document(stage=[default, default | change])), encoding="utf-8")
        done = llmzero("replay", "s.toml", "--check", cwd=tmp_path)
        assert f"{runs} runs on" in done.stdout
        assert ("the schedule is plain GRPO, so none is trained beside it" in done.stdout) is (runs == 3)


@pytest.mark.parametrize("key", ["budget.steps", "search.seed", "search", "advisor.kind", "name"])
def test_a_key_that_a_replay_sets_itself_is_refused(key: str) -> None:
    with pytest.raises(UserError, match=f"--set {key}: a replay sets it itself; "):
        replay.run_file(strategy_file(), TargetChanges(settings={key: 3}))
    assert replay.run_file(strategy_file(), TargetChanges(settings={"search.no_signal": "go-on"}))


def test_a_replay_trains_stage_after_stage_with_steps_adam_and_reference_as_they_were() -> None:
    tables = [
        {"steps": 40, "configuration": {"learning_rate": 2e-4}, "rationale": "warm"},
        {"steps": 7, "configuration": {"max_completion_length": 48}, "optimizer": "reset"},
        {"steps": 60, "reference": "branch point"},
        {"steps": 30},
        {"steps": 20, "reference": "base"},
        {"steps": 10, "reference": "base"},
    ]
    strategy = make("replay", seed=0, segment_steps=50, space=SPACE, stages=tables)
    simulation = Simulation(strategy, World(1, prompts=64), SPACE, 167, 1, 50, seed=1)
    tree = simulation.run().tree
    nodes = [n for n in tree if n.transition]
    assert [n.steps for n in nodes] == [40, 7, 60, 30, 20, 10]
    assert [n.parent for n in nodes] == [0, 1, 2, 3, 4, 5]
    assert [n.transition.intent for n in nodes if n.transition] == [
        Intent.ROOT, Intent.CHANGE, Intent.CHANGE, Intent.KEEP, Intent.CHANGE, Intent.KEEP,
    ]  # fmt: skip
    assert [tree.reference(n.id) for n in nodes] == [None, None, (2, 7), (2, 7), None, None]
    assert nodes[-1].configuration["learning_rate"] == 2e-4
    assert nodes[-1].configuration["max_completion_length"] == 48
    asked = [expansion for expansion, _ in simulation.asked if expansion]
    assert [e.optimizer for e in asked] == [OptimizerState.KEEP, OptimizerState.RESET, *[OptimizerState.KEEP] * 4]
    assert "stage 1 of 6 of the schedule: warm" in asked[0].reason


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["missing.toml"], "missing.toml"),
        (["s.toml", "--scale", "learning_rate=0"], "NAME=FACTOR"),
        (["s.toml", "--set", "training.rank"], "KEY=VALUE"),
        (["s.toml", "--set", "training.lorra.rank=3"], "lorra"),
        (["s.toml", "--seed", "4"], "search's own"),
        (["s.toml", "--task", "ladder2"], "ladder2"),
        (["s.toml", "--model", "./nowhere"], "nowhere: no such directory"),
        (["nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_starts_nothing(tmp_path: Path, words: list[str], answer: str) -> None:
    (tmp_path / "s.toml").write_text(tomli_w.dumps(document()), encoding="utf-8")
    done = llmzero("replay", *words, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert answer in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_check_says_how_every_hyperparameter_is_carried_and_runs_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(tomli_w.dumps(document()), encoding="utf-8")
    done = llmzero("replay", "s.toml", "--check", "--scale", "learning_rate=0.5", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "steps of a stage" not in done.stdout
    assert (
        "replay of found: 2 stages, 47 steps; seeds 5, 6, 7; 6 runs on assets/tiny/knights, task knights" in done.stdout
    )
    assert any(
        line.split()[:6] == ["learning_rate", "1e-4", "→", "5e-5", "5e-5", "→"] for line in done.stdout.splitlines()
    )
    assert "as you asked" in done.stdout
    assert not (tmp_path / "runs").exists()


def test_a_task_of_the_users_is_checked_before_anything_runs(tmp_path: Path) -> None:
    lines = [json.dumps({"prompt": f"K A:A/B{i}", "answer": "1"}) for i in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "own.py").write_text("def reward(completion, row):\n    return 1.0\n", encoding="utf-8")
    (tmp_path / "s.toml").write_text(tomli_w.dumps(document()), encoding="utf-8")
    done = llmzero("replay", "s.toml", "--task", "rows.jsonl:own.py:reward", cwd=tmp_path)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 5), done.stderr
    assert "items are asked for and its rows give" in done.stderr.splitlines()[-1]
    assert not list((tmp_path / "runs").glob("replay-*"))


def test_steps_are_scaled_stage_by_stage_and_never_to_none(tmp_path: Path) -> None:
    (tmp_path / "s.toml").write_text(tomli_w.dumps(document()), encoding="utf-8")
    done = llmzero("replay", "s.toml", "--check", "--scale", "steps=0.05", "--seed", "9", cwd=tmp_path)
    assert "replay of found: 2 stages, 3 steps; seed 9; 2 runs" in done.stdout
    assert any(line.split()[:7] == ["steps", "of", "a", "stage", "40", "→", "7"] for line in done.stdout.splitlines())
    assert [stage.steps for stage in strategy_file().scaled(0.05).stage] == [2, 1]


def test_runs_train_beside_each_other_where_the_run_file_says_what_one_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.host.machine.cores", lambda: 8)
    monkeypatch.setattr("engine.host.machine.gpus", lambda: ())
    config = RunConfig.model_validate({**document()["run_file"], "name": "x", "budget": {"steps": 3}})
    assert at_once(config, TargetChanges()) == 8
    assert at_once(config, TargetChanges(model="another")) == 1
    for threads, runs in ((3, 2), (16, 1), (0, 1)):
        training = config.training.model_copy(update={"threads": threads})
        assert at_once(config.model_copy(update={"training": training}), TargetChanges()) == runs


def test_what_only_trained_a_schedule_is_not_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It does not know the seeds of the search that found it."""
    given = document()
    given["found_by"] = {**given["found_by"], "strategy": "replay", "seed": 10_001}
    (tmp_path / "again.toml").write_text(tomli_w.dumps(given))
    assert main(["replay", str(tmp_path / "again.toml"), "--seed", "1", "--check"]) == 2
    assert "found trained a schedule that it was given, and does not know the seeds" in capsys.readouterr().err

"""A run file that was edited between two engines: every key is taken over and told, or refused in one line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from engine.advisors.rules import RulesAdvisor
from engine.controller.run_file_edits import edits
from engine.errors import UserError
from engine.run import daemon
from engine.run.config import RunConfig, parse
from engine.run.edits import edited, flat
from engine.run.rundir import RunDirectory
from engine.store.writer import Writer
from llmzero_tui import cli
from tests.engine import live
from tests.engine.simulated import SimulatedExecutor, search
from tests.engine.steered import Hand, steer
from tests.engine.steered import config as steered_config
from tests.unit.cli_process import ROOT, finished_run

PENDING = "SELECT 1 FROM proposals WHERE state = 'pending'"


async def nothing(_: Hand) -> None:
    """The human looks on."""


RUN: dict[str, Any] = {
    "name": "run",
    "task": {"name": "knights"},
    "budget": {"steps": 0, "nodes": 2},
    "search": {"segment_steps": 6},
    "evaluation": {"validation_prompts": 64, "rerank_prompts": 32, "test_prompts": 64},
}
EDITED: dict[str, Any] = {
    "name": "other", "task.name": "dedup", "task.on_error": "fail",
    "tracking.to": ["mlflow"], "tracking.project": "mine", "tracking.online": True,
    "model.run": "old", "model.path": str(ROOT / "assets" / "tiny" / "dedup"), "budget.steps": 500,
    "budget.gpu_hours": 3.0, "budget.minutes": 30.0, "budget.nodes": 7, "search.strategy": "fixed",
    "search.segment_steps": 8, "search.roots": 2, "search.seed": 5, "search.comparator": "off",
    "search.no_signal": "go-on", "evaluation.soup": False,
    "evaluation.validation_prompts": 32, "evaluation.rerank_prompts": 64, "evaluation.test_prompts": 128,
    "evaluation.share": 0.3, "evaluation.first_look": 16,
    "evaluation.checkpoints": 3, "advisor.kind": "rules", "advisor.model": "other:8b",
    "advisor.host": "http://127.0.0.1:1", "advisor.timeout_seconds": 60.0, "advisor.wait_seconds": 2.0,
    "advisor.share": 0.5, "advisor.shows_rules": True, "advisor.roles": ["analyst"],
    "advisor.options": {"num_thread": 2},
    "gate.mode": "timeout", "gate.seconds": 60.0, "training.batch_size": 64, "training.micro_batch": 8,
    "training.vllm.mode": "colocate", "training.vllm.memory_share": 0.5, "training.vllm.sleep": False,
    "training.vllm.max_model_length": 512, "training.vllm.tensor_parallel_size": 2,
    "training.vllm.importance_sampling_mode": "off", "training.vllm.importance_sampling_clip_max": 2.0,
    "training.vllm.host": "10.0.0.7", "training.vllm.port": 8001, "training.vllm.group_port": 51217,
    "training.vllm.timeout_seconds": 10.0,
    "training.precision": "fp32", "training.dtype": "bf16", "training.hang_seconds": 100.0,
    "training.stop_seconds": 30.0, "training.threads": 1, "training.keep_checkpoints": 3,
    "training.resume_when_free": False, "evaluation.max_completion_length": 16, "evaluation.batch_size": 64,
    "evaluation.temperature": 0.6, "evaluation.top_p": 0.95, "evaluation.top_k": 20,
    "training.optimizer": "adamw-8bit",
    "training.lora.rank": 8, "training.lora.alpha": 4.0, "training.lora.dropout": 0.1,
    "training.lora.target": ["q_proj"], "training.lora.base": "nf4",
    "training.fsdp": True, "training.dynamic_sampling": 2, "training.overlong_penalty": 0.2,
    "executor.kind": "ray", "executor.workers": 2, "executor.gpus_per_worker": 2, "executor.cpus_per_worker": 1,
    "executor.address": "10.0.0.1:6379",
    "trl": {"adam_beta2": 0.95},
    "model.chat": False, "model.system_prompt": "Be brief.", "model.chat_template_kwargs": {"enable_thinking": False},
}  # fmt: skip
"""Every key with another value than the run began with."""


def with_value(key: str, value: object) -> RunConfig:
    data: dict[str, Any] = json.loads(json.dumps(RUN))
    *path, last = key.split(".")
    table = data
    for name in path:
        table = table.setdefault(name, {})
    table[last] = value
    return RunConfig.model_validate(data)


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run that has finished: it has been measured on the test split."""
    where = tmp_path_factory.mktemp("runs") / "run"
    state, _ = search(RunConfig.model_validate(RUN), where, SimulatedExecutor(0.05), RulesAdvisor())
    assert state == "finished"
    return where


def resumed(begun: Path, tmp_path: Path, config: RunConfig) -> RunDirectory:
    """What assembling an engine makes of a copy of the run under another run file."""
    directory = RunDirectory(tmp_path / "run")
    shutil.copytree(begun, directory.path)
    writer = Writer(directory.database)
    try:
        daemon.assemble(config, directory, writer, RulesAdvisor(), SimulatedExecutor(0.05))
    finally:
        writer.close()
    return directory


def told(directory: RunDirectory) -> list[str]:
    return [row["message"] for row in live.rows(directory, "SELECT message FROM events WHERE kind = 'edited'")]


def documented() -> Mapping[str, str]:
    """Key → "taken over" or "refused", as docs/resume.md has it."""
    page = (ROOT / "docs" / "resume.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`[^|]+) \| (taken over|refused)", page, re.MULTILINE)
    return {key: fate for keys, fate in rows for key in re.findall(r"`([^`]+)`", keys)}


def test_every_key_of_the_run_file_is_edited_here_and_documented() -> None:
    every = {key for key in flat(RunConfig.model_validate(RUN).model_dump(mode="json")) if "settings" not in key}
    assert set(EDITED) >= every, "what does a resume make of an edit of a new key?"
    assert set(documented()) >= every | {"search.settings", "space"}


@pytest.mark.parametrize("key", EDITED)
def test_an_edited_key_is_taken_over_and_told_or_refused_by_name(begun: Path, tmp_path: Path, key: str) -> None:
    config = with_value(key, EDITED[key])
    [(name, value)] = flat({key: EDITED[key]}).items()
    if documented()[key] == "refused":
        with pytest.raises(UserError) as refusal:
            resumed(begun, tmp_path, config)
        assert str(refusal.value).startswith(f"run.toml: {name} = ")
        assert "\n" not in str(refusal.value)
        return
    directory = resumed(begun, tmp_path, config)
    [line] = told(directory)
    assert line.startswith(f"run.toml: {name} ")
    assert line.endswith(f"→ {value!r}" if isinstance(value, str) else f"→ {value}")
    assert json.loads(live.rows(directory, "SELECT config FROM runs")[0]["config"]) == config.model_dump(mode="json")


def test_a_run_file_that_was_not_edited_says_nothing(begun: Path, tmp_path: Path) -> None:
    assert told(resumed(begun, tmp_path, RunConfig.model_validate(RUN))) == []


def test_a_key_that_an_older_version_did_not_know_is_not_edited() -> None:
    config = RunConfig.model_validate(RUN)
    before = config.model_dump(mode="json")
    del before["training"]["stop_seconds"]
    assert edited(before, config) == {}
    assert edited(before, with_value("training.stop_seconds", 5.0)) == {"training.stop_seconds": (60.0, 5.0)}


@pytest.mark.parametrize("gone", [{"training": {"warp": 9}}, {"extras": {"a": {"b": 1}}}, {"speed": 1}])
def test_a_key_that_only_an_older_version_knew_is_not_edited(gone: dict[str, Any]) -> None:
    config = RunConfig.model_validate(RUN)
    before = config.model_dump(mode="json")
    for name, value in gone.items():
        before[name] = {**before[name], **value} if name in before else value
    assert edited(before, config) == {}


def test_a_finished_run_of_an_older_version_is_not_taken_for_edited(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Keys that came and went since: no engine is started for a run that is over."""
    directory = finished_run(tmp_path, "alpha")
    writer = Writer(directory.database)
    config = json.loads(writer.rows("SELECT config FROM runs")[0]["config"])
    del config["training"]["stop_seconds"], config["search"]["no_signal"]
    config["search"]["patience"] = 3
    writer.update_run(config=json.dumps(config))
    writer.close()
    assert cli.main(["--runs-dir", str(tmp_path), "resume", "alpha", "--detach"]) == 2
    assert "run alpha is finished; raise a limit of [budget]" in capsys.readouterr().err


def test_a_range_may_leave_out_what_no_segment_has(begun: Path, tmp_path: Path) -> None:
    tree = live.rows(RunDirectory(begun), "SELECT configuration FROM nodes WHERE state <> 'rejected'")
    rates = [json.loads(row["configuration"])["learning_rate"] for row in tree]
    wide = with_value("space.learning_rate", {"low": min(rates) / 2, "high": max(rates) * 1.5})
    directory = resumed(begun, tmp_path, wide)
    [line] = told(directory)
    assert line.startswith("run.toml: space.learning_rate ")
    space = json.loads(live.rows(directory, "SELECT space FROM runs")[0]["space"])
    assert next(p["high"] for p in space if p["name"] == "learning_rate") == pytest.approx(max(rates) * 1.5)


def test_a_range_that_leaves_out_what_a_segment_has_is_refused(begun: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\[space\.learning_rate\] excludes .*, which #0 has"):
        resumed(begun, tmp_path, with_value("space.learning_rate", {"fixed": 3.3e-5}))


@pytest.mark.parametrize("reply", ["timeout", "manual"])
def test_the_mode_of_the_gate_set_live_survives_a_resume_and_an_edit_of_the_file_wins(
    tmp_path: Path, reply: str
) -> None:
    async def sets(hand: Hand) -> None:
        await hand.until(PENDING)
        assert (await hand.ask("gate", mode=reply))[0] == "done"
        assert (await hand.ask("stop"))[0] == "done"

    async def looks(hand: Hand) -> None:
        await hand.until(PENDING)
        assert hand.rows("SELECT gate FROM runs") == [{"gate": reply}]
        assert (await hand.ask("stop"))[0] == "done"

    begun_with = "manual" if reply == "timeout" else "timeout"
    assert steer(steered_config("nodes = 1", gate=begun_with), tmp_path, sets) == "stopped"
    assert steer(steered_config("nodes = 1", gate=begun_with), tmp_path, looks) == "stopped"
    assert steer(steered_config("nodes = 1", gate="auto"), tmp_path, nothing) == "finished"
    assert live.rows(RunDirectory(tmp_path), "SELECT gate FROM runs") == [{"gate": "auto"}]


def test_an_edited_setting_of_the_search_is_taken_over(begun: Path, tmp_path: Path) -> None:
    assert told(resumed(begun, tmp_path, with_value("search.settings", {"race_segments": 3}))) == [
        "run.toml: search.settings.race_segments none → 3"
    ]


def test_the_shape_of_the_run_is_what_parse_makes_of_it() -> None:
    assert parse('name = "run"\n[task]\nname = "knights"').task == RunConfig.model_validate(RUN).task


def test_ranges_that_change_the_length_of_scored_answers_are_refused_with_the_remedy(
    begun: Path, tmp_path: Path
) -> None:
    ranges = {"low": 24, "high": 128, "default": 64}
    config = with_value("space.max_completion_length", ranges)
    with pytest.raises(UserError, match=r"scored with up to 128 tokens instead of 64, and .*; set it to 64$"):
        resumed(begun, tmp_path, config)
    kept = config.evaluation.model_copy(update={"max_completion_length": 64})
    [key, space] = told(resumed(begun, tmp_path / "again", config.model_copy(update={"evaluation": kept})))
    assert "max_completion_length 0 → 64" in key
    assert "128" in space


def test_a_run_of_an_older_version_is_scored_at_the_length_of_its_task() -> None:
    config = RunConfig.model_validate(RUN)
    before = config.model_dump(mode="json")
    del before["evaluation"]["max_completion_length"]
    space = config.build_space({"max_completion_length": {"low": 1, "high": 40, "default": 40}})

    def ask(query: str) -> list[dict[str, Any]]:
        return [] if "FROM nodes" in query else [{"config": json.dumps(before), "space": json.dumps(space.to_json())}]

    assert edits(ask, config, space, "run", 40).lines == ()
    with pytest.raises(UserError, match=r"set it to 64$"):
        edits(ask, config, space, "run", 64)

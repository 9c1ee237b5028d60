"""The run files of configs/: accepted, explained line by line, and right about what they name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.domain.space import numeric
from engine.run.config import load
from tasks import registry
from tests.unit.cli_process import ROOT, llmzero

FILES = sorted((ROOT / "configs").glob("*.toml"))


def test_there_is_one_for_a_cpu_one_for_a_gpu_and_one_with_an_adapter() -> None:
    assert [each.stem for each in FILES] == ["cpu-tiny", "qwen3-0.6b-one-gpu", "qwen3-8b-lora-vllm"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_shipped_run_file_is_accepted_with_its_tasks_space(path: Path) -> None:
    config = load(path, default_name="x")
    task = registry.get(config.task.name)
    space = config.build_space(task.suggested_space())
    assert space["max_completion_length"].high <= task.max_completion_length, "an evaluation generates no more"
    groups = space["num_generations"].choices
    assert all(config.training.batch_size % numeric(group) == 0 for group in groups)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_key_of_a_shipped_run_file_is_explained(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("# ")
    keys = [line for line in lines if re.match(r"\w+ = ", line)]
    bare = [line for line in keys if "#" not in line and not re.match(r"(high|default) = ", line)]
    assert not bare
    assert max(map(len, lines)) <= 128


def test_the_sizes_are_those_of_the_names() -> None:
    tiny, small, large = (load(path, default_name="x") for path in FILES)
    assert not tiny.model.path
    assert small.model.path.endswith("0.6B")
    assert not small.training.lora.rank
    assert large.model.path.endswith("8B")
    assert large.training.lora.rank
    assert large.training.vllm.mode == "colocate"


def test_check_finds_nothing_wrong_with_the_one_for_a_cpu(tmp_path: Path) -> None:
    done = llmzero("check", ROOT / "configs" / "cpu-tiny.toml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

"""The shipped bases are what their cards say; the warm start is reproducible and sees items of the train split only."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from tasks import registry, tiny_model
from tasks.base import Item, Split, TaskError, split_of
from tasks.knights import Knights
from tasks.reasoning_gym import installed
from tasks.reasoning_gym_tiny import COMPACT
from tasks.tiny import CHARACTERS, TinyTask, WarmStartPhase, check_text

ROOT = Path(__file__).parents[2]
TINY_NAMES = [*registry.names(), *(COMPACT if installed() else ())]
PARAMETERS = 314_000  # about; the same for every base


def tiny_task(name: str) -> TinyTask:
    task = registry.get(name)
    assert isinstance(task, TinyTask)
    return task


def load(task: TinyTask) -> tuple[Any, Any]:
    path = ROOT / task.default_model()
    return AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)


@pytest.mark.parametrize("name", TINY_NAMES)
def test_the_shipped_base_scores_what_its_card_says(name: str) -> None:
    task = tiny_task(name)
    model, tokenizer = load(task)
    assert model.config.model_type == "qwen3"
    assert abs(sum(p.numel() for p in model.parameters()) - PARAMETERS) < 5_000
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    items = task.items(Split.VALIDATION, 256)
    greedy = tiny_model.evaluate(model, tokenizer, task, items, 0.0)
    sampled = tiny_model.evaluate(model, tokenizer, task, items, 1.0)
    card = (ROOT / task.default_model() / "README.md").read_text()
    stated = {mode: float(rate) for mode, rate in re.findall(r"^\| (greedy|T=1) \| (0\.\d+) ", card, re.MULTILINE)}
    # four standard errors of 256 items around the card's 1,024: sums may differ a little between machines
    assert greedy.rate == pytest.approx(stated["greedy"], abs=4 * (stated["greedy"] / 256) ** 0.5)
    assert sampled.rate == pytest.approx(stated["T=1"], abs=4 * (stated["T=1"] / 256) ** 0.5)
    assert max(stated.values()) < 0.25, "the base must leave room to learn"
    assert f"python -m tasks.tiny_model {name}" in card


@pytest.mark.parametrize("name", TINY_NAMES)
def test_the_shipped_tokenizer_is_ready_for_generation(name: str) -> None:
    model, tokenizer = load(tiny_task(name))
    assert tokenizer.padding_side == "left"
    assert tokenizer.pad_token_id == model.config.pad_token_id == 0
    assert tokenizer.eos_token_id == model.config.eos_token_id == model.generation_config.eos_token_id == 1
    assert tokenizer.decode(tokenizer(CHARACTERS)["input_ids"]) == CHARACTERS
    assert len(tokenizer(CHARACTERS)["input_ids"]) == len(CHARACTERS)


def test_a_character_outside_the_vocabulary_is_named() -> None:
    tokenizer = tiny_model.build_tokenizer()
    check_text(CHARACTERS, tokenizer)
    with pytest.raises(TaskError, match=r"character 'é' at position 3 of 'café'"):
        check_text("café", tokenizer)
    with pytest.raises(TaskError, match="🙂"):
        tiny_model.complete(tiny_model.build_model(), tokenizer, ["K A:🙂"], 2, 0.0)


def test_padding_does_not_change_a_greedy_completion() -> None:
    task = Knights()
    model, tokenizer = load(task)
    item = task.items(Split.VALIDATION, 1)[0]
    alone = tiny_model.complete(model, tokenizer, [item.prompt], 16, 0.0)
    padded = tiny_model.complete(model, tokenizer, [item.prompt, item.prompt + "+++yyn;" * 3], 16, 0.0)
    assert padded[0] == alone[0]


def test_sampling_leaves_the_callers_random_state_alone() -> None:
    model, tokenizer = load(Knights())
    before = torch.get_rng_state()
    first = tiny_model.complete(model, tokenizer, ["K A:B+ B:A/C C:A->"] * 8, 8, 1.0, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    assert first == tiny_model.complete(model, tokenizer, ["K A:B+ B:A/C C:A->"] * 8, 8, 1.0, seed=5)
    assert first != tiny_model.complete(model, tokenizer, ["K A:B+ B:A/C C:A->"] * 8, 8, 1.0, seed=6)


class Watched(Knights):
    """Knights with a short warm start that remembers which items were demonstrated."""

    phases = (WarmStartPhase(steps=2, worked=1.0), WarmStartPhase(steps=1, worked=0.0))

    def __init__(self) -> None:
        self.shown: list[tuple[str, float]] = []

    def demonstrate(self, rng: random.Random, item: Item, worked: float) -> str:
        self.shown.append((item.prompt, worked))
        return super().demonstrate(rng, item, worked)


def test_the_warm_start_sees_train_items_only_and_follows_its_phases() -> None:
    task = Watched()
    tiny_model.warm_start(task)
    assert {split_of(prompt) for prompt, _ in task.shown} == {Split.TRAIN}
    assert [worked for _, worked in task.shown] == [1.0] * 64 + [0.0] * 32


def test_the_warm_start_is_reproducible() -> None:
    first, again, other = (tiny_model.warm_start(Watched(), seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_the_command_writes_a_base_that_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Knights, "phases", Watched.phases)
    threads = torch.get_num_threads()
    try:
        assert tiny_model.main(["knights", "--out", str(tmp_path / "base")]) == 0
    finally:
        torch.set_num_threads(threads)
    captured = capsys.readouterr()
    assert "knights greedy 0." in captured.out
    assert "n=1024" in captured.out
    assert "step 3/3" in captured.err
    assert "validation items" in (tmp_path / "base" / "README.md").read_text()
    AutoTokenizer.from_pretrained(tmp_path / "base")
    AutoModelForCausalLM.from_pretrained(tmp_path / "base")


def test_an_unknown_task_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert tiny_model.main(["knight"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "knights" in error


def test_wilson_interval_holds_the_rate_and_stays_in_bounds() -> None:
    assert tiny_model.Accuracy(0, 10).interval[0] == pytest.approx(0.0, abs=1e-12)
    assert tiny_model.Accuracy(10, 10).interval[1] == pytest.approx(1.0)
    low, high = tiny_model.Accuracy(50, 100).interval
    assert (low, high) == pytest.approx((0.4038, 0.5962), abs=1e-4)

"""Scoring a policy: exact counts, greedy and sampled, the same whenever it is asked, and without a trace."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.errors import UserError
from engine.testing.letters import Letters
from engine.training import events, policy
from engine.training.evaluate import evaluate
from engine.training.events import EvaluationSpec, SamplingSpec, SegmentEnd
from engine.training.scoring import run_evaluation
from tasks import registry
from tasks.base import Item, Reward, Split
from tests.engine.conftest import LETTERS, score_of
from tests.engine.training_runs import weights

TASK = f"{LETTERS}:Letters"


class Remembers(Letters):
    """Notes what it is asked to score."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def score(self, completion: str, item: Item) -> Reward:
        self.asked.append((item.prompt, completion))
        return super().score(completion, item)


@pytest.fixture(scope="module")
def model(tiny_base: str) -> Any:
    return policy.load_model(tiny_base)


@pytest.fixture(scope="module")
def tokenizer(tiny_base: str) -> Any:
    return policy.load_tokenizer(tiny_base)


def test_counts_are_those_of_the_tasks_verdicts(model: Any, tokenizer: Any) -> None:
    task = Remembers()
    scored = evaluate(model, tokenizer, task, EvaluationSpec(n=30, seed=2, batch_size=8))
    verdicts = [Letters().score(text, Item(prompt, "a")).correct for prompt, text in task.asked]
    assert scored.n == 30
    assert (scored.greedy, scored.sampled) == (sum(verdicts[:30]), sum(verdicts[30:]))
    assert scored.outcomes == "".join(str(g + 2 * s) for g, s in zip(verdicts[:30], verdicts[30:], strict=True))
    assert [prompt for prompt, _ in task.asked[:30]] == [i.prompt for i in task.items(Split.VALIDATION, 30, 2)]


def test_greedy_completions_do_not_depend_on_the_batch(model: Any, tokenizer: Any) -> None:
    one, all_ = Remembers(), Remembers()
    evaluate(model, tokenizer, one, EvaluationSpec(n=12, batch_size=1))
    evaluate(model, tokenizer, all_, EvaluationSpec(n=12, batch_size=12))
    assert one.asked[:12] == all_.asked[:12]


def test_a_batch_that_finds_no_memory_is_halved_and_the_counts_are_the_same(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Remembers()
    evaluate(model, tokenizer, wanted, EvaluationSpec(n=12, batch_size=12))
    sizes: list[int] = []
    real = model.generate

    def small(input_ids: torch.Tensor, **rest: Any) -> Any:
        sizes.append(len(input_ids))
        if len(input_ids) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(input_ids=input_ids, **rest)

    monkeypatch.setattr(model, "generate", small)
    task = Remembers()
    scored = evaluate(model, tokenizer, task, EvaluationSpec(n=12, batch_size=12))
    assert sizes[:5] == [12, 6, 3, 3, 3]
    assert scored.n == 12
    assert sorted(task.asked[:12]) == sorted(wanted.asked[:12])


def test_memory_that_does_not_hold_one_prompt_is_an_error(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(**_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model, "generate", none)
    with pytest.raises(torch.OutOfMemoryError):
        evaluate(model, tokenizer, Letters(), EvaluationSpec(n=4))


def test_answers_are_as_long_as_the_specification_says(model: Any, tokenizer: Any) -> None:
    task = Remembers()
    evaluate(model, tokenizer, task, EvaluationSpec(n=6, max_completion_length=2))
    assert all(len(tokenizer(text=text)["input_ids"]) <= 2 for _, text in task.asked)


def test_prompts_of_any_length_keep_their_place(model: Any, tokenizer: Any) -> None:
    class Unlike(Remembers):
        def items(self, split: Split, n: int, seed: int = 0) -> list[Item]:
            return [Item("K" + "A" * (7 * i % 11), "a") for i in range(n)]

    task = Unlike()
    scored = evaluate(model, tokenizer, task, EvaluationSpec(n=11, batch_size=3, samples=11))
    by_prompt = {prompt: Letters().score(text, Item(prompt, "a")).correct for prompt, text in task.asked[:11]}
    assert [sample.prompt for sample in scored.samples] == [item.prompt for item in task.items(Split.TRAIN, 11, 0)]
    right = [int(outcome) % 2 == 1 for outcome in scored.outcomes]
    assert right == [by_prompt[sample.prompt] for sample in scored.samples]


def test_greedy_completions_are_the_most_likely_tokens(model: Any, tokenizer: Any) -> None:
    task = Remembers()
    evaluate(model, tokenizer, task, EvaluationSpec(n=3))
    for prompt, completion in task.asked[:3]:
        ids = tokenizer(text=prompt)["input_ids"]
        new: list[int] = []
        for _ in range(task.max_completion_length):
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids + new])).logits[0, -1]
            new.append(int(logits.argmax()))
            if new[-1] == tokenizer.eos_token_id:
                break
        assert completion == tokenizer.decode(new, skip_special_tokens=True)


def test_sampling_is_at_temperature_one_whatever_the_model_suggests(tiny_base: str, model: Any, tokenizer: Any) -> None:
    """Qwen's generation_config says top_k 20 and temperature 0.6: those would flatter T=1 accuracy."""
    biased = policy.load_model(tiny_base)
    biased.generation_config.update(do_sample=True, top_k=1, temperature=0.1, top_p=0.1, min_p=0.5)
    biased.generation_config.update(no_repeat_ngram_size=1, typical_p=0.2, suppress_tokens=[20], min_new_tokens=8)
    plain_task, biased_task = Remembers(), Remembers()
    spec = EvaluationSpec(n=20)
    evaluate(model, tokenizer, plain_task, spec)
    evaluate(biased, tokenizer, biased_task, spec)
    assert biased_task.asked == plain_task.asked
    assert plain_task.asked[:20] != plain_task.asked[20:]


@pytest.mark.parametrize("one", [{"top_k": 1}, {"temperature": 1e-4}, {"top_p": 1e-6}])
def test_sampled_answers_are_drawn_as_the_specification_says(model: Any, tokenizer: Any, one: dict[str, Any]) -> None:
    """From the likeliest token alone, and at a temperature near 0, they are the greedy ones."""
    task = Remembers()
    evaluate(model, tokenizer, task, EvaluationSpec(n=20, sampling=SamplingSpec(**one)))
    assert task.asked[:20] == task.asked[20:]


def test_scoring_leaves_mode_and_random_numbers_alone(model: Any, tokenizer: Any) -> None:
    for training in (True, False):
        model.train(training)
        torch.manual_seed(5)
        expected = torch.rand(3)
        torch.manual_seed(5)
        before = model.generation_config
        evaluate(model, tokenizer, Letters(), EvaluationSpec(n=4))
        assert torch.equal(torch.rand(3), expected)
        assert model.training is training
        assert model.generation_config is before


def test_the_seed_decides_prompts_and_samples(model: Any, tokenizer: Any) -> None:
    def asked(seed: int) -> list[tuple[str, str]]:
        task = Remembers()
        evaluate(model, tokenizer, task, EvaluationSpec(n=8, seed=seed))
        return task.asked

    assert asked(1) == asked(1) != asked(2)


def test_long_evaluations_show_signs_of_life(model: Any, tokenizer: Any) -> None:
    """Both passes, greedy and at temperature 1, count for one half of each prompt."""
    beats: list[tuple[int, int]] = []
    evaluate(model, tokenizer, Letters(), EvaluationSpec(n=20, batch_size=5), beat=lambda *at: beats.append(at))
    each = list(dict.fromkeys(beats))  # a batch that takes longer than a second says so again
    assert each == [(done, 20) for done in (0, 2, 5, 7, 10, 12, 15, 17, 20)]


def test_a_completion_beyond_the_models_positions_is_refused(model: Any, tokenizer: Any) -> None:
    task = Letters()
    task.max_completion_length = 248
    with pytest.raises(UserError, match="at most 247 completion tokens"):
        evaluate(model, tokenizer, task, EvaluationSpec(n=2))


def answer(request: events.Evaluate) -> events.EvaluationResult | events.SegmentEnded:
    told: list[Any] = []
    run_evaluation(request, told.append)
    assert isinstance(told[-1], events.EvaluationResult | events.SegmentEnded)
    return told[-1]


Ask = Callable[..., events.Evaluate]


@pytest.fixture
def ask(tiny_base: str) -> Ask:
    def build(*directories: str, **changes: Any) -> events.Evaluate:
        fields: dict[str, Any] = {
            "job": "e",
            "task": TASK,
            "base": tiny_base,
            "directories": list(directories or (tiny_base,)),
            "evaluation": EvaluationSpec(n=16, split="test", seed=4),
            "threads": 1,
        }
        return events.Evaluate(**(fields | changes))

    return build


def test_a_checkpoint_is_scored_as_during_training(ask: Ask, model: Any, tokenizer: Any) -> None:
    told = answer(ask())
    assert isinstance(told, events.EvaluationResult)
    assert (told.job, told.split, told.seed) == ("e", "test", 4)
    task = registry.get(TASK)
    assert score_of(told.evaluation) == score_of(
        evaluate(model, tokenizer, task, EvaluationSpec(n=16, split="test", seed=4))
    )


def test_a_soup_is_the_mean_of_its_policies(ask: Ask, tiny_base: str, tmp_path: Path) -> None:
    from tasks.tiny_model import build_model

    others = [tiny_base]
    for seed in (1, 2):
        build_model(seed).save_pretrained(tmp_path / str(seed))
        others.append(str(tmp_path / str(seed)))
    told = answer(ask(*others, save_to=str(tmp_path / "soup")))
    assert isinstance(told, events.EvaluationResult)
    mean, parts = weights(tmp_path / "soup"), [weights(other) for other in others]
    for name, weight in mean.items():
        torch.testing.assert_close(weight, sum(part[name] for part in parts) / 3)
    assert (tmp_path / "soup" / "manifest.json").exists()
    again = answer(ask(str(tmp_path / "soup")))
    assert isinstance(again, events.EvaluationResult)
    assert score_of(again.evaluation) == score_of(told.evaluation)


def test_an_evaluation_that_fails_says_so(ask: Ask, tmp_path: Path) -> None:
    told = answer(ask(str(tmp_path)))
    assert isinstance(told, events.SegmentEnded)
    assert told.end is SegmentEnd.CRASHED
    assert "has no config.json" in told.detail


def test_a_soup_of_different_shapes_is_refused(ask: Ask, tiny_base: str, tmp_path: Path) -> None:
    from tasks.tiny_model import build_model

    model = build_model(0)
    model.resize_token_embeddings(120)
    model.save_pretrained(tmp_path / "larger")
    told = answer(ask(tiny_base, str(tmp_path / "larger")))
    assert isinstance(told, events.SegmentEnded)
    assert "their shapes differ" in told.detail


def test_the_first_prompts_are_told_with_their_greedy_completions(model: Any, tokenizer: Any) -> None:
    task = Remembers()
    told = evaluate(model, tokenizer, task, EvaluationSpec(n=6, seed=3, samples=2)).samples
    assert [(s.prompt, s.completion) for s in told] == task.asked[:2]
    assert {s.split for s in told} == {"validation"}
    again = evaluate(model, tokenizer, Remembers(), EvaluationSpec(n=12, seed=3, samples=2)).samples
    assert [s.prompt for s in again] == [s.prompt for s in told]
    assert not evaluate(model, tokenizer, Remembers(), EvaluationSpec(n=6, seed=3)).samples


def test_a_told_completion_without_an_end_is_truncated(model: Any, tokenizer: Any) -> None:
    [sample] = evaluate(model, tokenizer, Remembers(), EvaluationSpec(n=1, samples=1)).samples
    ids = tokenizer(text=sample.completion)["input_ids"]
    assert sample.truncated == (len(ids) >= Remembers.max_completion_length)

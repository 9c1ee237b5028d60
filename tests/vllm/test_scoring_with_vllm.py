"""Where vLLM generates it answers evaluations too: what Transformers would say, with the weights of now."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from engine.testing.executors import LETTERS, Spec
from engine.training import kept_vllm, lora, policy, vllm_generation
from engine.training.evaluate import evaluate
from engine.training.events import Evaluate, Evaluation, EvaluationResult, EvaluationSpec, LoraSpec, VllmSpec
from engine.training.scoring import run_evaluation
from tasks import registry
from tests.engine.training_runs import checkpoints, finished, metrics, run

LORA = LoraSpec(rank=4, scaling=2.0)
SAMPLES = 16
VLLM = VllmSpec(longest=16, sequences=32)


def scored(base: str, *directories: str, n: int = 64, **more: Any) -> Evaluation:
    told: list[Any] = []
    spec = EvaluationSpec(n=n, seed=3, samples=SAMPLES)
    request = Evaluate(
        job="e", task=f"{LETTERS}:Letters", base=base, directories=list(directories), evaluation=spec, **more
    )
    assert run_evaluation(request, told.append), told[-1]
    assert isinstance(told[-1], EvaluationResult)
    return told[-1].evaluation


def texts(evaluation: Evaluation) -> list[str]:
    return [sample.completion for sample in evaluation.samples]


def test_greedy_answers_are_those_of_transformers(wide_base: str) -> None:
    theirs, ours = scored(wide_base, wide_base), scored(wide_base, wide_base, vllm=VLLM)
    assert texts(ours) == texts(theirs)
    assert len(set(texts(ours))) > SAMPLES // 4
    assert ours.greedy == theirs.greedy


def test_samples_have_the_distribution_of_transformers_and_are_the_same_when_asked_again(wide_base: str) -> None:
    theirs, ours, again = (scored(wide_base, wide_base, n=256, vllm=vllm) for vllm in (None, VLLM, VLLM))
    assert 0.1 < theirs.sampled / 256 < 0.9
    assert abs(ours.score().minus(theirs.score()).errors) < 4
    assert ours.outcomes == again.outcomes
    assert len(set(ours.outcomes)) > 2  # a prompt's draw is not that of all others


def test_a_checkpoint_is_scored_with_its_weights_and_training_goes_on(vllm_spec: Spec) -> None:
    spec = vllm_spec(job="s", steps=4, checkpoint_every=2, configuration={"learning_rate": 5e-3})
    spec = spec.model_copy(update={"evaluation": EvaluationSpec(n=64, seed=3, samples=SAMPLES)})
    told = finished(run(spec))
    saved = checkpoints(told)
    assert [each.step for each in saved] == [2, 4]
    assert texts(saved[0].evaluation) != texts(saved[1].evaluation)
    for each in saved:
        assert texts(each.evaluation) == texts(scored(spec.base, each.directory))
    assert max(values["sampling/sampling_logp_difference/mean"] for values in metrics(told)) < 1e-3


def test_an_adapter_and_a_soup_of_adapters_are_scored_as_they_are(vllm_spec: Spec) -> None:
    told = finished(
        run(vllm_spec(job="l", steps=4, checkpoint_every=2, lora=LORA, configuration={"learning_rate": 2e-2}))
    )
    base, both = vllm_spec().base, [each.directory for each in checkpoints(told)]
    for directories in (both[1:], both):
        ours = scored(base, *directories, lora=LORA, vllm=VLLM)
        assert texts(ours) == texts(scored(base, *directories, lora=LORA))
    assert lora._kept is not None


def test_an_evaluation_that_is_given_up_leaves_nothing_in_vllm(wide_base: str) -> None:
    expected = scored(wide_base, wide_base, vllm=VLLM)
    model, tokenizer = policy.load_model(wide_base), policy.load_tokenizer(wide_base)
    request = Evaluate(
        job="e", task=f"{LETTERS}:Letters", base=wide_base, directories=[wide_base], evaluation=EvaluationSpec(n=64),
        vllm=VLLM,
    )  # fmt: skip
    started = vllm_generation.for_evaluation(request, model, tokenizer, lambda phase: None)
    assert started is not None
    generation, seen = started(16, 8), list[int]()

    def give_up() -> None:
        seen.append(1)
        if len(seen) == 3:
            raise KeyboardInterrupt

    prompts: Sequence[list[int]] = tokenizer(text=["K ABC>", "K CBA>"])["input_ids"]
    with generation.awake(), pytest.raises(KeyboardInterrupt):
        generation.answer(prompts, [{"max_tokens": 8, "temperature": 0.0}] * 2, give_up)
    kept = kept_vllm._kept
    assert kept is not None
    assert not kept[1].llm_engine.has_unfinished_requests()
    assert texts(scored(wide_base, wide_base, vllm=VLLM)) == texts(expected)
    plain = evaluate(model, tokenizer, registry.get(request.task), EvaluationSpec(n=8, samples=8), vllm=started)
    assert len(plain.samples) == 8

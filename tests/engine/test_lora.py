"""Low-rank adapters: a segment trains the adapter alone, starts where it was told, and leaves no trace behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from engine.errors import UserError
from engine.training import events, lora, policy
from engine.training.control import JobControl
from engine.training.events import EvaluationSpec, LoraSpec, SegmentSpec
from engine.training.scoring import run_evaluation
from tests.engine.conftest import LETTERS, Spec, score_of, spec_builder
from tests.engine.training_runs import checkpoints, ended, finished, metrics, run

LORA = LoraSpec(rank=4, scaling=2.0, seed=3)
Build = Callable[..., SegmentSpec]


@pytest.fixture
def adapted(make_spec: Spec) -> Build:
    """Builds short segments that train an adapter, at a rate that moves it."""

    def build(**changes: Any) -> SegmentSpec:
        configuration = {"learning_rate": 1e-2} | changes.pop("configuration", {})
        return make_spec(lora=LORA, configuration=configuration, **changes)

    return build


@pytest.fixture(scope="module")
def parent(tiny_base: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The checkpoint of a segment that has moved away from the base."""
    build = spec_builder(tiny_base, tmp_path_factory.mktemp("parent"))
    told = finished(run(build(steps=4, lora=LORA, configuration={"learning_rate": 2e-2})))
    return checkpoints(told)[-1].directory


def adapter(directory: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(directory) / lora.WEIGHTS)


def losses(spec: SegmentSpec) -> list[tuple[float, float, float]]:
    return [(values["loss"], values["grad_norm"], values.get("kl", 0.0)) for values in metrics(finished(run(spec)))]


def deltas(directory: str | Path) -> dict[str, torch.Tensor]:
    """The update of every weight that an adapter directory stands for."""
    config = json.loads((Path(directory) / "adapter_config.json").read_text())
    tensors = adapter(directory)
    scaling = config["lora_alpha"] / config["r"]
    return {
        name: scaling * tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
        for name in tensors
        if "lora_A" in name
    }


def test_a_checkpoint_is_an_adapter_with_optimizer_tokenizer_and_manifest(adapted: Build, tiny_base: str) -> None:
    [saved] = checkpoints(finished(run(adapted())))
    directory = Path(saved.directory)
    names = {path.name for path in directory.iterdir()}
    assert {"adapter_config.json", lora.WEIGHTS, "optimizer.pt", "tokenizer.json", "manifest.json"} <= names
    assert "model.safetensors" not in names
    full = (Path(tiny_base) / "model.safetensors").stat().st_size
    assert (directory / lora.WEIGHTS).stat().st_size < full / 2
    assert any(bool(delta.any()) for delta in deltas(directory).values())


def test_on_a_quantized_base_the_adapter_is_trained_in_float32(
    make_spec: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As float32 and no coarser: TRL turns the adapter of a model that says it is quantized into bf16. Only the word of
    the base is false here; bitsandbytes needs a GPU."""
    load, seen = lora.load_policy, []

    def says_it_is_quantized(base: str, spec: LoraSpec, source: str, dtype: torch.dtype) -> Any:
        model = load(base, spec.model_copy(update={"four_bit": False}), source, dtype)
        monkeypatch.setattr(model, "is_loaded_in_4bit", True, raising=False)
        seen.append(model)
        return model

    monkeypatch.setattr(lora, "load_policy", says_it_is_quantized)
    spec = make_spec(lora=LORA.model_copy(update={"four_bit": True}), configuration={"learning_rate": 1e-5})
    [saved] = checkpoints(finished(run(spec)))
    assert {weight.dtype for weight in seen[0].parameters() if weight.requires_grad} == {torch.float32}
    moved = [weight for name, weight in adapter(saved.directory).items() if "lora_B" in name]
    assert all(not torch.equal(weight, weight.bfloat16().float()) for weight in moved)


def test_the_base_is_loaded_once_and_its_weights_never_change(
    adapted: Build, tiny_base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []
    real = policy.load_model

    def counted(source: str, *rest: Any, **options: Any) -> Any:
        loads.append(source)
        return real(source, *rest, **options)

    monkeypatch.setattr(policy, "load_model", counted)
    lora.forget()
    first = checkpoints(finished(run(adapted())))[-1].directory
    finished(run(adapted(job="2", parent=first, optimizer=first)))
    assert loads == [tiny_base]
    assert lora._kept is not None
    kept = {n.replace(".base_layer", ""): w for n, w in lora._kept.model.get_base_model().named_parameters()}
    for name, weight in real(tiny_base).named_parameters():
        assert torch.equal(kept[name], weight), name


@pytest.mark.parametrize("beta", [0.0, 0.04])
def test_a_segment_on_a_kept_base_trains_as_on_a_fresh_one(adapted: Build, parent: str, beta: float) -> None:
    def child(job: str) -> SegmentSpec:
        return adapted(job=job, parent=parent, reference=parent, configuration={"beta": beta})

    trl = {"gradient_checkpointing": True}
    finished(run(adapted(job="before", trl=trl, precision="fp32", configuration={"beta": 0.1})))
    kept = losses(child("kept"))
    lora.forget()
    assert losses(child("fresh")) == kept


def test_after_a_failed_segment_the_next_loads_the_base_anew(adapted: Build) -> None:
    wanted = losses(adapted(job="1"))
    kept = lora._kept
    assert ended(run(adapted(job="2", configuration={"temperature": -1.0}))).end is events.SegmentEnd.CRASHED
    assert lora._kept is not kept
    assert losses(adapted(job="3")) == wanted


def test_a_child_starts_from_its_parents_adapter(adapted: Build, parent: str) -> None:
    told = finished(run(adapted(parent=parent, configuration={"learning_rate": 1e-9})))
    mine, its = adapter(checkpoints(told)[-1].directory), adapter(parent)
    assert all(torch.allclose(mine[name], its[name], atol=1e-6) for name in its)


def test_kl_is_measured_against_the_reference_that_was_chosen(adapted: Build, parent: str, tiny_base: str) -> None:
    def first_kl(**changes: Any) -> float:
        return metrics(finished(run(adapted(parent=parent, configuration={"beta": 0.04}, **changes))))[0]["kl"]

    other = checkpoints(finished(run(adapted(job="other", parent=parent))))[-1].directory
    assert first_kl(reference=parent) == 0
    assert first_kl(reference=tiny_base) > 1e-4
    elsewhere = first_kl(reference=other)
    assert elsewhere > 1e-6
    assert elsewhere != first_kl(reference=tiny_base)


def test_a_segment_that_was_cut_off_keeps_the_reference_of_its_branch_point(adapted: Build, parent: str) -> None:
    whole = adapted(steps=4, checkpoint_every=2, parent=parent, reference=parent, configuration={"beta": 0.04})
    half = checkpoints(finished(run(whole)))[0].directory
    taken_up = whole.model_copy(update={"done": 2, "parent": half, "optimizer": half, "seed": 9})
    assert metrics(finished(run(taken_up)))[0]["kl"] > 0


def test_adam_goes_on_when_kept_and_starts_anew_when_reset(adapted: Build, parent: str) -> None:
    kept = losses(adapted(job="1", parent=parent, optimizer=parent))
    reset = losses(adapted(job="2", parent=parent))
    assert kept[0] == reset[0]
    assert kept[1:] != reset[1:]


def evaluated(base: str, directories: list[str], save_to: Path | None = None) -> events.EvaluationResult:
    told: list[Any] = []
    request = events.Evaluate(
        job="soup", task=f"{LETTERS}:Letters", base=base, directories=directories,
        evaluation=EvaluationSpec(n=16), save_to=str(save_to) if save_to else None, threads=1, lora=LORA,
    )  # fmt: skip
    assert run_evaluation(request, told.append), told[-1]
    assert isinstance(told[-1], events.EvaluationResult), told[-1]
    return told[-1]


def test_the_base_scores_with_an_adapter_what_it_scores_without(tiny_base: str) -> None:
    bare: list[Any] = []
    request = events.Evaluate(
        job="base", task=f"{LETTERS}:Letters", base=tiny_base,
        directories=[tiny_base], evaluation=EvaluationSpec(n=16), threads=1,
    )  # fmt: skip
    run_evaluation(request, bare.append)
    assert score_of(evaluated(tiny_base, [tiny_base]).evaluation) == score_of(bare[-1].evaluation)


@pytest.mark.parametrize("with_base", [False, True])
def test_a_soup_is_exactly_the_mean_of_its_members(
    adapted: Build, parent: str, tiny_base: str, tmp_path: Path, with_base: bool
) -> None:
    child = checkpoints(finished(run(adapted(parent=parent, configuration={"learning_rate": 5e-2}))))[-1].directory
    members = [child, parent, *([tiny_base] if with_base else [])]
    evaluated(tiny_base, members, tmp_path / "soup")
    soup, mine, its = deltas(tmp_path / "soup"), deltas(child), deltas(parent)
    for name, delta in soup.items():
        assert torch.allclose(delta, (mine[name] + its[name]) / len(members), atol=1e-6), name


def test_a_saved_soup_scores_what_it_scored_when_it_was_made(
    adapted: Build, parent: str, tiny_base: str, tmp_path: Path
) -> None:
    child = checkpoints(finished(run(adapted(parent=parent, configuration={"learning_rate": 5e-2}))))[-1].directory
    made = evaluated(tiny_base, [child, parent], tmp_path / "soup")
    again = evaluated(tiny_base, [str(tmp_path / "soup")])
    assert score_of(again.evaluation) == score_of(made.evaluation)


def test_a_merged_policy_answers_as_the_adapter_does(adapted: Build, tiny_base: str, parent: str) -> None:
    model = lora.load_policy(tiny_base, LORA, parent, torch.float32)
    tokens = torch.arange(3, 12)[None]
    with torch.no_grad():
        wanted = model(input_ids=tokens).logits
        merged = lora.merged(tiny_base, parent)(input_ids=tokens).logits
    assert torch.allclose(merged, wanted, atol=1e-4)


def test_an_adapter_of_another_shape_is_refused(adapted: Build, tiny_base: str, parent: str) -> None:
    with pytest.raises(UserError, match="another shape"):
        lora.load_policy(tiny_base, LORA.model_copy(update={"rank": 8}), parent, torch.float32)
    told = run(adapted(parent=tiny_base + "/nowhere"))
    assert "has no adapter that can be read" in ended(told).detail


def test_a_target_that_the_model_lacks_is_named(make_spec: Spec) -> None:
    told = run(make_spec(lora=LORA.model_copy(update={"target": ["no_such_module"]})), JobControl())
    assert ended(told).detail.startswith("training.lora.target: ")

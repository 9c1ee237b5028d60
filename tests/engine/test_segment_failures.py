"""What TRL would train through in silence, or die of without a word, ends with its type and one clear line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from engine.training import events, failures
from engine.training.events import EvaluationSpec, SegmentEnd
from tests.engine.conftest import Spec
from tests.engine.training_runs import Line, checkpoints, ended, metrics, run


def failed(told: list[Line], end: SegmentEnd) -> str:
    """The detail of a segment that ended so, before any checkpoint; always one line."""
    assert ended(told).end is end, ended(told)
    assert not checkpoints(told)
    detail = ended(told).detail
    assert detail
    assert len(detail.splitlines()) == 1
    assert "Traceback" in ended(told).traceback
    return detail


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"batch_size": 10, "micro_batch": 10}, "batch_size = 10 is not divisible by num_generations = 4"),
        ({"micro_batch": 3}, "batch_size = 8 is not divisible by micro_batch = 3"),
        ({"configuration": {"num_generations": 1}}, "num_generations = 1 is too small"),
        ({"configuration": {"num_generations": 4.5}}, "num_generations = 4.5 is not a whole number"),
        ({"configuration": {"learning_rate": 10}}, "learning_rate = 10 is outside"),
        ({"configuration": {"learning_rate": 0.0}}, "learning_rate = 0 is outside"),
        ({"configuration": {"temperature": 0}}, "temperature = 0 must be above 0"),
        ({"configuration": {"beta": -0.1}}, "beta = -0.1 must be 0 or more"),
        ({"configuration": {"max_completion_length": 0}}, "max_completion_length = 0 must be at least 1"),
        ({"configuration": {"lerning_rate": 1}}, "'lerning_rate' is neither a field of trl.GRPOConfig nor one of"),
        ({"configuration": {"max_steps": 7}}, "max_steps = 7 cannot be configured: search.segment_steps sets it"),
        ({"trl": {"loss_typ": "dapo"}}, "trl.GRPOConfig has no field 'loss_typ'; nearest: loss_type"),
        ({"trl": {"debug": "sideways"}}, "TRL refuses the configuration: sideways is not a valid DebugOption"),
        ({"configuration": {"max_completion_length": 250}}, "9 prompt tokens + 250 completion tokens exceed the"),
        ({"task": "Endless"}, "at most 247 completion tokens are possible"),
        ({"task": "Strange"}, "the model's tokenizer does not know '€'"),
        ({"task": "Few", "batch_size": 16, "micro_batch": 16}, "3 training prompts are fewer than the 4 of one"),
        ({"task": "None_"}, "task letters: only 0 of"),
        ({"task": "Missing"}, "has no class 'Missing'"),
        ({"parent": "/nowhere/at/all"}, "model directory '/nowhere/at/all' has no config.json"),
        ({"base": "/nowhere/at/all"}, "/nowhere/at/all"),
        ({"reference": "/nowhere", "configuration": {"beta": 0.1}}, "model directory '/nowhere' has no config"),
        ({"optimizer": "/nowhere"}, "'/nowhere/optimizer.pt' does not exist: choose optimizer = reset"),
    ],
    ids=lambda value: "" if isinstance(value, str) else "-".join(map(str, value)),
)
def test_a_mistake_is_found_before_the_first_step(make_spec: Spec, changes: dict[str, Any], says: str) -> None:
    told = run(make_spec(**changes))
    assert says in failed(told, SegmentEnd.CRASHED)
    assert not metrics(told)
    assert not any(isinstance(line, events.WorkerLeaving) for line in told)


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("GivesNan", "gave a reward of nan, not a finite number"),
        ("GivesInfinity", "gave a reward of inf, not a finite number"),
        ("GivesNone", "gave a reward of None, not a finite number"),
        ("GivesText", "gave a reward of '1.0', not a finite number"),
        ("Raises", "score raised KeyError: 'no such\\nanswer'"),
        ("NoReward", "score returned 1.0, not a tasks.base.Reward"),
        ("Exits", "it calls sys.exit('cannot parse')"),
        ("Interrupts", "it raises KeyboardInterrupt"),
    ],
)
def test_an_unusable_reward_names_task_item_and_completion(make_spec: Spec, task: str, says: str) -> None:
    told = run(make_spec(task))
    detail = failed(told, SegmentEnd.CRASHED)
    assert says in detail
    assert detail.startswith("task letters: ")
    assert "item 'K " in detail
    assert "completion '" in detail
    assert not metrics(told)
    assert not any(isinstance(line, events.WorkerLeaving) for line in told)


def test_a_grader_that_fails_now_and_then_is_counted_and_the_segment_goes_on(make_spec: Spec) -> None:
    told = run(make_spec("Sometimes", steps=6, batch_size=16, micro_batch=16))
    assert ended(told).end is SegmentEnd.FINISHED
    errors = [line for line in told if isinstance(line, events.RewardErrors)]
    per_step = [values["rewards/errors"] for values in metrics(told) if "rewards/errors" in values]
    assert 1 <= len(errors) <= 2, "at the first, and at the end"
    assert errors[-1].scored == 6 * 16
    assert errors[-1].failed == sum(per_step) > 0
    assert "task letters: score raised TimeoutError: the grader did not answer; item 'K " in errors[0].first
    [checkpoint] = checkpoints(told)
    assert checkpoint.evaluation.errors < checkpoint.evaluation.n
    assert bool(checkpoint.evaluation.errors) == bool(checkpoint.evaluation.first_error)


def test_a_grader_that_may_not_fail_ends_the_segment_at_the_first(make_spec: Spec) -> None:
    told = run(make_spec("Sometimes", steps=6, batch_size=16, micro_batch=16, on_error="fail"))
    assert "the grader did not answer" in failed(told, SegmentEnd.CRASHED)
    assert not [line for line in told if isinstance(line, events.RewardErrors)]


@pytest.mark.parametrize("task", ["OutOfMemory", "OutOfCpuMemory", "OutOfPythonMemory"])
def test_running_out_of_memory_is_its_own_end_and_the_process_leaves(make_spec: Spec, task: str) -> None:
    told = run(make_spec(task))
    failed(told, SegmentEnd.OUT_OF_MEMORY)
    assert isinstance(told[-2], events.WorkerLeaving)


def poisoned(base: str, directory: Path, value: float) -> str:
    shutil.copytree(base, directory)
    tensors = load_file(directory / "model.safetensors")
    name = sorted(tensors)[-1]
    tensors[name].view(-1)[0] = value
    save_file(tensors, directory / "model.safetensors", metadata={"format": "pt"})
    return str(directory)


def test_a_parent_with_nan_weights_ends_nan(make_spec: Spec, tiny_base: str, tmp_path: Path) -> None:
    told = run(make_spec(parent=poisoned(tiny_base, tmp_path / "nan", float("nan"))))
    assert "are not finite" in failed(told, SegmentEnd.NAN)
    assert not metrics(told)


def test_a_loss_that_is_not_finite_ends_nan(make_spec: Spec, tiny_base: str, tmp_path: Path) -> None:
    reference = poisoned(tiny_base, tmp_path / "nan", float("nan"))
    told = run(make_spec(steps=20, reference=reference, configuration={"beta": 0.1}))
    assert failed(told, SegmentEnd.NAN) == "step 1: loss is nan"


def test_a_policy_that_overflows_ends_nan(make_spec: Spec, tiny_base: str, tmp_path: Path) -> None:
    """Finite weights whose logits are not: sampling fails, as it does after an exploded step."""
    told = run(make_spec(parent=poisoned(tiny_base, tmp_path / "huge", 3e38)))
    failed(told, SegmentEnd.NAN)


def test_a_segment_runs_after_a_failed_one(make_spec: Spec) -> None:
    run(make_spec("OutOfMemory"))
    run(make_spec("Raises"))
    assert ended(run(make_spec())).end is SegmentEnd.FINISHED


def test_an_unreachable_directory_ends_crashed_and_keeps_no_half_checkpoint(make_spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    told = run(make_spec(directory=str(tmp_path / "file" / "segment")))
    assert "Not a directory" in failed(told, SegmentEnd.CRASHED)


def test_a_disk_that_is_full_leaves_no_manifest(make_spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    spec = make_spec(steps=1)
    assert "No space left on device" in failed(run(spec), SegmentEnd.CRASHED)
    assert not list(Path(spec.directory).rglob("manifest.json"))


def test_evaluation_prompts_are_checked_before_training_too(make_spec: Spec) -> None:
    told = run(make_spec("Endless", configuration={"max_completion_length": 8}))
    assert "evaluation: 9 prompt tokens + 300 completion tokens" in failed(told, SegmentEnd.CRASHED)


def test_too_few_held_out_prompts_are_found_before_training(make_spec: Spec) -> None:
    told = run(make_spec("None_", evaluation=EvaluationSpec(n=2, split="test")))
    assert not metrics(told)
    failed(told, SegmentEnd.CRASHED)


def test_a_long_detail_is_cut() -> None:
    detail = failures.detail_of(RuntimeError("x" * 5000 + "\n" + "y" * 5000))
    assert len(detail) == failures.DETAIL_LENGTH
    assert detail.startswith("RuntimeError: xxx")


def test_what_is_told_of_a_failure_can_always_be_written_as_json() -> None:
    error = ValueError("half a character: \ud800")
    for text in (failures.detail_of(error), failures.traceback_of(error)):
        assert "half a character: \\ud800" in text
        text.encode("utf-8")

"""Diagnosis: every pathology is found in a curve that shows it, none in a healthy one, and no curve breaks it."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.advisors.answers import PATHOLOGIES
from engine.advisors.base import Diagnosis
from engine.advisors.diagnosis import CHECKS, consistent, contradict, diagnose
from engine.domain.score import Score
from engine.domain.tree import Checkpoint

STEPS = 50
Curve = list[tuple[int, float]]


def curve(shape: Callable[[float], float], noise: float) -> Curve:
    """A shape over 0..1 with a regular wobble, so that means are exact."""
    return [(i + 1, shape((i + 0.5) / STEPS) * (1 + noise * (-1) ** i)) for i in range(STEPS)]


def flat(value: float, noise: float = 0.02) -> Curve:
    return curve(lambda _: value, noise)


def ramp(low: float, high: float, noise: float = 0.02) -> Curve:
    return curve(lambda x: low + (high - low) * x, noise)


def scores(*values: float, n: int = 256) -> tuple[Checkpoint, ...]:
    every = STEPS // len(values)
    return tuple(Checkpoint(every * (i + 1), Score(n, round(v * n), round(v * n))) for i, v in enumerate(values))


def score(value: float, n: int = 256) -> Score:
    return Score(n, round(value * n), round(value * n))


def spiked(base: Curve, step: int, value: float) -> Curve:
    return [(s, value if s == step else v) for s, v in base]


HEALTHY: dict[str, Any] = {
    "metrics": {
        "reward": ramp(0.2, 0.4),
        "reward_std": flat(0.3),
        "entropy": ramp(1.8, 1.5),
        "kl": ramp(0.001, 0.01),
        "grad_norm": flat(0.5, 0.2),
        "frac_reward_zero_std": flat(0.1),
        "completions/mean_length": flat(40),
        "completions/clipped_ratio": flat(0.02),
        "clip_ratio/region_mean": flat(0.01),
    },
    "checkpoints": scores(0.26, 0.36),
    "configuration": {"beta": 0.02, "max_completion_length": 64},
    "start": score(0.2),
}
FLAT = {"reward": flat(0.3), "checkpoints": scores(0.2, 0.2)}
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("entropy collapse", {"entropy": ramp(1.8, 0.5), "checkpoints": scores(0.2, 0.21)}, "entropy 1.67 → 0.63"),
    (
        "kl spike",
        {"kl": spiked(flat(0.01), 40, 0.2), "checkpoints": scores(0.2, 0.21)},
        "kl 0.2 at step 40; 90% of the other steps are below 0.01",
    ),
    ("kl spike", FLAT | {"kl": ramp(0.01, 0.08)}, "while reward 0.3 → 0.3"),
    ("kl-bound plateau", FLAT | {"kl": flat(3.0)}, "is 20% of the reward's std 0.3"),
    (
        "dead groups",
        {"frac_reward_zero_std": ramp(0.2, 0.9)},
        "83% of the groups have zero reward std and give no gradient",
    ),
    ("truncation", {"completions/clipped_ratio": ramp(0.1, 0.5)}, "mean length 40 of at most 64"),
    ("rambling", FLAT | {"completions/mean_length": ramp(20, 40)}, "completions/mean_length 22 → 38"),
    ("gradient explosion", {"grad_norm": spiked(flat(0.5), 30, 20.0)}, "grad_norm 20 at step 30"),
    ("gradient explosion", {"grad_norm": spiked(flat(0.5), 30, math.nan)}, "not finite at step 30"),
    ("sampler mismatch", {"sampling/sampling_logp_difference/mean": ramp(0.001, 0.03)}, "differ from the trainer's by"),
    ("sampler mismatch", {"sampling/sampling_logp_difference/mean": flat(0.2)}, "by 0.2 a token"),
    ("off-policy drift", {"clip_ratio/region_mean": flat(0.4)}, "40% of the tokens"),
    ("reward hacking", {"reward": ramp(0.2, 0.8), "checkpoints": scores(0.18, 0.15)}, "read the samples"),
    ("collapse", {"checkpoints": scores(0.15, 0.05)}, "validation 0.2 → 0.051 (n 256"),
    ("plateau", FLAT | {"kl": flat(0.01)}, "is within noise; validation 0.2 → 0.2"),
]


def variant(change: dict[str, Any]) -> dict[str, Any]:
    case = HEALTHY | {k: v for k, v in change.items() if k == "checkpoints"}
    return case | {"metrics": HEALTHY["metrics"] | {k: v for k, v in change.items() if k != "checkpoints"}}


def found(case: dict[str, Any]) -> tuple[Diagnosis, ...]:
    return diagnose(case["metrics"], case["checkpoints"], case["configuration"], start=case["start"])


@pytest.mark.parametrize("difference", [ramp(1e-7, 1e-5), ramp(0.001, 0.008), flat(0.03)])
def test_rounding_between_vllm_and_the_trainer_is_no_mismatch(difference: Any) -> None:
    (only,) = found(variant({"sampling/sampling_logp_difference/mean": difference}))
    assert only.pathology == "healthy"


def test_a_segment_that_learns_is_healthy() -> None:
    (only,) = found(HEALTHY)
    assert only.pathology == "healthy"
    assert "validation 0.2 → 0.36 (n 256, SE of the change 0.039)" in only.text


@pytest.mark.parametrize(("pathology", "change", "quote"), CASES)
def test_each_pathology_is_named_with_its_numbers(pathology: str, change: dict[str, Any], quote: str) -> None:
    named = {d.pathology: d for d in found(variant(change))}
    assert pathology in named
    assert quote in named[pathology].text
    assert named[pathology].signals
    assert 0 < named[pathology].severity <= 1


def test_every_check_has_a_case() -> None:
    assert len({pathology for pathology, _, _ in CASES}) == len(CHECKS) + 1  # and the plateau


def test_falling_entropy_is_no_collapse_while_validation_rises() -> None:
    """Of a real segment of knights: entropy 1.9 → 0.42 while validation went from 0.15 to 0.74."""
    learnt = found(variant({"entropy": ramp(1.9, 0.42), "checkpoints": scores(0.4, 0.74)}) | {"start": score(0.15)})
    still = found(variant({"entropy": ramp(1.9, 0.42), "checkpoints": scores(0.2, 0.2)}))
    assert "entropy collapse" not in {d.pathology for d in learnt}
    assert "entropy collapse" in {d.pathology for d in still}


def test_a_kl_that_spikes_while_validation_rises_is_no_kl_spike() -> None:
    kl = {"kl": spiked(flat(0.01), 40, 0.2)}
    learnt, still = (variant({**kl, "checkpoints": scores(*values)}) for values in ((0.26, 0.36), (0.2, 0.21)))
    found = [
        {d.pathology for d in diagnose(c["metrics"], c["checkpoints"], c["configuration"], start=c["start"])}
        for c in (learnt, still)
    ]
    assert "kl spike" not in found[0]
    assert "kl spike" in found[1]


def test_a_model_that_contradicts_itself_keeps_only_its_most_severe_finding() -> None:
    said = [Diagnosis("healthy", 0.9, ""), Diagnosis("plateau", 0.3, ""), Diagnosis("reward hacking", 0.6, "")]
    assert [d.pathology for d in consistent(said)] == ["reward hacking"]
    assert [d.pathology for d in consistent([said[0], Diagnosis("truncation", 0.1, "")])] == ["truncation"]


@given(st.lists(st.tuples(st.sampled_from(PATHOLOGIES), st.floats(0, 1)), min_size=1, max_size=8))
def test_no_two_diagnoses_of_one_look_contradict_each_other(said: list[tuple[str, float]]) -> None:
    kept = consistent([Diagnosis(pathology, severity, "") for pathology, severity in said])
    assert kept
    assert not any(contradict(a.pathology, b.pathology) for a, b in itertools.combinations(kept, 2))
    assert "healthy" not in {d.pathology for d in kept} or len(kept) == 1


@given(st.dictionaries(st.sampled_from(sorted(HEALTHY["metrics"])),
                       st.lists(st.floats(0, 2), min_size=0, max_size=30)),
       st.lists(st.floats(0, 1), max_size=3), st.floats(0, 1))  # fmt: skip
def test_no_curve_is_given_two_diagnoses_that_contradict_each_other(
    curves: dict[str, list[float]], validation: list[float], start: float
) -> None:
    metrics = {name: list(enumerate(values, 1)) for name, values in curves.items()}
    kept = diagnose(metrics, scores(*validation) if validation else (), {"beta": 0.1}, start=score(start))
    assert kept
    assert not any(contradict(a.pathology, b.pathology) for a, b in itertools.combinations(kept, 2))


def test_the_heavy_tail_of_a_small_batchs_gradient_is_no_explosion() -> None:
    """The norms of a real segment of knights, batch 32, that went from 0.74 to 0.81."""
    norms = [0.36, 0.28, 1.15, 0.66, 0.55, 0.46, 0.69, 2.29, 1.54, 1.96, 0.78, 0.27, 0.35, 1.39, 0.13, 0.71, 1.09, 1.45,
             1.71, 0.4, 1.06, 3.73, 1.11, 0.41, 0.29, 0.44, 2.21, 1.3, 0.36, 0.84]  # fmt: skip
    (only,) = found(variant({"grad_norm": list(enumerate(norms, 1))}))
    assert only.pathology == "healthy"


@pytest.mark.parametrize("finite", [0, 1, 2])
def test_a_gradient_that_is_hardly_ever_finite_is_an_explosion(finite: int) -> None:
    norms = [0.5] * finite + [math.nan] * (20 - finite)
    worst = found(variant({"grad_norm": list(enumerate(norms, 1))}))[0]
    assert (worst.pathology, worst.severity) == ("gradient explosion", 1.0)
    assert f"not finite at step {finite + 1}" in worst.text


def test_kl_that_grows_from_nothing_while_validation_rises_is_no_spike() -> None:
    rising = variant({"kl": ramp(0.0, 0.08), "reward": flat(0.3)})
    assert [d.pathology for d in found(rising)] == ["healthy"]


def test_kl_of_a_policy_that_has_hardly_moved_is_no_spike_however_it_grows() -> None:
    for kl in (ramp(0.0, 5e-5), spiked(flat(1e-5), 40, 5e-4)):
        assert "kl spike" not in {d.pathology for d in found(variant(FLAT | {"kl": kl}))}


def test_the_worst_comes_first() -> None:
    severities = [d.severity for d in found(variant({"checkpoints": scores(0.1, 0.01), "entropy": ramp(1.8, 0.5)}))]
    assert len(severities) > 1
    assert severities == sorted(severities, reverse=True)


@pytest.mark.parametrize("steps", [0, 1, 3, 7])
def test_a_short_segment_says_nothing(steps: int) -> None:
    metrics = {name: points[:steps] for name, points in HEALTHY["metrics"].items()}
    (only,) = diagnose(metrics, (), {})
    assert (only.pathology, only.text) == (
        "healthy", "the training curves are too short to judge; no validation score",
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_noise_alone_is_rarely_a_pathology(seed: int) -> None:
    rng = random.Random(seed)
    metrics = {
        name: [(s, v * (1 + rng.gauss(0, 0.15))) for s, v in points] for name, points in HEALTHY["metrics"].items()
    }
    named = diagnose(metrics, scores(0.26, 0.36), HEALTHY["configuration"], start=score(0.2))
    assert [d.pathology for d in named] == ["healthy"]


values = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True))
names = st.sampled_from([*HEALTHY["metrics"], "sampling/sampling_logp_difference/mean", "unknown"])


@given(
    st.dictionaries(names, st.lists(values, max_size=40).map(lambda vs: list(enumerate(vs, 1)))),
    st.lists(st.integers(0, 32), max_size=3),
    st.none() | st.integers(0, 32),
    st.dictionaries(st.sampled_from(["beta", "max_completion_length"]), st.floats(0, 100)),
)
def test_no_curve_breaks_it(
    metrics: Any, correct: list[int], start: int | None, configuration: dict[str, float]
) -> None:
    checkpoints = [Checkpoint(i + 1, Score(32, k, k)) for i, k in enumerate(correct)]
    begin = None if start is None else Score(32, start, start)
    for diagnosis in diagnose(metrics, checkpoints, configuration, start=begin):
        assert 0 <= diagnosis.severity <= 1
        assert diagnosis.text
        assert "\n" not in diagnosis.text

"""The rules advisor where a run file names every hyperparameter: categories and those that act only together."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from engine.advisors.applying import FILLERS, apply, clips
from engine.advisors.designs import DESIGNS
from engine.advisors.moves import EXPLORE, REMEDIES, MovePlan
from engine.advisors.rules import DECAY, RulesAdvisor
from engine.domain.hyperparameters import OPTIONAL
from engine.domain.space import Configuration, Intent, Space, Value
from tests.unit.test_advisors_rules import SPACE, evidence
from tests.unit.test_diagnosis import CASES

WIDE = Space.build({name: {} for name in OPTIONAL}, batch_size=32)
PLANS: list[MovePlan] = [*(plan for plans in REMEDIES.values() for plan in plans), *EXPLORE, *DESIGNS]


def changes(pathology: str, configuration: Configuration | None = None, choice: int = 0) -> dict[str, Value]:
    applied = apply(WIDE, WIDE.default() | dict(configuration or {}), REMEDIES[pathology][choice])
    assert applied is not None
    return applied.changes


def test_a_rule_uses_every_hyperparameter() -> None:
    used = {step.name for plan in PLANS for step in plan.steps} | {DECAY}
    assert set(OPTIONAL) <= used


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.title)
def test_a_plan_leaves_every_configuration_valid(plan: MovePlan) -> None:
    for seed in range(20):
        configuration = WIDE.sample(random.Random(seed))
        if (applied := apply(WIDE, configuration, plan, FILLERS)) is not None:
            assert WIDE.violations(WIDE.apply(configuration, applied.changes)) == ()


@pytest.mark.parametrize(
    ("configuration", "acts"),
    [
        ({}, False),
        ({"num_iterations": 2}, True),
        ({"steps_per_generation": 4}, True),
        ({"num_iterations": 2, "loss_type": "sapo"}, False),
        ({"num_iterations": 2, "loss_type": "dr_grpo"}, True),
    ],
)
def test_clip_higher_is_advised_only_where_the_ratio_is_clipped(configuration: dict[str, Value], acts: bool) -> None:
    assert clips(configuration) is acts
    assert ("epsilon_high" in changes("entropy collapse", configuration)) is acts


def test_truncated_completions_are_masked_also_where_they_cannot_be_longer() -> None:
    longest = WIDE["max_completion_length"].high
    assert changes("truncation")["mask_truncated_completions"] is True
    assert changes("truncation", {"max_completion_length": longest})["mask_truncated_completions"] is True


def test_a_length_that_only_grows_gets_a_loss_without_length_bias() -> None:
    found = changes("rambling")
    assert (found["loss_type"], found["scale_rewards"]) == ("dr_grpo", "none")
    assert "loss_type" not in changes("rambling", {"loss_type": "dr_grpo"})


def test_off_policy_drift_makes_rollouts_fresher() -> None:
    found = changes("off-policy drift", {"num_iterations": 3, "steps_per_generation": 4})
    assert (found["num_iterations"], found["steps_per_generation"]) == (2, 2)
    assert found["importance_sampling_level"] == "sequence"


def test_a_collapse_of_entropy_may_be_answered_by_a_bonus() -> None:
    found = changes("entropy collapse", choice=1)
    assert found["use_adaptive_entropy"] is True
    assert isinstance(found["entropy_coef"], float)
    assert apply(SPACE, SPACE.default(), REMEDIES["entropy collapse"][1]) is None


def test_a_cut_of_the_tokens_is_lifted_where_entropy_collapses() -> None:
    assert changes("entropy collapse", {"top_k": 40, "top_p": 0.85}, choice=1)["top_k"] == 0
    assert "top_k" not in changes("entropy collapse", choice=1)


def test_a_reference_that_follows_already_follows_more_closely() -> None:
    found = changes("kl-bound plateau", {"sync_ref_model": True}, choice=2)
    assert (found["ref_model_sync_steps"], found["ref_model_mixup_alpha"]) == (8, 0.8)


def test_weights_are_held_back_where_only_the_training_reward_rises() -> None:
    assert changes("reward hacking")["weight_decay"] == pytest.approx(0.01)
    assert changes("reward hacking", {"weight_decay": 0.02})["weight_decay"] == pytest.approx(0.06)


def test_an_anneal_goes_down_to_zero_where_the_schedule_is_in_the_space() -> None:
    asked = evidence(Intent.ANNEAL)
    question = replace(asked, space=WIDE, parent=replace(asked.parent, configuration=WIDE.default()))
    [proposal] = RulesAdvisor().advise(question).proposals
    assert proposal.changes[DECAY] == "linear"
    assert "lr_scheduler_type constant→linear" in proposal.rationale


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0])
def test_advice_in_a_wide_space_is_valid(case: tuple[str, dict[str, object], str]) -> None:
    asked = evidence(Intent.CHANGE, case[1])
    parent = replace(asked.parent, configuration=WIDE.default() | {"num_iterations": 2})
    for proposal in RulesAdvisor().advise(replace(asked, space=WIDE, parent=parent)).proposals:
        assert WIDE.check_transition(parent.configuration, proposal) == ()
        assert len(proposal.label) <= 24

"""What every advisor promises: valid proposals in open places, never a repeat, reasons with numbers, the same twice.

The promises are in `engine.testing.advisors`; `ADVISORS` lists the kinds that are held against them.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.advisors import ollama
from engine.advisors.base import ASKED, Advisor, Evidence
from engine.advisors.factory import make
from engine.domain.score import Score
from engine.domain.space import Intent, KLReference, Transition
from engine.domain.tree import Checkpoint, Node, NodeState, Tree
from engine.errors import UserError
from engine.testing.advisors import SPACES, AdvisorConformance, CheckedAdvisor

ADVISORS: dict[str, Callable[[], Advisor]] = {kind: partial(make, kind) for kind in ("rules", "auto")}
METRICS = (
    "reward", "reward_std", "kl", "entropy", "grad_norm", "frac_reward_zero_std",
    "completions/mean_length", "completions/clipped_ratio", "clip_ratio/region_mean",
)  # fmt: skip


class TestShippedAdvisors(AdvisorConformance):
    """Each keeps the promises of every advisor."""

    @pytest.fixture(params=ADVISORS)
    def make_advisor(self, request: pytest.FixtureRequest) -> Callable[[], Advisor]:
        return ADVISORS[request.param]


@st.composite
def questions(draw: st.DrawFn) -> Evidence:
    space = SPACES[draw(st.sampled_from([name for name in SPACES if name != "all fixed"]))]
    rng = random.Random(draw(st.integers(0, 99)))
    root = Node(0, None, space.default(), NodeState.FINISHED, checkpoints=(Checkpoint(0, Score(64, 5, 9)),))
    tree = Tree(root)
    first = Transition(0, 0, Intent.ROOT, reference=draw(st.sampled_from(KLReference)))
    tree.add(Node(1, first, space.sample(rng), NodeState.FINISHED, 0, 50, 50))
    for step in (25, 50):
        correct = draw(st.integers(0, 64))
        tree.add_checkpoint(1, Checkpoint(step, Score(64, correct, correct)))
    intent = draw(st.sampled_from(ASKED))
    parent, step = (0, 0) if intent is Intent.ROOT else (1, draw(st.sampled_from([25, 50])))
    failed = None
    if intent is Intent.REPAIR:
        state = draw(st.sampled_from([s for s in NodeState if s.failed]))
        tree.add(Node(2, Transition(parent, step, Intent.CHANGE), space.sample(rng), state, step, 3, 50))
        failed = tree[2]
    metrics = {
        name: [(i, draw(st.floats(-1, 5) | st.just(float("nan")))) for i in range(1, 13)]
        for name in draw(st.sets(st.sampled_from(METRICS), max_size=4))
    }
    return Evidence(
        tree=tree, space=space, parent=tree[parent], step=step, intent=intent, metrics=metrics, completions=(),
        candidates=((1, 25),) if step == 50 else (), tried=(), steps=50, fraction_spent=0.9,
        seed=draw(st.integers(0, 9)), failed=failed,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ADVISORS)
@settings(deadline=None, max_examples=120)
@given(evidence=questions(), times=st.integers(1, 12))
def test_any_evidence_asked_again_and_again(kind: str, evidence: Evidence, times: int) -> None:
    """What was proposed counts as tried the next time; a keep and a repair are asked for once only."""
    advisor = CheckedAdvisor(ADVISORS[kind]())
    for _ in range(1 if evidence.intent in (Intent.KEEP, Intent.REPAIR) else times):
        advice = advisor.advise(evidence)
        evidence = replace(evidence, tried=(*evidence.tried, advice.proposals[0]))


def test_a_kind_that_is_not_there_is_one_line() -> None:
    with pytest.raises(UserError, match="allowed: auto, ollama, rules"):
        make("gpt")


@pytest.mark.parametrize("error", [ImportError("no socksio\n\x1b[31m"), RuntimeError("x" * 5000)])
def test_whatever_the_library_raises_auto_has_the_rules(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(ollama, "connect", fails)
    advisor = make("auto", host="127.0.0.1:9")
    assert advisor.name == "rules"
    assert f"the Ollama client failed: {type(error).__name__}" in advisor.reason
    assert "the rules advisor is used" in advisor.reason
    with pytest.raises(UserError, match=r'or set advisor\.kind = "auto" or "rules"') as told:
        make("ollama", host="127.0.0.1:9")
    assert len(str(told.value)) < 400
    assert str(told.value).isprintable()


def test_an_ollama_host_of_the_environment_that_is_no_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "http://[")
    assert "OLLAMA_HOST" in make("auto").reason
    with pytest.raises(UserError, match="OLLAMA_HOST"):
        make("ollama")

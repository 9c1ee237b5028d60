"""A checkpoint is asked few prompts first, and the others where the answers call for it."""

from __future__ import annotations

import pytest

from engine.training.events import EvaluationSpec
from tests.engine.conftest import Spec
from tests.engine.training_runs import checkpoints, finished, run

LOOK, ALL = 8, 24
WORSE, ALIKE = "3" * ALL, ""


@pytest.mark.long
@pytest.mark.parametrize(
    ("begun", "middle", "end"),
    [
        pytest.param(ALIKE, LOOK, ALL, id="as it should"),
        pytest.param(WORSE, ALL, LOOK, id="hopeless"),
    ],
)
def test_the_middle_is_asked_more_when_it_fell_behind_and_the_end_less_when_it_is_lost(
    begun: str, middle: int, end: int, make_spec: Spec
) -> None:
    """The tiny base gets next to nothing right: beside a policy that got everything right it is lost."""
    evaluation = EvaluationSpec(n=ALL, samples=10)
    spec = make_spec(steps=2, checkpoint_every=1, evaluation=evaluation, first_look=LOOK, begun=begun)
    scored = [each.evaluation for each in checkpoints(finished(run(spec)))]
    assert [(each.n, len(each.outcomes)) for each in scored] == [(middle, middle), (end, end)]
    assert [len(each.samples) for each in scored] == [min(10, middle), min(10, end)]


@pytest.mark.long
def test_in_two_parts_the_same_prompts_get_the_same_greedy_answers(make_spec: Spec) -> None:
    def greedy(look: int) -> tuple[list[str], list[int]]:
        evaluation = EvaluationSpec(n=ALL, samples=ALL)
        [saved] = checkpoints(finished(run(make_spec(steps=1, evaluation=evaluation, first_look=look))))
        answers = [int(digit) % 2 for digit in saved.evaluation.outcomes]
        assert sum(answers) == saved.evaluation.greedy
        return [sample.prompt for sample in saved.evaluation.samples], answers

    assert greedy(LOOK) == greedy(0)

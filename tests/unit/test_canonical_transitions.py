"""Proposals in one form: two that would train the same are the same."""

from __future__ import annotations

from engine.domain.space import Intent, KLReference, OptimizerState, Space, Transition

SPACE = Space.build({}, batch_size=32)
BEFORE = SPACE.default() | {"beta": 0.02}


def canonical(at_base: bool = False, moved: bool = False, **fields: object) -> Transition:
    given = Transition(0 if at_base else 3, 0, Intent.ROOT if at_base else Intent.CHANGE, **fields)  # type: ignore[arg-type]
    return SPACE.canonical(BEFORE, given, at_base=at_base, base_is_reference=not moved)


def test_at_the_base_adams_state_and_the_reference_mean_nothing() -> None:
    plain = canonical(at_base=True)
    other = canonical(at_base=True, optimizer=OptimizerState.RESET, reference=KLReference.BRANCH)
    assert plain.repeats(other)
    assert not canonical().repeats(canonical(optimizer=OptimizerState.RESET))
    assert not canonical().repeats(canonical(reference=KLReference.BRANCH))


def test_without_a_penalty_the_reference_means_nothing() -> None:
    off = canonical(changes={"beta": 0}, reference=KLReference.BRANCH)
    assert off.reference is KLReference.KEEP
    assert dict(off.changes) == {"beta": 0}


def test_a_return_to_the_base_means_something_where_the_reference_was_moved() -> None:
    assert canonical().repeats(canonical(reference=KLReference.BASE))
    assert canonical(moved=True, reference=KLReference.BASE).reference is KLReference.BASE


def test_a_value_that_the_parent_has_is_no_change() -> None:
    same = canonical(changes={"beta": 0.02, "temperature": 0.9, "max_completion_length": 64.0})
    assert dict(same.changes) == {"temperature": 0.9, "max_completion_length": 64}
    assert isinstance(same.changes["max_completion_length"], int)


def test_a_name_that_is_no_hyperparameter_stays_to_be_refused() -> None:
    assert dict(canonical(changes={"no_such": 3}).changes) == {"no_such": 3}

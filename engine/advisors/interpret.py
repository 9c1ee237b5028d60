"""From a model's parsed answer to the engine's values: transitions with labels of ours, diagnoses with numbers of ours.

Called by `ollama.py`. What a proposal says may still break the space; the planner checks that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engine.advisors import answers
from engine.advisors.base import Diagnosis, Evidence, Signal
from engine.advisors.curve_summary import summarize
from engine.advisors.diagnosis import HEALTHY, consistent
from engine.advisors.founded import marked
from engine.advisors.hostile import clean, one_line
from engine.domain.space import (
    LABEL_LENGTH,
    UNCHANGED,
    Configuration,
    Intent,
    KLReference,
    OptimizerState,
    Parameter,
    Space,
    Transition,
    Value,
)


def transition(answer: answers.StrategistAnswer, evidence: Evidence, shown: str) -> Transition:
    """A proposal as a transition; what it says may still break the space, which the planner checks.

    Args:
        shown: the evidence as text, against which the numbers of the rationale are held.
    """
    here = (evidence.parent.id, evidence.step)
    node, step = here if not answer.place else answers.place_of(answer.place) or here
    before = evidence.tree[node if node in evidence.tree.nodes else here[0]].configuration
    floor = {} if evidence.intent is Intent.ROOT else before  # what only rises may begin low
    values = {name: allowed(evidence.space[name], value, floor.get(name)) for name, value in answer.values.items()}
    own = [value for value in values.values() if not isinstance(value, bool | str)]
    given = Transition(
        parent=node, step=step, intent=evidence.intent, changes=values, optimizer=answer.optimizer,
        reference=answer.reference, expected=clean(answer.expected, 1000),
        rationale=clean(marked(answer.rationale, shown, own), 3000),
    )  # fmt: skip
    meant = evidence.space.canonical(before, given, at_base=node == evidence.tree.root.id)
    return replace(meant, label=label(evidence.space, before, meant))


def allowed(parameter: Parameter, value: Value, before: Value | None) -> Value:
    """The value, or the nearest that the space allows; one that only rises is not below where it is."""
    taken = parameter.coerce(value) if parameter.allows(value) else parameter.nearest(value)
    if parameter.choices:
        taken = next(choice for choice in parameter.choices if choice == taken)
    return before if before is not None and parameter.falls(before, taken) else taken


def label(space: Space, before: Configuration, meant: Transition) -> str:
    """What changes, for the tree."""
    text = space.describe(before, meant.changes)
    if text == UNCHANGED and meant.intent is Intent.ROOT:
        text = "as suggested"
    if text == UNCHANGED and meant.optimizer is OptimizerState.RESET:
        text = "optimizer reset"
    if meant.reference is KLReference.BRANCH and len(text) + 5 <= LABEL_LENGTH:
        text = f"ref↺ {text}"
    return text


def diagnoses(
    analysis: answers.AnalystAnswer, computed: Sequence[Diagnosis], evidence: Evidence, shown: str
) -> tuple[Diagnosis, ...]:
    """The model's findings that do not contradict each other, with our own numbers.

    Args:
        computed: the named signals, whose words stand for a second finding that is one of them.
        shown: the evidence as text, against which the numbers of the reading are held.
    """
    reading = one_line(marked(analysis.reading, shown), 600)
    main = Diagnosis(analysis.pathology, analysis.severity, reading, _signals(analysis.metric, evidence))
    if analysis.also in (answers.NONE, analysis.pathology, HEALTHY):
        return (main,)
    known = next((d for d in computed if d.pathology == analysis.also), None)
    also = known or Diagnosis(analysis.also, 0.0, reading)
    return consistent([main, replace(also, severity=min(analysis.severity, ALSO))])


ALSO = answers.SEVERITIES["mild"]
"""Severity of a second finding, at most that of the first."""


def _signals(metric: str, evidence: Evidence) -> tuple[Signal, ...]:
    points = evidence.metrics.get(metric, ())
    found = summarize(points)
    return () if found is None else (Signal(metric, found.start, found.end, points[0][0], points[-1][0]),)

"""From a model's parsed answer to the engine's values: transitions with labels of ours, diagnoses with numbers of ours.

Called by `ollama.py`. What a proposal says may still break the space; the planner checks that.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.advisors import answers
from engine.advisors.base import Diagnosis, Evidence, Signal
from engine.advisors.diagnosis import consistent
from engine.advisors.evidence import summarize
from engine.advisors.hostile import clean, one_line
from engine.domain.space import (
    LABEL_LENGTH,
    UNCHANGED,
    Configuration,
    Intent,
    KLReference,
    OptimizerState,
    Space,
    Transition,
    Value,
)


def transition(change: answers.TransitionAnswer, evidence: Evidence) -> Transition:
    """A proposal as a transition; what it says may still break the space, which the planner checks."""
    known = (change.node, change.step) if change.node in evidence.tree.nodes else (evidence.parent.id, evidence.step)
    before = evidence.tree[known[0]].configuration
    changes = {
        one_line(name, 60): coerced(evidence.space, name, value)
        for name, value in change.changes.items()
        if name not in before or value != before[name]
    }
    return Transition(
        parent=change.node, step=change.step, intent=evidence.intent, changes=changes, optimizer=change.optimizer,
        reference=change.reference, label=label(evidence, before, changes, change),
        rationale=clean(change.rationale, 3000), expected=clean(change.expected, 1000),
    )  # fmt: skip


def coerced(space: Space, name: str, value: Value) -> Value:
    """Whole numbers of an integer parameter as int; a choice as it is written in the space; a text that says a number,
    or the name of a choice, as that."""
    if name not in space:
        return value
    parameter = space[name]
    if isinstance(value, str):
        try:
            return parameter.read(value)
        except ValueError:
            return value
    if isinstance(value, bool) or parameter.categorical:
        return value
    if parameter.choices:
        return next((c for c in parameter.choices if c == value), value)
    return parameter.coerce(value)


def label(
    evidence: Evidence, before: Configuration, changes: dict[str, Value], change: answers.TransitionAnswer
) -> str:
    """What changes, for the tree."""
    text = evidence.space.describe(before, {n: v for n, v in changes.items() if n in evidence.space})
    if changes and text == UNCHANGED:
        text = "unknown parameter"
    if text == UNCHANGED and evidence.intent is Intent.ROOT:
        text = "as suggested"
    if text == UNCHANGED and change.optimizer is OptimizerState.RESET:
        text = "optimizer reset"
    if change.reference is KLReference.BRANCH and len(text) + 5 <= LABEL_LENGTH:
        text = f"ref↺ {text}"
    return text


def diagnoses(analysis: answers.AnalystAnswer, evidence: Evidence) -> tuple[Diagnosis, ...]:
    """The findings that do not contradict each other, with our own numbers of the metrics they name."""
    return consistent(_with_numbers(analysis, evidence))


def _with_numbers(analysis: answers.AnalystAnswer, evidence: Evidence) -> Iterator[Diagnosis]:
    for finding in analysis.findings:
        points = evidence.metrics.get(finding.metric, ())
        found = summarize(points)
        signals = (
            () if found is None else (Signal(finding.metric, found.start, found.end, points[0][0], points[-1][0]),)
        )
        yield Diagnosis(finding.pathology, finding.severity, one_line(finding.evidence, 600), signals)

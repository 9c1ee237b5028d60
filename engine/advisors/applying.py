"""A plan of moves applied to a space: what each move makes of a value, and what cannot move left out.

Called by `rules`. Pure values: it knows neither evidence nor which plan is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engine.advisors.moves import MIDDLE, TASK, MovePlan, MoveStep
from engine.domain.space import (
    Configuration,
    Parameter,
    ParameterKind,
    ParameterScale,
    Space,
    Value,
    format_value,
    numeric,
)

FAR = 0.2
"""From the middle of a range, as a share of the range on its scale: a value nearer to the middle is as good."""

UNCLIPPED = ("cispo", "sapo", "vespo")
"""Losses that do not clip at epsilon_high."""


FILLERS = (
    MoveStep("learning_rate", 0.7, "smaller updates while conditions change"),
    MoveStep("temperature", -0.1, "less noisy samples while conditions change"),
    MoveStep("temperature", 0.1, "slightly more exploration"),
    MoveStep("beta", 1.5, "slightly stronger KL penalty"),
    MoveStep("max_grad_norm", 0.7, "smaller updates"),
    MoveStep("learning_rate", 1.4, "slightly faster"),
    MoveStep("num_generations", 1, "less noisy advantage estimates"),
    MoveStep("num_generations", -1, "smaller groups"),
)
"""Added when a plan could move fewer than `COORDINATED` parameters: a change is coordinated."""

EXPLORING_FILLERS = tuple(
    step
    for step in FILLERS
    if not (step.name == "learning_rate" and step.by < 1) and not (step.name == "beta" and step.by > 1)
)
"""Of these none lowers the learning rate or raises beta, as in `engine.advisors.moves.EXPLORE`."""

COORDINATED = 2
"""Parameters that a change moves, at least."""


@dataclass(frozen=True, slots=True)
class AppliedPlan:
    """A plan applied: the new values, and one phrase for each, "learning_rate 1e-4→4e-5 (slower updates)"."""

    changes: dict[str, Value]
    phrases: tuple[str, ...]


def apply(
    space: Space, configuration: Configuration, plan: MovePlan, fillers: Sequence[MoveStep] = ()
) -> AppliedPlan | None:
    """The values that a plan gives, inside the space; fillers are added until `COORDINATED` parameters change.

    None when nothing can move, or nothing of what the plan is about.
    """
    changes: dict[str, Value] = {}
    phrases: list[str] = []
    able = [step for step in plan.steps if not step.clipping or clips(configuration)]
    steps = [each for step in able for each in _spread(space, step)]
    lead = {each for name in plan.lead for each in ([n for n, _ in _of_task(space)] if name == TASK else [name])}

    def take(name: str, value: Value, why: str) -> None:
        falls = space[name].falls(configuration[name], value)
        if name not in changes and value != configuration[name] and space[name].allows(value) and not falls:
            changes[name] = value
            before, after = format_value(configuration[name]), format_value(value)
            phrases.append(f"{name} {before}→{after} ({why})")

    for step in steps:
        take(step.name, _target(space[step.name], configuration[step.name], step), step.why)
    if plan.steps and (not changes or (lead and not lead & changes.keys())):
        return None
    for filler in fillers:
        if changes and len(changes) < COORDINATED and filler.name in space:
            take(filler.name, space.move(configuration, filler.name, filler.by), filler.why)
    return AppliedPlan({p.name: changes[p.name] for p in space if p.name in changes}, tuple(phrases))


def _target(parameter: Parameter, value: Value, step: MoveStep) -> Value:
    """The value that a step gives in place of another."""
    if step.to == MIDDLE:
        return parameter.at(0.5) if abs(parameter.place(value) - 0.5) > FAR else value
    return parameter.moved(value, step.by) if step.to is None else step.to


def clips(configuration: Configuration) -> bool:
    """Whether the clipping range acts: rollouts are used for more than one update, and the loss clips."""
    used = max(numeric(configuration.get(name, 1)) for name in ("num_iterations", "steps_per_generation"))
    return used > 1 and configuration.get("loss_type", "dapo") not in UNCLIPPED


def _of_task(space: Space) -> list[tuple[str, float]]:
    """The task's own capacity parameters with the width of their ranges."""
    return [
        (p.name, p.high - p.low)
        for p in space
        if p.trl is None and p.kind is ParameterKind.CAPACITY and p.scale is ParameterScale.LINEAR
    ]


def _spread(space: Space, step: MoveStep) -> list[MoveStep]:
    """A step on TASK as steps of the parameters it stands for; nothing for a name the space lacks."""
    if step.name == TASK:
        return [MoveStep(name, step.by * width, step.why) for name, width in _of_task(space)]
    return [step] if step.name in space else []

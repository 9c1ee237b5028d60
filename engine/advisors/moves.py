"""What the rules advisor does about what: coordinated moves as data, and the arithmetic that applies them to a space.

A plan names parameters that a space may lack or may have fixed; what cannot move is left out. Pure values: used by
`rules` only, no evidence is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.domain.space import Configuration, KLReference, ParameterKind, ParameterScale, Space, Value, format_value

TASK = "task"
"""In a plan: every capacity parameter that belongs to the task (difficulty), moved by a share of its range."""


@dataclass(frozen=True, slots=True)
class MoveStep:
    """A move of one parameter: a factor (log), a difference (linear), places (choices), a share of the range (TASK).

    `to` instead names the value of a category.
    """

    name: str
    by: float
    why: str
    to: Value | None = None


@dataclass(frozen=True, slots=True)
class MovePlan:
    """Several moves made together, and the effect that would prove them right.

    Attributes:
        earlier: branch from before the trouble began where such a checkpoint is offered.
        reference: what the KL penalty is measured against afterwards; None keeps the parent's.
        lead: parameters of which one must move, or the plan is not itself; empty when any will do.
    """

    title: str
    steps: tuple[MoveStep, ...]
    expected: str
    earlier: bool = False
    reference: KLReference | None = None
    lead: tuple[str, ...] = ()


SLOWER = MoveStep("learning_rate", 0.5, "smaller steps")
REMEDIES: Mapping[str, Sequence[MovePlan]] = {
    "entropy collapse": (
        MovePlan(
            "restore exploration",
            (
                MoveStep("learning_rate", 0.4, "slower updates, so that entropy stops falling"),
                MoveStep("temperature", 0.15, "more diverse rollouts"),
                MoveStep("epsilon_high", 0.08, "lets rare tokens gain probability"),
            ),
            "entropy stays above its value at the end of this segment, and validation at T=1 does not fall",
            earlier=True,
        ),
    ),
    "kl spike": (
        MovePlan(
            "keep the policy closer to the reference model",
            (MoveStep("beta", 2.5, "stronger KL penalty"), SLOWER),
            "kl stays below three times its average, and reward is not lower than before the spike",
            earlier=True,
        ),
    ),
    "kl-bound plateau": (
        MovePlan(
            "relax the KL penalty",
            (
                MoveStep("beta", 0.4, "the KL penalty limits the reward"),
                MoveStep("learning_rate", 1.4, "faster updates within the relaxed constraint"),
            ),
            "reward leaves its plateau within the segment while validation holds",
        ),
        MovePlan(
            "reset the reference model to the branch point",
            (
                MoveStep("temperature", 0.1, "wider exploration around the new reference"),
                MoveStep("learning_rate", 0.8, "smaller updates, because the KL penalty restarts at 0"),
            ),
            "kl restarts at 0 and reward leaves its plateau",
            reference=KLReference.BRANCH,
        ),
    ),
    "dead groups": (
        MovePlan(
            "restore reward variance within groups",
            (
                MoveStep(TASK, 0.34, "prompts that are neither all solved nor all failed"),
                MoveStep("num_generations", 1, "more completions per prompt"),
                MoveStep("temperature", 0.15, "more diverse completions"),
            ),
            "fewer zero-std groups than at the end of this segment",
        ),
    ),
    "truncation": (
        MovePlan(
            "allow longer completions",
            (
                MoveStep("max_completion_length", 1.6, "completions are truncated at the limit"),
                MoveStep("learning_rate", 0.8, "smaller updates at the new length"),
            ),
            "fewer truncated completions, and validation rises",
            lead=("max_completion_length",),
        ),
        MovePlan(
            "encourage shorter completions",
            (
                MoveStep("temperature", -0.15, "a high temperature makes completions run into the limit"),
                MoveStep("learning_rate", 0.7, "smaller steps"),
            ),
            "fewer truncated completions",
        ),
    ),
    "rambling": (
        MovePlan(
            "shorten completions first, lengthen them later",
            (
                MoveStep("max_completion_length", 0.75, "length grew without a gain in reward"),
                MoveStep("temperature", -0.1, "more focused completions"),
            ),
            "mean length falls and validation does not",
            lead=("max_completion_length",),
        ),
    ),
    "gradient explosion": (
        MovePlan(
            "stabilize the gradient",
            (MoveStep("max_grad_norm", 0.5, "clip the remaining spikes"), SLOWER),
            "grad_norm stays below three times its average",
            earlier=True,
        ),
    ),
    "off-policy drift": (
        MovePlan(
            "keep updates closer to the sampling policy",
            (SLOWER, MoveStep("max_grad_norm", 0.7, "smaller updates"), MoveStep("beta", 1.6, "stronger KL penalty")),
            "clip ratio and log-probability difference return to their initial values",
        ),
    ),
    "reward hacking": (
        MovePlan(
            "realign training reward with validation",
            (
                MoveStep("beta", 2.5, "reward hacking moves the policy away from the reference model"),
                SLOWER,
                MoveStep(TASK, 0.34, "training prompts closer to the target difficulty"),
            ),
            "training reward and validation move together again",
            earlier=True,
        ),
    ),
    "collapse": (
        MovePlan(
            "recover",
            (
                MoveStep("learning_rate", 1 / 3, "the previous step size destroyed what was learned"),
                MoveStep("beta", 2.0, "stronger KL penalty"),
                MoveStep("temperature", -0.1, "less noisy samples"),
            ),
            "validation returns to its value at the start of this segment",
            earlier=True,
        ),
        MovePlan(
            "recover with larger groups",
            (
                SLOWER,
                MoveStep("num_generations", 1, "less noisy advantage estimates"),
                MoveStep("beta", 2.0, "stronger KL penalty"),
            ),
            "validation returns to its value at the start of this segment",
            earlier=True,
        ),
    ),
    "plateau": (
        MovePlan(
            "leave the plateau",
            (
                MoveStep("temperature", 0.15, "wider exploration"),
                MoveStep("learning_rate", 1.8, "faster updates"),
            ),
            "reward leaves its plateau within the segment",
        ),
    ),
}
"""By the name of the diagnosis; the first plan is the first choice."""

EXPLORE: Sequence[MovePlan] = (
    MovePlan(
        "increase capacity",
        (
            MoveStep(
                TASK, 0.34, "training prompts closer to the target difficulty, now that the current ones are learned"
            ),
            MoveStep("max_completion_length", 1.25, "allows longer answers"),
            MoveStep("learning_rate", 0.5, "smaller updates while the task changes"),
        ),
        "training reward dips at first, and validation exceeds the parent's within the segment",
        lead=(TASK, "max_completion_length"),
    ),
    MovePlan(
        "speed up learning",
        (MoveStep("learning_rate", 1.8, "training is stable"), MoveStep("beta", 2.0, "stronger KL penalty")),
        "validation rises faster than in the parent",
    ),
    MovePlan(
        "explore more",
        (
            MoveStep("temperature", 0.2, "wider exploration"),
            MoveStep("num_generations", 1, "less noisy advantage estimates"),
        ),
        "validation at T=1 rises, and greedy validation does not fall",
    ),
    MovePlan(
        "refine",
        (SLOWER, MoveStep("beta", 0.5, "smaller updates need a weaker KL penalty")),
        "less noise between checkpoints, and validation not lower than the parent's",
    ),
    MovePlan(
        "explore less",
        (MoveStep("temperature", -0.2, "sharpens what already works"), MoveStep("learning_rate", 0.7, "smaller steps")),
        "validation at T=1 rises towards greedy",
    ),
)
"""When nothing is wrong, or when every remedy has been tried: what might be better than to continue unchanged."""

DESIGNS: Sequence[MovePlan] = (
    MovePlan("as suggested", (), "a baseline that improves steadily"),
    MovePlan(
        "low learning rate, low temperature",
        (
            MoveStep("learning_rate", 0.3, "low learning rate"),
            MoveStep("temperature", -0.2, "low temperature"),
            MoveStep("beta", 2.0, "stronger KL penalty"),
        ),
        "a slow but steady rise",
    ),
    MovePlan(
        "high temperature, no KL penalty",
        (
            MoveStep("temperature", 0.2, "high temperature"),
            MoveStep("beta", 0.01, "almost no KL penalty"),
            MoveStep("num_generations", 1, "less noisy advantage estimates"),
            MoveStep(TASK, 0.34, "harder prompts from the start"),
        ),
        "an early rise at T=1",
    ),
    MovePlan(
        "high learning rate, stronger KL penalty",
        (
            MoveStep("learning_rate", 2.5, "high learning rate"),
            MoveStep("beta", 2.5, "stronger KL penalty"),
            MoveStep("temperature", 0.1, "slightly higher temperature"),
        ),
        "the steepest rise, or a collapse that shows the limit",
    ),
    MovePlan(
        "low learning rate, large groups",
        (
            MoveStep("learning_rate", 0.5, "low learning rate"),
            MoveStep("num_generations", 1, "less noisy advantage estimates"),
            MoveStep("temperature", -0.1, "slightly lower temperature"),
            MoveStep(TASK, 0.67, "prompts of the target difficulty"),
        ),
        "a steady rise with little noise",
    ),
    MovePlan(
        "high learning rate and temperature, large groups",
        (
            MoveStep("learning_rate", 1.8, "high learning rate"),
            MoveStep("temperature", 0.2, "high temperature"),
            MoveStep("num_generations", 1, "less noisy advantage estimates"),
            MoveStep("beta", 5.0, "much stronger KL penalty"),
        ),
        "an early rise",
    ),
    MovePlan(
        "low learning rate, no KL penalty",
        (
            MoveStep("learning_rate", 0.3, "low learning rate"),
            MoveStep("beta", 0.01, "almost no KL penalty"),
            MoveStep("max_grad_norm", 0.5, "smaller updates"),
        ),
        "a late rise",
    ),
    MovePlan(
        "very low learning rate",
        (
            MoveStep("learning_rate", 0.1, "very low learning rate"),
            MoveStep("temperature", 0.1, "slightly higher temperature"),
        ),
        "little risk and little gain",
    ),
)  # fmt: skip
"""Roots around the default configuration, spread over the corners of learning rate and exploration."""

OUT_OF_MEMORY = MovePlan(
    "reduce memory",
    (
        MoveStep("max_completion_length", 0.75, "shorter completions use less memory"),
        MoveStep("num_generations", -1, "smaller groups"),
    ),
    "",
)
UNSTABLE = MovePlan(
    "stabilize",
    (MoveStep("learning_rate", 1 / 3, "smaller steps"), MoveStep("max_grad_norm", 0.5, "stronger gradient clipping")),
    "",
)
SAME = MovePlan("retry", (), "")
"""Repairs of a failed segment, by how it failed."""

FILLERS = (
    MoveStep("learning_rate", 0.7, "smaller updates while conditions change"),
    MoveStep("temperature", -0.1, "less noisy samples while conditions change"),
    MoveStep("temperature", 0.1, "slightly more exploration"),
    MoveStep("beta", 1.5, "slightly stronger KL penalty"),
    MoveStep("max_grad_norm", 0.7, "smaller updates"),
    MoveStep("learning_rate", 1.4, "slightly faster"),
    MoveStep("num_generations", 1, "less noisy advantage estimates"),
    MoveStep("num_generations", -1, "more prompts per batch"),
)
"""Added when a plan could move fewer than two parameters: a change is coordinated."""


@dataclass(frozen=True, slots=True)
class AppliedPlan:
    """A plan applied: the new values, and one phrase for each, "learning_rate 1e-4→4e-5 (slower updates)"."""

    changes: dict[str, Value]
    phrases: tuple[str, ...]


def apply(space: Space, configuration: Configuration, plan: MovePlan, least: int = 0) -> AppliedPlan | None:
    """The values that a plan gives, inside the space; fillers are added until `least` parameters change.

    None when nothing can move, or nothing of what the plan is about.
    """
    changes: dict[str, Value] = {}
    phrases: list[str] = []
    steps = [each for step in plan.steps for each in _spread(space, step)]
    lead = {each for name in plan.lead for each in ([n for n, _ in _of_task(space)] if name == TASK else [name])}

    def take(name: str, value: Value, why: str) -> None:
        falls = space[name].falls(configuration[name], value)
        if name not in changes and value != configuration[name] and space[name].allows(value) and not falls:
            changes[name] = value
            before, after = format_value(configuration[name]), format_value(value)
            phrases.append(f"{name} {before}→{after} ({why})")

    for step in steps:
        to = space.move(configuration, step.name, step.by) if step.to is None else step.to
        take(step.name, to, step.why)
    if plan.steps and (not changes or (lead and not lead & changes.keys())):
        return None
    for filler in FILLERS:
        if changes and len(changes) < least and filler.name in space:
            take(filler.name, space.move(configuration, filler.name, filler.by), filler.why)
    return AppliedPlan({p.name: changes[p.name] for p in space if p.name in changes}, tuple(phrases))


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

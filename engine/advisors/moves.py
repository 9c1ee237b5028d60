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
    """A move of one parameter: a factor (log), a difference (linear), places (choices), a share of the range (TASK)."""

    name: str
    by: float
    why: str


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
            "give exploration back",
            (
                MoveStep("learning_rate", 0.4, "slower, so that entropy stops falling"),
                MoveStep("temperature", 0.15, "rollouts that differ"),
                MoveStep("epsilon_high", 0.08, "rare tokens may gain more"),
            ),
            "entropy stays above where this segment ended, and validation at T=1 does not fall",
            earlier=True,
        ),
    ),
    "kl spike": (
        MovePlan(
            "hold on to the reference",
            (MoveStep("beta", 2.5, "a stronger pull to the reference"), SLOWER),
            "no kl above three times its average, reward not lower than before the spike",
            earlier=True,
        ),
    ),
    "kl-bound plateau": (
        MovePlan(
            "loosen the reference",
            (
                MoveStep("beta", 0.4, "the penalty holds the reward back"),
                MoveStep("learning_rate", 1.4, "use the room that is left"),
            ),
            "reward leaves its plateau within the segment while validation holds",
        ),
        MovePlan(
            "move the reference here",
            (
                MoveStep("temperature", 0.1, "look further around the new reference"),
                MoveStep("learning_rate", 0.8, "the penalty starts again at 0"),
            ),
            "kl starts at 0 again and reward leaves its plateau",
            reference=KLReference.BRANCH,
        ),
    ),
    "dead groups": (
        MovePlan(
            "make the groups differ",
            (
                MoveStep(TASK, 0.34, "prompts that are not all solved or all failed"),
                MoveStep("num_generations", 1, "more completions a prompt"),
                MoveStep("temperature", 0.15, "completions that differ"),
            ),
            "fewer groups with equal rewards than at the end of this segment",
        ),
    ),
    "truncation": (
        MovePlan(
            "room to finish",
            (
                MoveStep("max_completion_length", 1.6, "completions run into the cap"),
                MoveStep("learning_rate", 0.8, "longer completions are new to the policy"),
            ),
            "fewer completions cut off than now, validation up",
            lead=("max_completion_length",),
        ),
        MovePlan(
            "shorter by habit",
            (
                MoveStep("temperature", -0.15, "hot sampling rambles into the cap"),
                MoveStep("learning_rate", 0.7, "smaller steps"),
            ),
            "fewer completions cut off than now",
        ),
    ),
    "rambling": (
        MovePlan(
            "shorter first, grow later",
            (
                MoveStep("max_completion_length", 0.75, "length grew and bought nothing"),
                MoveStep("temperature", -0.1, "fewer detours"),
            ),
            "mean length falls back and validation does not",
            lead=("max_completion_length",),
        ),
    ),
    "gradient explosion": (
        MovePlan(
            "tame the gradient",
            (MoveStep("max_grad_norm", 0.5, "clip what is left of the spikes"), SLOWER),
            "no grad_norm above three times its average",
            earlier=True,
        ),
    ),
    "off-policy drift": (
        MovePlan(
            "stay near the sampling policy",
            (SLOWER, MoveStep("max_grad_norm", 0.7, "shorter updates"), MoveStep("beta", 1.6, "a stronger pull back")),
            "clip ratio and log-probability difference back to the segment's beginning",
        ),
    ),
    "reward hacking": (
        MovePlan(
            "back to what validation likes",
            (
                MoveStep("beta", 2.5, "what only the training reward likes drifts from the reference"),
                SLOWER,
                MoveStep(TASK, 0.34, "training prompts nearer to the target"),
            ),
            "training reward and validation move together again",
            earlier=True,
        ),
    ),
    "collapse": (
        MovePlan(
            "rescue",
            (
                MoveStep("learning_rate", 1 / 3, "steps this large destroyed what was learned"),
                MoveStep("beta", 2.0, "a stronger pull to the reference"),
                MoveStep("temperature", -0.1, "cleaner samples"),
            ),
            "validation back at where this segment began",
            earlier=True,
        ),
        MovePlan(
            "rescue with larger groups",
            (
                SLOWER,
                MoveStep("num_generations", 1, "a steadier advantage"),
                MoveStep("beta", 2.0, "a stronger pull back"),
            ),
            "validation back at where this segment began",
            earlier=True,
        ),
    ),
    "plateau": (
        MovePlan(
            "leave the plateau",
            (
                MoveStep("temperature", 0.15, "find what has not been tried"),
                MoveStep("learning_rate", 1.8, "learn from it faster"),
            ),
            "reward leaves its plateau within the segment",
        ),
    ),
}
"""By the name of the diagnosis; the first plan is the first choice."""

EXPLORE: Sequence[MovePlan] = (
    MovePlan(
        "grow",
        (
            MoveStep(TASK, 0.34, "training prompts nearer to the target, now that the present ones are learned"),
            MoveStep("max_completion_length", 1.25, "room for longer answers"),
            MoveStep("learning_rate", 0.5, "gentle on new ground"),
        ),
        "training reward dips, validation passes the parent's within the segment",
        lead=(TASK, "max_completion_length"),
    ),
    MovePlan(
        "faster",
        (MoveStep("learning_rate", 1.8, "it learns without trouble"), MoveStep("beta", 2.0, "held by the reference")),
        "validation rises faster than under the parent",
    ),
    MovePlan(
        "hotter",
        (
            MoveStep("temperature", 0.2, "wider exploration"),
            MoveStep("num_generations", 1, "a steadier advantage for it"),
        ),
        "validation at T=1 rises, greedy does not fall",
    ),
    MovePlan(
        "finer",
        (SLOWER, MoveStep("beta", 0.5, "small steps need less holding")),
        "less noise between checkpoints, validation not lower than under the parent",
    ),
    MovePlan(
        "colder",
        (MoveStep("temperature", -0.2, "sharpen what works"), MoveStep("learning_rate", 0.7, "smaller steps")),
        "validation at T=1 rises towards greedy",
    ),
)
"""When nothing is wrong, or when every remedy has been tried: what else might be better than to go on."""

DESIGNS: Sequence[MovePlan] = (
    MovePlan("as suggested", (), "a baseline that learns"),
    MovePlan(
        "slow and cold",
        (
            MoveStep("learning_rate", 0.3, "slow"),
            MoveStep("temperature", -0.2, "cold"),
            MoveStep("beta", 2.0, "held by the reference"),
        ),
        "a late but steady rise",
    ),
    MovePlan(
        "hot and free",
        (
            MoveStep("temperature", 0.2, "hot"),
            MoveStep("beta", 0.01, "free of the reference"),
            MoveStep("num_generations", 1, "a steadier advantage for the noise"),
            MoveStep(TASK, 0.34, "harder prompts from the start"),
        ),
        "an early rise at T=1",
    ),
    MovePlan(
        "fast and held",
        (
            MoveStep("learning_rate", 2.5, "fast"),
            MoveStep("beta", 2.5, "held by the reference"),
            MoveStep("temperature", 0.1, "a little hot"),
        ),
        "the steepest rise, or a collapse that shows where the limit is",
    ),
    MovePlan(
        "careful, large groups",
        (
            MoveStep("learning_rate", 0.5, "careful"),
            MoveStep("num_generations", 1, "a steadier advantage"),
            MoveStep("temperature", -0.1, "a little cold"),
            MoveStep(TASK, 0.67, "prompts as hard as the target"),
        ),
        "a steady rise with little noise",
    ),
    MovePlan(
        "fast, hot, large groups",
        (
            MoveStep("learning_rate", 1.8, "fast"),
            MoveStep("temperature", 0.2, "hot"),
            MoveStep("num_generations", 1, "a steadier advantage"),
            MoveStep("beta", 5.0, "held tightly"),
        ),
        "an early rise",
    ),
    MovePlan(
        "slow and free",
        (
            MoveStep("learning_rate", 0.3, "slow"),
            MoveStep("beta", 0.01, "free of the reference"),
            MoveStep("max_grad_norm", 0.5, "shorter updates"),
        ),
        "a late rise",
    ),
    MovePlan(
        "very slow",
        (MoveStep("learning_rate", 0.1, "very slow"), MoveStep("temperature", 0.1, "a little hot")),
        "hardly any harm, hardly any gain",
    ),
)  # fmt: skip
"""Roots around the default configuration, spread over the corners of learning rate and exploration."""

OUT_OF_MEMORY = MovePlan(
    "fit",
    (
        MoveStep("max_completion_length", 0.75, "shorter completions take less memory"),
        MoveStep("num_generations", -1, "smaller groups"),
    ),
    "",
)
UNSTABLE = MovePlan(
    "calm",
    (MoveStep("learning_rate", 1 / 3, "smaller steps"), MoveStep("max_grad_norm", 0.5, "gradients clipped earlier")),
    "",
)
SAME = MovePlan("same again", (), "")
"""Repairs of a failed segment, by how it failed."""

FILLERS = (
    MoveStep("learning_rate", 0.7, "gentler, because conditions change"),
    MoveStep("temperature", -0.1, "cleaner samples while conditions change"),
    MoveStep("temperature", 0.1, "a little more exploration"),
    MoveStep("beta", 1.5, "held a little tighter"),
    MoveStep("max_grad_norm", 0.7, "shorter updates"),
    MoveStep("learning_rate", 1.4, "a little faster"),
    MoveStep("num_generations", 1, "a steadier advantage"),
    MoveStep("num_generations", -1, "more prompts a batch"),
)
"""Added when a plan could move fewer than two parameters: a change is coordinated."""


@dataclass(frozen=True, slots=True)
class AppliedPlan:
    """A plan applied: the new values, and one phrase for each, "lr 1e-4→4e-5 (slower)"."""

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
        falls = space[name].rising and value < configuration[name]
        if name not in changes and value != configuration[name] and not falls:
            changes[name] = value
            before, after = format_value(configuration[name]), format_value(value)
            phrases.append(f"{space[name].label} {before}→{after} ({why})")

    for step in steps:
        take(step.name, space.move(configuration, step.name, step.by), step.why)
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

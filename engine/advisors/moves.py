"""What the rules advisor does about what: coordinated moves as data, and the arithmetic that applies them to a space.

A plan names parameters that a space may lack or may have fixed; what cannot move is left out. Pure values: used by
`rules` only, no evidence is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.space import Configuration, Kind, Reference, Scale, Space, Value, format_value

TASK = "task"
"""In a plan: every capacity parameter that belongs to the task (difficulty), moved by a share of its range."""


@dataclass(frozen=True, slots=True)
class Step:
    """A move of one parameter: a factor (log), a difference (linear), places (choices), a share of the range (TASK)."""

    name: str
    by: float
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Several moves made together, and the effect that would prove them right.

    Attributes:
        earlier: branch from before the trouble began where such a checkpoint is offered.
        reference: what the KL penalty is measured against afterwards; None keeps the parent's.
        lead: parameters of which one must move, or the plan is not itself; empty when any will do.
    """

    title: str
    steps: tuple[Step, ...]
    expected: str
    earlier: bool = False
    reference: Reference | None = None
    lead: tuple[str, ...] = ()


SLOWER = Step("learning_rate", 0.5, "smaller steps")
REMEDIES: Mapping[str, Sequence[Plan]] = {
    "entropy collapse": (
        Plan(
            "give exploration back",
            (
                Step("learning_rate", 0.4, "slower, so that entropy stops falling"),
                Step("temperature", 0.15, "rollouts that differ"),
                Step("epsilon_high", 0.08, "rare tokens may gain more"),
            ),
            "entropy stays above where this segment ended, and validation at T=1 does not fall",
            earlier=True,
        ),
    ),
    "kl spike": (
        Plan(
            "hold on to the reference",
            (Step("beta", 2.5, "a stronger pull to the reference"), SLOWER),
            "no kl above three times its average, reward not lower than before the spike",
            earlier=True,
        ),
    ),
    "kl-bound plateau": (
        Plan(
            "loosen the reference",
            (
                Step("beta", 0.4, "the penalty holds the reward back"),
                Step("learning_rate", 1.4, "use the room that is left"),
            ),
            "reward leaves its plateau within the segment while validation holds",
        ),
        Plan(
            "move the reference here",
            (
                Step("temperature", 0.1, "look further around the new reference"),
                Step("learning_rate", 0.8, "the penalty starts again at 0"),
            ),
            "kl starts at 0 again and reward leaves its plateau",
            reference=Reference.BRANCH,
        ),
    ),
    "dead groups": (
        Plan(
            "make the groups differ",
            (
                Step(TASK, 0.34, "prompts that are not all solved or all failed"),
                Step("num_generations", 1, "more completions a prompt"),
                Step("temperature", 0.15, "completions that differ"),
            ),
            "fewer groups with equal rewards than at the end of this segment",
        ),
    ),
    "truncation": (
        Plan(
            "room to finish",
            (
                Step("max_completion_length", 1.6, "completions run into the cap"),
                Step("learning_rate", 0.8, "longer completions are new to the policy"),
            ),
            "fewer completions cut off than now, validation up",
            lead=("max_completion_length",),
        ),
        Plan(
            "shorter by habit",
            (
                Step("temperature", -0.15, "hot sampling rambles into the cap"),
                Step("learning_rate", 0.7, "smaller steps"),
            ),
            "fewer completions cut off than now",
        ),
    ),
    "rambling": (
        Plan(
            "shorter first, grow later",
            (
                Step("max_completion_length", 0.75, "length grew and bought nothing"),
                Step("temperature", -0.1, "fewer detours"),
            ),
            "mean length falls back and validation does not",
            lead=("max_completion_length",),
        ),
    ),
    "gradient explosion": (
        Plan(
            "tame the gradient",
            (Step("max_grad_norm", 0.5, "clip what is left of the spikes"), SLOWER),
            "no grad_norm above three times its average",
            earlier=True,
        ),
    ),
    "off-policy drift": (
        Plan(
            "stay near the sampling policy",
            (SLOWER, Step("max_grad_norm", 0.7, "shorter updates"), Step("beta", 1.6, "a stronger pull back")),
            "clip ratio and log-probability difference back to the segment's beginning",
        ),
    ),
    "reward hacking": (
        Plan(
            "back to what validation likes",
            (
                Step("beta", 2.5, "what only the training reward likes drifts from the reference"),
                SLOWER,
                Step(TASK, 0.34, "training prompts nearer to the target"),
            ),
            "training reward and validation move together again",
            earlier=True,
        ),
    ),
    "collapse": (
        Plan(
            "rescue",
            (
                Step("learning_rate", 1 / 3, "steps this large destroyed what was learned"),
                Step("beta", 2.0, "a stronger pull to the reference"),
                Step("temperature", -0.1, "cleaner samples"),
            ),
            "validation back at where this segment began",
            earlier=True,
        ),
        Plan(
            "rescue with larger groups",
            (SLOWER, Step("num_generations", 1, "a steadier advantage"), Step("beta", 2.0, "a stronger pull back")),
            "validation back at where this segment began",
            earlier=True,
        ),
    ),
    "plateau": (
        Plan(
            "leave the plateau",
            (
                Step("temperature", 0.15, "find what has not been tried"),
                Step("learning_rate", 1.8, "learn from it faster"),
            ),
            "reward leaves its plateau within the segment",
        ),
    ),
}
"""By the name of the diagnosis; the first plan is the first choice."""

EXPLORE: Sequence[Plan] = (
    Plan(
        "grow",
        (
            Step(TASK, 0.34, "training prompts nearer to the target, now that the present ones are learned"),
            Step("max_completion_length", 1.25, "room for longer answers"),
            Step("learning_rate", 0.5, "gentle on new ground"),
        ),
        "training reward dips, validation passes the parent's within the segment",
        lead=(TASK, "max_completion_length"),
    ),
    Plan(
        "faster",
        (Step("learning_rate", 1.8, "it learns without trouble"), Step("beta", 2.0, "held by the reference")),
        "validation rises faster than under the parent",
    ),
    Plan(
        "hotter",
        (Step("temperature", 0.2, "wider exploration"), Step("num_generations", 1, "a steadier advantage for it")),
        "validation at T=1 rises, greedy does not fall",
    ),
    Plan(
        "finer",
        (SLOWER, Step("beta", 0.5, "small steps need less holding")),
        "less noise between checkpoints, validation not lower than under the parent",
    ),
    Plan(
        "colder",
        (Step("temperature", -0.2, "sharpen what works"), Step("learning_rate", 0.7, "smaller steps")),
        "validation at T=1 rises towards greedy",
    ),
)
"""When nothing is wrong, or when every remedy has been tried: what else might be better than to go on."""

DESIGNS: Sequence[Plan] = (
    Plan("as suggested", (), "a baseline that learns"),
    Plan(
        "slow and cold",
        (
            Step("learning_rate", 0.3, "slow"),
            Step("temperature", -0.2, "cold"),
            Step("beta", 2.0, "held by the reference"),
        ),
        "a late but steady rise",
    ),
    Plan(
        "hot and free",
        (
            Step("temperature", 0.2, "hot"),
            Step("beta", 0.01, "free of the reference"),
            Step("num_generations", 1, "a steadier advantage for the noise"),
            Step(TASK, 0.34, "harder prompts from the start"),
        ),
        "an early rise at T=1",
    ),
    Plan(
        "fast and held",
        (
            Step("learning_rate", 2.5, "fast"),
            Step("beta", 2.5, "held by the reference"),
            Step("temperature", 0.1, "a little hot"),
        ),
        "the steepest rise, or a collapse that shows where the limit is",
    ),
    Plan(
        "careful, large groups",
        (
            Step("learning_rate", 0.5, "careful"),
            Step("num_generations", 1, "a steadier advantage"),
            Step("temperature", -0.1, "a little cold"),
            Step(TASK, 0.67, "prompts as hard as the target"),
        ),
        "a steady rise with little noise",
    ),
    Plan(
        "fast, hot, large groups",
        (
            Step("learning_rate", 1.8, "fast"),
            Step("temperature", 0.2, "hot"),
            Step("num_generations", 1, "a steadier advantage"),
            Step("beta", 5.0, "held tightly"),
        ),
        "an early rise",
    ),
    Plan(
        "slow and free",
        (
            Step("learning_rate", 0.3, "slow"),
            Step("beta", 0.01, "free of the reference"),
            Step("max_grad_norm", 0.5, "shorter updates"),
        ),
        "a late rise",
    ),
    Plan(
        "very slow",
        (Step("learning_rate", 0.1, "very slow"), Step("temperature", 0.1, "a little hot")),
        "hardly any harm, hardly any gain",
    ),
)  # fmt: skip
"""Roots around the default configuration, spread over the corners of learning rate and exploration."""

OUT_OF_MEMORY = Plan(
    "fit",
    (
        Step("max_completion_length", 0.75, "shorter completions take less memory"),
        Step("num_generations", -1, "smaller groups"),
    ),
    "",
)
UNSTABLE = Plan(
    "calm",
    (Step("learning_rate", 1 / 3, "smaller steps"), Step("max_grad_norm", 0.5, "gradients clipped earlier")),
    "",
)
SAME = Plan("same again", (), "")
"""Repairs of a failed segment, by how it failed."""

FILLERS = (
    Step("learning_rate", 0.7, "gentler, because conditions change"),
    Step("temperature", -0.1, "cleaner samples while conditions change"),
    Step("temperature", 0.1, "a little more exploration"),
    Step("beta", 1.5, "held a little tighter"),
    Step("max_grad_norm", 0.7, "shorter updates"),
    Step("learning_rate", 1.4, "a little faster"),
    Step("num_generations", 1, "a steadier advantage"),
    Step("num_generations", -1, "more prompts a batch"),
)
"""Added when a plan could move fewer than two parameters: a change is coordinated."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A plan applied: the new values, and one phrase for each, "lr 1e-4→4e-5 (slower)"."""

    changes: dict[str, Value]
    phrases: tuple[str, ...]


def apply(space: Space, configuration: Configuration, plan: Plan, least: int = 0) -> Moved | None:
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
    return Moved({p.name: changes[p.name] for p in space if p.name in changes}, tuple(phrases))


def _of_task(space: Space) -> list[tuple[str, float]]:
    """The task's own capacity parameters with the width of their ranges."""
    return [
        (p.name, p.high - p.low) for p in space if p.trl is None and p.kind is Kind.CAPACITY and p.scale is Scale.LINEAR
    ]


def _spread(space: Space, step: Step) -> list[Step]:
    """A step on TASK as steps of the parameters it stands for; nothing for a name the space lacks."""
    if step.name == TASK:
        return [Step(name, step.by * width, step.why) for name, width in _of_task(space)]
    return [step] if step.name in space else []

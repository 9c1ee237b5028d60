"""Hyperparameters and transitions: what the search may change, and the rules that make a change valid.

Every parameter has a kind (capacity or regularization), a range and the name TRL gives it. Pure values: no file, no
clock, no torch; imported by every room.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from engine.domain.parameters import (
    Configuration,
    Parameter,
    ParameterKind,
    ParameterScale,
    Value,
    direction,
    format_value,
    nearest_names,
    numeric,
)
from engine.domain.ranges import resolve
from engine.errors import short, short_name
from engine.words import CONTINUING

UNCHANGED = "continue"
"""The label of a transition that changes nothing."""

LABEL_LENGTH = 24
"""Characters of a transition's label: what fits into the tree at 120 columns."""


class OptimizerState(StrEnum):
    """What a segment does with its parent's Adam state."""

    KEEP = "keep"
    RESET = "reset"


class KLReference(StrEnum):
    """Which policy the KL penalty of a segment is measured against."""

    KEEP = "keep"  # that of the segment before; at first the base model
    BASE = "base"
    BRANCH = "branch point"


class Intent(StrEnum):
    """Why the search expands a node; it decides what an advisor is asked for."""

    ROOT = "root"  # a first segment from the base model: one of several diverse configurations
    KEEP = "keep"  # train on, unchanged
    CURRICULUM = "curriculum"  # train on; only the task's difficulty follows the training reward
    CHANGE = "change"  # a coordinated change of several hyperparameters
    ANNEAL = "anneal"  # the last steps of the best line, learning rate lowered, Adam kept
    REPAIR = "repair"  # after a failed segment: the same place, made safe

    @property
    def continues(self) -> bool:
        """Whether training goes on as it was: the branch is continued, no change is tried."""
        return self in CONTINUING


def recorded_reference(reference: str, intent: str) -> str:
    """The reference of a recorded segment, whatever stands there. Before "keep" was a word of its own, a segment that
    only went on kept its parent's reference by repeating "branch point"."""
    goes_on = intent in (*CONTINUING, Intent.ANNEAL)
    return KLReference.KEEP if goes_on and reference == KLReference.BRANCH else reference


@dataclass(frozen=True, slots=True)
class Transition:
    """An edge of the tree: from a checkpoint of the parent, under a changed configuration.

    Attributes:
        parent: node id. step: GRPO steps into the parent's segment at which its checkpoint was saved; 0 for the root.
        changes: only the parameters that differ from the parent's configuration. Empty means *continue*.
        optimizer, reference: the two explicit choices.
        label: at most 24 characters for the tree, e.g. "lr↑ kl .02".
        rationale: why, quoting the evidence. expected: the effect expected, checkable.
    """

    parent: int
    step: int
    intent: Intent
    changes: Configuration = field(default_factory=dict)
    optimizer: OptimizerState = OptimizerState.KEEP
    reference: KLReference = KLReference.KEEP
    label: str = ""
    rationale: str = ""
    expected: str = ""

    def repeats(self, other: Transition) -> bool:
        """Whether a sibling branches from the same checkpoint with the same settings."""
        return (self.step, dict(self.changes), self.optimizer, self.reference) == (
            other.step, dict(other.changes), other.optimizer, other.reference,
        )  # fmt: skip


class Space:
    """The parameters of a run and the rules between them. Nothing changes it but `become`."""

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self.parameters: tuple[Parameter, ...] = tuple(parameters)
        self._by_name = {p.name: p for p in self.parameters}

    @classmethod
    def build(
        cls,
        settings: Mapping[str, Mapping[str, Any]],
        suggested: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        *,
        batch_size: int,
        rate: float = 1,
    ) -> Space:
        """General defaults, replaced by the task's suggestion, replaced by the run file's [space.NAME] tables.

        Args:
            settings: parameter → {"low", "high", "default"}, {"choices", "default"} or {"fixed"}, from the run file;
                a category has no low and high.
            suggested: the same from the task; a name unknown here becomes a parameter of the task's own, and may
                also carry "label", "kind", "scale", "integer" and "doc". Any table may say "rising": true or false.
            batch_size: completions per GRPO step; group sizes must divide it, unless prompts_per_step is searched.
            rate: factor on the learning rates of defaults and suggestion, not on those of the run file.

        Raises:
            UserError: an unknown name or key, a value of a wrong type or out of what is allowed.
        """
        return cls(resolve(settings, suggested, batch_size, rate))

    def become(self, other: Space) -> None:
        """Have the ranges of another space of the same hyperparameters: a human changed them while the run is live,
        and everything that chooses values has this object. Safe in any thread.

        Raises ValueError for other hyperparameters.
        """
        if other._by_name.keys() != self._by_name.keys():
            raise ValueError("the hyperparameters of a run stay")
        self.parameters, self._by_name = other.parameters, other._by_name

    def __getitem__(self, name: str) -> Parameter:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Space) and self.parameters == other.parameters

    def __hash__(self) -> int:
        return hash(self.parameters)

    def longest_completion(self, otherwise: int) -> int:
        """Tokens of the longest rollout that a run may have; `otherwise` where the space does not say."""
        return int(self["max_completion_length"].high) if "max_completion_length" in self else otherwise

    def default(self) -> dict[str, Value]:
        """The untouched configuration."""
        return {p.name: p.default for p in self.parameters}

    def apply(self, configuration: Configuration, changes: Configuration) -> dict[str, Value]:
        """`configuration` with `changes` written over it, integers as int. Does not check: see `violations`.

        Raises KeyError for a name that is not in the space.
        """
        changed = {name: self[name].coerce(value) for name, value in changes.items()}
        return {**configuration, **changed}

    def changes(self, before: Configuration, after: Configuration) -> dict[str, Value]:
        """The values of `after` that differ from `before`, in the order of the space."""
        return {p.name: after[p.name] for p in self.parameters if after[p.name] != before.get(p.name)}

    def violations(self, configuration: Configuration) -> tuple[str, ...]:
        """What is wrong with a configuration: one line each with name, value and what is allowed."""
        wrong = self._unknown(configuration)
        for parameter in self.parameters:
            if parameter.name not in configuration:
                wrong.append(f"{parameter.name} is missing; allowed: {parameter.allowed}")
            elif not parameter.allows(value := configuration[parameter.name]):
                wrong.append(f"{parameter.name} = {short(value)} is not allowed; allowed: {parameter.allowed}")
        return tuple(wrong)

    def check_transition(self, parent_configuration: Configuration, transition: Transition) -> tuple[str, ...]:
        """What is wrong with a proposed transition from a node with `parent_configuration`: one line each."""
        wrong = self._unknown(transition.changes)
        for name, value in transition.changes.items():
            if name in self and not self[name].allows(value):
                wrong.append(f"{short_name(name)} = {short(value)} is not allowed; allowed: {self[name].allowed}")
        if not wrong:
            wrong += self._intent(parent_configuration, transition)
            wrong += self._falling(parent_configuration, transition)
        wrong += _texts(transition)
        if transition.step < 0:
            wrong.append(f"step = {transition.step} is not allowed; allowed: 0 or more")
        return tuple(wrong)

    def canonical(
        self, parent_configuration: Configuration, transition: Transition, *, at_base: bool, base_is_reference: bool
    ) -> Transition:
        """The same transition without what means nothing, so that two that train the same are equal.

        Left out are values that the parent has already, Adam's state and the reference at the base model (`at_base`),
        which has no moments and is its own reference, the reference where beta is 0, and a return to the base where
        the base is the parent's reference (`base_is_reference`).
        """
        known = {name: value for name, value in transition.changes.items() if name in self}
        after = self.apply(parent_configuration, known)
        changes = {name: after.get(name, value) for name, value in transition.changes.items()}
        changes = {name: value for name, value in changes.items() if parent_configuration.get(name) != value}
        optimizer = OptimizerState.KEEP if at_base else transition.optimizer
        stays = at_base or after.get("beta") == 0 or (base_is_reference and transition.reference is KLReference.BASE)
        reference = KLReference.KEEP if stays else transition.reference
        return replace(transition, changes=changes, optimizer=optimizer, reference=reference)

    def move(self, configuration: Configuration, name: str, by: float) -> Value:
        """The value of `name` moved from its place in `configuration`, kept in the range and rounded.

        `by` is a factor on a log scale, a difference on a linear one, a number of places among choices. On a log
        scale with `zero`, a move below the lowest positive value is 0, and a move up from 0 is to the default, or to
        the geometric middle of the range when the default is 0. The names of a category are a ring.
        """
        return self[name].moved(configuration[name], by)

    def nearest(self, name: str, value: Value) -> Value:
        """The allowed value nearest to `value`, rounded to two significant digits on a log scale, else three; of a
        category the value itself, or its first."""
        return self[name].nearest(value)

    def sample(self, rng: random.Random) -> dict[str, Value]:
        """A configuration drawn uniformly on each parameter's scale; "off" one time in four where allowed."""
        return {p.name: p.sample(rng) for p in self.parameters}

    def describe(self, parent_configuration: Configuration, changes: Configuration) -> str:
        """A label of at most 24 characters, e.g. "lr↑ kl .02"; "continue" when nothing changes."""
        moved = [
            (self[name], parent_configuration.get(name), value)
            for name, value in changes.items()
            if name in self and value != parent_configuration.get(name)
        ]
        if not moved:
            return UNCHANGED
        arrows = [f"{p.label}{direction(before, value)}" for p, before, value in moved]
        values = [
            arrow if p.name == "learning_rate" else f"{p.label} {_narrow(value)}"
            for arrow, (p, _, value) in zip(arrows, moved, strict=True)
        ]
        for words in (values, arrows):
            if len(" ".join(words)) <= LABEL_LENGTH:
                return " ".join(words)
        return " ".join(arrows)[: LABEL_LENGTH - 1] + "…"

    def to_json(self) -> list[dict[str, Any]]:
        """Every parameter as JSON values, for the store and the prompts."""
        return [{**asdict(p), "choices": list(p.choices)} for p in self.parameters]

    @classmethod
    def from_json(cls, items: Iterable[Mapping[str, Any]]) -> Space:
        """The space that `to_json` wrote."""
        return cls(
            Parameter(
                **{
                    **item,
                    "kind": ParameterKind(item["kind"]),
                    "scale": ParameterScale(item["scale"]),
                    "choices": tuple(item["choices"]),
                }
            )
            for item in items
        )

    def _unknown(self, names: Iterable[str]) -> list[str]:
        return [
            f"{short_name(name)} is no hyperparameter of this run; nearest: {nearest_names(name, self._by_name)}"
            for name in names
            if name not in self
        ]

    def _intent(self, parent: Configuration, transition: Transition) -> list[str]:
        changed = {n: v for n, v in transition.changes.items() if parent.get(n) != v}
        intent, rate = transition.intent, "learning_rate"
        if intent is Intent.KEEP and changed:
            return [f"to continue is to change nothing, but {', '.join(changed)} would change"]
        if intent is Intent.CURRICULUM and (not changed or any(self[name].trl is not None for name in changed)):
            return [
                f"a curriculum moves the task's difficulty alone, but {', '.join(changed) or 'nothing'} would change"
            ]
        same = transition.optimizer is OptimizerState.KEEP and transition.reference is KLReference.KEEP
        if intent is Intent.CHANGE and not changed and same:
            return ["a change that changes nothing: give at least one value that differs from the parent's"]
        if intent is Intent.ANNEAL and rate in changed and numeric(changed[rate]) > numeric(parent.get(rate, math.inf)):
            return [f"an anneal lowers learning_rate, but {changed[rate]!r} is above {parent[rate]!r}"]
        return []

    def _falling(self, parent: Configuration, transition: Transition) -> list[str]:
        if transition.intent is Intent.ROOT:
            return []
        return [
            f"{name} = {format_value(value)} is below the parent's {format_value(before)}, and {name} only rises; "
            f"rising = false in [space.{name}] lifts this"
            for name, value in transition.changes.items()
            if (before := parent.get(name)) is not None and self[name].falls(before, value)
        ]


def _texts(transition: Transition) -> list[str]:
    wrong = []
    if not transition.label.strip():
        wrong.append("label is empty")
    elif len(transition.label) > LABEL_LENGTH or not transition.label.isprintable():
        wrong.append(f"label {short(transition.label)} must be one line of at most {LABEL_LENGTH} characters")
    if not transition.rationale.strip():
        wrong.append("rationale is empty")
    return wrong


def _narrow(value: Value) -> str:
    """A value without its leading zero: a label has 24 characters."""
    text = format_value(value)
    return text[1:] if text.startswith("0.") else text


__all__ = [
    "LABEL_LENGTH",
    "UNCHANGED",
    "Configuration",
    "Intent",
    "KLReference",
    "OptimizerState",
    "Parameter",
    "ParameterKind",
    "ParameterScale",
    "Space",
    "Transition",
    "Value",
    "direction",
    "format_value",
    "numeric",
]

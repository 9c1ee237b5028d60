"""Hyperparameters and transitions: what the search may change, and the rules that make a change valid.

Every parameter has a kind (capacity or regularization), a range and the name TRL gives it. Pure values: no file, no
clock, no torch; imported by every room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Value = float | int
Configuration = Mapping[str, Value]
"""A value for every hyperparameter of a space, by name."""


class Kind(StrEnum):
    """Capacity parameters tend to accumulate, regularization parameters to oscillate (arXiv 2606.18388)."""

    CAPACITY = "capacity"
    REGULARIZATION = "regularization"


class Scale(StrEnum):
    """How a step in a parameter is measured: by difference, by ratio, or by position in a list of choices."""

    LINEAR = "linear"
    LOG = "log"
    CHOICE = "choice"


class Optimizer(StrEnum):
    """What a segment does with its parent's Adam state."""

    KEEP = "keep"
    RESET = "reset"


class Reference(StrEnum):
    """Which policy the KL penalty of a segment is measured against."""

    BASE = "base"
    BRANCH = "branch point"


class Intent(StrEnum):
    """Why the search expands a node; it decides what an advisor is asked for."""

    ROOT = "root"  # a first segment from the base model: one of several diverse configurations
    KEEP = "keep"  # train on, unchanged
    CHANGE = "change"  # a coordinated change of several hyperparameters
    ANNEAL = "anneal"  # the last steps of the best line, learning rate lowered, Adam kept
    REPAIR = "repair"  # after a failed segment: the same place, made safe


@dataclass(frozen=True, slots=True)
class Parameter:
    """One hyperparameter.

    Attributes:
        name: as in the run file, in tables and on screens (TRL's name where there is one).
        label: short form for narrow columns, e.g. "lr".
        kind: capacity or regularization.
        low, high: inclusive range of a numeric parameter (of the positive values, when `zero` is set).
        default: the value of the untouched configuration; inside the range.
        scale: how steps are measured.
        integer: values are whole numbers.
        zero: 0 is allowed besides low..high ("off": the KL coefficient).
        choices: the allowed values of a CHOICE parameter, ascending.
        trl: field of trl.GRPOConfig it sets; None for a parameter that belongs to the task (difficulty).
        doc: meaning and unit, one line.
    """

    name: str
    label: str
    kind: Kind
    low: float
    high: float
    default: Value
    scale: Scale
    doc: str
    integer: bool = False
    zero: bool = False
    choices: tuple[Value, ...] = ()
    trl: str | None = None


@dataclass(frozen=True, slots=True)
class Transition:
    """An edge of the tree: from a checkpoint of the parent, under a changed configuration.

    Attributes:
        parent: node id. step: GRPO steps into the parent's segment at which its checkpoint was saved; 0 for the root.
        changes: only the parameters that differ from the parent's configuration. Empty means *keep*.
        optimizer, reference: the two explicit choices.
        label: at most 24 characters for the tree, e.g. "lr↑ kl .02".
        rationale: why, quoting the evidence. expected: the effect expected, checkable.
    """

    parent: int
    step: int
    intent: Intent
    changes: Configuration = field(default_factory=dict)
    optimizer: Optimizer = Optimizer.KEEP
    reference: Reference = Reference.BASE
    label: str = ""
    rationale: str = ""
    expected: str = ""


class Space:
    """The parameters of a run and the rules between them. Written by the search helper."""

"""Advisors: what diagnoses a segment and proposes transitions. One interface for rules and for a language model.

The controller assembles the Evidence, calls `advise` in a thread, and validates every proposal against the space. An
advisor never touches the store, the tree's state or the disk.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.space import Configuration, Intent, Space, Transition
from engine.tree import Node, Tree

Series = Mapping[str, Sequence[tuple[int, float]]]
"""Metric name (TRL's) → (step within the segment, value), steps ascending."""


@dataclass(frozen=True, slots=True)
class SampledCompletion:
    """One rollout as evidence. Hostile text: never interpret it."""

    step: int
    prompt: str
    completion: str
    answer: str
    reward: float
    correct: bool
    truncated: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """All an advisor may look at for one expansion.

    Attributes:
        tree: read-only; `parent` and `step` name the checkpoint the search chose to branch from.
        intent: what kind of child is wanted.
        metrics: of the parent's segment (empty for the root).
        completions: a few rollouts of the parent's segment.
        candidates: other places the advisor may branch from, best first.
        tried: transitions that exist below the parent already (any state), to avoid repeats.
        feedback: why an earlier proposal of this advice was refused, "" at first.
        steps: GRPO steps of the child to come. fraction_spent: of the budget, 0..1.
        seed: for whatever is drawn at random.
    """

    tree: Tree
    space: Space
    parent: Node
    step: int
    intent: Intent
    metrics: Series
    completions: tuple[SampledCompletion, ...]
    candidates: tuple[tuple[int, int], ...]
    tried: tuple[Transition, ...]
    steps: int
    fraction_spent: float
    seed: int
    failed: Node | None = None
    feedback: str = ""


@dataclass(frozen=True, slots=True)
class Signal:
    """One number that speaks for a diagnosis, against the segment's own baseline."""

    metric: str
    baseline: float
    value: float
    first_step: int
    last_step: int


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A named pathology (FACTS.md) or "healthy"; `severity` 0..1; `text` one line quoting the numbers."""

    pathology: str
    severity: float
    text: str
    signals: tuple[Signal, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One question to an advisor, as it is logged (table agent_calls)."""

    role: str
    request: str
    response: str
    rationale: str
    milliseconds: float
    model: str = ""
    prompt_version: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    images: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """What came of it: `proposals` best first, at least one; every proposal carries its rationale."""

    advisor: str
    diagnoses: tuple[Diagnosis, ...]
    proposals: tuple[Transition, ...]
    calls: tuple[Call, ...] = field(default=())


class Advisor(ABC):
    """Conformance (tests/): proposals are valid in the space, none repeats a tried one, each rationale is not empty and
    quotes numbers of the evidence; the same evidence gives the same advice when the advisor is `deterministic`."""

    name: str
    deterministic: bool = False

    @abstractmethod
    def advise(self, evidence: Evidence) -> Advice:
        """Diagnose and propose. Blocking; called in a thread. Raises Fault when the advisor is not available."""


__all__ = [
    "Advice",
    "Advisor",
    "Call",
    "Configuration",
    "Diagnosis",
    "Evidence",
    "SampledCompletion",
    "Series",
    "Signal",
]

"""Advisors: what diagnoses a segment and proposes transitions. One interface for rules and for a language model.

The controller assembles the Evidence, calls `advise` in a thread, and refuses what breaks the rules of a proposal
(`violations`), as the bench does. An advisor never touches the store, the tree's state or the disk.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from engine.domain.space import Intent, Space, Transition
from engine.domain.tree import Node, Tree
from engine.errors import Fault

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
class PlotImage:
    """A plot of the evidence: `file` is its name relative to the run's directory, `png` its bytes."""

    file: str
    png: bytes


ASKED = tuple(intent for intent in Intent if intent is not Intent.CURRICULUM)
"""The intents that an advisor is asked about; the difficulty of a curriculum is the search's own."""


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
        others: metrics of the parent's siblings and of the best trajectory, by node id.
        reasons: why nodes were rejected, pruned or stopped, by node id. What a human wrote; foreign text.
        pictures: the same as plots, made only for an advisor that sees.
        suggested: what the rules propose here, where a model is to see it (advisor.shows_rules).
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
    others: Mapping[int, Series] = field(default_factory=dict)
    reasons: Mapping[int, str] = field(default_factory=dict)
    pictures: tuple[PlotImage, ...] = ()
    suggested: tuple[Transition, ...] = ()


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
    """A named pathology (docs/search.md) or "healthy"; `severity` 0..1; `text` one line quoting the numbers.

    `advisor` is who says so where that is not the advisor that gives the advice: "rules" for computed signals.
    """

    pathology: str
    severity: float
    text: str
    signals: tuple[Signal, ...] = ()
    advisor: str = ""


@dataclass(frozen=True, slots=True)
class AdvisorCall:
    """One question to an advisor, as it is logged (table agent_calls).

    `error` is "" or a kind and a line, "stall: …". `key` tells calls of one advisor apart while they are in progress,
    `node` is the node that the question is about.
    """

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
    key: str = ""
    node: int | None = None


@dataclass(frozen=True, slots=True)
class Advice:
    """What came of it: `proposals` best first, at least one; every proposal carries its rationale. `step`: up to which
    step of the segment the diagnoses look."""

    advisor: str
    diagnoses: tuple[Diagnosis, ...]
    proposals: tuple[Transition, ...]
    calls: tuple[AdvisorCall, ...] = field(default=())
    step: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """Where to branch from, chosen among the places the search offered."""

    node: int
    step: int
    rationale: str
    calls: tuple[AdvisorCall, ...] = ()


@dataclass(frozen=True, slots=True)
class StopAdvice:
    """Whether a running segment is stopped."""

    stop: bool
    rationale: str
    calls: tuple[AdvisorCall, ...] = ()


class AdviceFailed(Fault):
    """No usable answer came. `calls` are what was asked until then, the last one with its error."""

    def __init__(self, message: str, calls: tuple[AdvisorCall, ...] = ()) -> None:
        super().__init__(message)
        self.calls = calls


OPTIONAL_ROLES = ("analyst", "selector", "watcher")
"""What a model may be asked beside its proposals: `review`, `select` and `watch`."""
Listener = Callable[[AdvisorCall], None]
"""Told of a call when it begins and while its rationale is written; called in the advisor's thread, twice a second."""


class Advisor(ABC):
    """Conformance (`engine.testing.advisors`): proposals are valid in the space, none repeats a tried one, each
    rationale is not empty and quotes numbers of the evidence; the same evidence gives the same advice when
    `deterministic`."""

    name: str
    deterministic: bool = False
    slow: bool = False
    """An answer takes seconds: the accelerator must not wait for it."""
    sees: bool = False
    """Pictures are of use."""
    reason: str = ""
    """Why this advisor and no other, and what it cannot do: one line for the log and the screen."""
    listener: Listener | None = None

    @abstractmethod
    def advise(self, evidence: Evidence) -> Advice:
        """Diagnose and propose. Blocking; called in a thread. Raises Fault when the advisor is not available."""

    def review(self, evidence: Evidence) -> Advice | None:
        """Say what is wrong with a segment that has ended, without proposing; None when there is nothing to add.

        What was found is remembered for later advice. Raises Fault like `advise`.
        """
        return None

    def select(self, evidence: Evidence) -> Selection | None:
        """Choose the branch point among (parent, step) and the candidates; None leaves it to the search."""
        return None

    def watch(self, evidence: Evidence, doubt: str) -> StopAdvice | None:
        """Whether the running segment `evidence.parent` is stopped; `doubt` is the comparator's. None trusts that."""
        return None

    def cancel(self) -> None:  # noqa: B027 - nothing to cancel is the usual case
        """The run ends: whatever is being asked raises a Fault soon. From any thread."""


def shown_name(advisor: Advisor) -> str:
    """Who advises, as the header shows it: a model without sight gets tables and no plots."""
    blind = advisor.slow and not advisor.sees
    return f"{advisor.name} text-only" if blind else advisor.name


def violations(proposal: Transition, evidence: Evidence, *, repeated: bool = False) -> Sequence[str]:
    """What is wrong with a proposal: the place, the intent, a repeat unless it may be `repeated`, the rules of the
    space."""
    places = {(evidence.parent.id, evidence.step), *evidence.candidates}
    if (proposal.parent, proposal.step) not in places:
        return [f"#{proposal.parent} step {proposal.step} is not a checkpoint that was offered"]
    if proposal.intent is not evidence.intent:
        return [f"intent {proposal.intent}, wanted {evidence.intent}"]
    may_repeat = repeated or evidence.intent is Intent.REPAIR
    if not may_repeat and repeats(proposal, evidence.tree, evidence.space):
        return ["repeats a transition already tried from here"]
    return evidence.space.check_transition(evidence.tree[proposal.parent].configuration, proposal)


def repeats(proposal: Transition, tree: Tree, space: Space) -> bool:
    """Whether the same is in the tree already, below the same place."""
    tried = (child.transition for child in tree.children(proposal.parent) if child.transition)
    wanted = canonical(proposal, tree, space)
    return any(canonical(each, tree, space).repeats(wanted) for each in tried)


def canonical(proposal: Transition, tree: Tree, space: Space) -> Transition:
    """What is compared, trained and shown of a proposal; as it is where its parent is unknown."""
    if proposal.parent not in tree.nodes:
        return proposal
    parent = tree[proposal.parent]
    at_base, base_is_reference = parent.id == tree.root.id, tree.reference(parent.id) is None
    return space.canonical(parent.configuration, proposal, at_base=at_base, base_is_reference=base_is_reference)

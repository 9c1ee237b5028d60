"""Whether a proposal may be trained: at a place that was offered, of the wanted intent, no repeat, within the space.

Asked by whoever takes advice, the planner of a run and the bench alike, so that both hold an advisor to the same rules.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.advisors.base import Evidence
from engine.domain.space import Intent, Space, Transition
from engine.domain.tree import Tree


def violations(proposal: Transition, evidence: Evidence) -> Sequence[str]:
    """What is wrong with a proposal: the place, the intent, a repeat, the rules of the space."""
    places = {(evidence.parent.id, evidence.step), *evidence.candidates}
    if (proposal.parent, proposal.step) not in places:
        return [f"#{proposal.parent} step {proposal.step} is not a checkpoint that was offered"]
    if proposal.intent is not evidence.intent:
        return [f"intent {proposal.intent}, wanted {evidence.intent}"]
    if evidence.intent is not Intent.REPAIR and repeats(proposal, evidence.tree, evidence.space):
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
    return space.canonical(parent.configuration, proposal, at_base=parent.id == tree.root.id)

"""Where a run or a node stands, in words: what is awaited, what failed, and why a run reports the policy it reports.

Read by screens, panels, lists and exports. Pure values; foreign text in it is made harmless by whoever draws it.
"""

from __future__ import annotations

from engine.analysis.plain_grpo import PlainGRPO
from engine.domain.score import Score
from engine.words import counted
from llmzero_tui.format import plain, score
from llmzero_tui.values.nodes import NodeRow
from llmzero_tui.values.snapshot import EventRow, RunSnapshot

CAUSES = 3
"""The latest errors of a run that failed, as many as are shown at once."""
FAILED = ("failed", "crashed")


def failure_of(snapshot: RunSnapshot) -> tuple[str, str, tuple[EventRow, ...]] | None:
    """State and reason of a run that failed, with its latest errors, newest first; None for every other run."""
    run = snapshot.run
    if run.state not in FAILED:
        return None
    reason = run.reason or "the engine ended without a message"
    errors = [e for e in reversed(snapshot.events) if e.level == "error" and e.message != run.reason]
    return run.state, reason, tuple(errors[:CAUSES])


def without_training(snapshot: RunSnapshot, node: NodeRow | None) -> str:
    """Why there are no metrics and samples of a node."""
    if node is None:
        return "reading …"
    if node.parent is None:
        return "this is the base model: training starts from it"
    if node.state == "proposed":
        proposal = snapshot.proposal(node.id)
        waits = proposal is not None and proposal.waits
        return "not started: waits for your answer" if waits else "not started: starts when a worker is free"
    if node.state == "queued":
        return "not started: waits for a worker"
    if node.state == "running":
        doing = snapshot.run.doing(node.id) or "starting"
        return "in its first step" if doing == "first step" else f"before the first step: {doing}"
    if node.state == "interrupted":
        return "its engine ended before the first step: resume continues it"
    return "it ended before its first step"


def decision(policy: str, reranked: Score | None, leader: str, leader_reranked: Score | None) -> str:
    """ "#2 step 10 was selected with 0.812 [0.77, 0.85] (n 320) on steering and fresh validation prompts together; …";
    "" where nothing was picked so. `leader` is the best on the steering prompts alone, "" where that is the policy."""
    if reranked is None:
        return ""
    text = (
        f"{plain(policy, 120)} was selected with {measured(reranked)} on steering and fresh validation prompts together"
    )
    if leader_reranked is None:
        return text
    return f"{text}; {plain(leader, 120)}, the best on the steering prompts, has {measured(leader_reranked)}"


def yardstick(plain_grpo: PlainGRPO | None) -> str:
    """How plain GRPO, the default configuration's own branch, scored beside the reported policy."""
    if plain_grpo is None:
        return "plain GRPO: no segment trained the default configuration; `llmzero replay` does"
    told = (
        f"validation {measured(plain_grpo.validation)} after {counted(plain_grpo.steps, 'step')} (#{plain_grpo.node})"
    )
    if plain_grpo.steps == plain_grpo.policy_steps:
        return f"plain GRPO, the default configuration for as many steps: {told}"
    return (
        f"plain GRPO, the default configuration as far as it was trained here: {told}; "
        f"the policy has {plain_grpo.policy_steps}, `llmzero replay` trains both for as many"
    )


def measured(of: Score, where: str = "") -> str:
    """A score with its 95% interval and n: "0.812 [0.77, 0.85] (n 320)", with `where` "… (#2 step 10, n 320)"."""
    about = ", ".join(filter(None, [where, f"n {of.n}"]))
    return f"{score(of.value, *of.interval)} ({about})"

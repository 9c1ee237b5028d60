"""Why a run reports the policy that it reports, in one sentence: what the closing evaluations compared.

Said wherever the policy stands beside scores on the prompts that steer, on which another may lead. Pure words.
"""

from __future__ import annotations

from engine.domain.score import Score
from llmzero_tui.format import plain, score


def decision(policy: str, reranked: Score | None, leader: str, leader_reranked: Score | None) -> str:
    """ "#2 step 10 was selected with 0.812 [0.77, 0.85] (n 320) on steering and fresh validation prompts together; …";
    "" where nothing was picked so. `leader` is the best on the steering prompts alone, "" where that is the policy."""
    if reranked is None:
        return ""
    text = f"{plain(policy, 120)} was selected with {_told(reranked)} on steering and fresh validation prompts together"
    if leader_reranked is None:
        return text
    return f"{text}; {plain(leader, 120)}, the best on the steering prompts, has {_told(leader_reranked)}"


def _told(measured: Score) -> str:
    return f"{score(measured.value, *measured.interval)} (n {measured.n})"

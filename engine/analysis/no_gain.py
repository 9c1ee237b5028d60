"""What a run has learnt in which nothing beats the base: no learning signal, or no more than noise. Read by the
controller for the reason of the end, and by the face.

It only reads. Numbers stand with their intervals.
"""

from __future__ import annotations

from engine.analysis.reported import read_header, reported
from engine.analysis.rows import Rows
from engine.domain.policy import steering_prompts
from engine.domain.score import Score, score_of

SEGMENTS = "SELECT count(DISTINCT node_id) AS segments FROM metrics"
REWARDS = """
SELECT min(value) FILTER (name = 'reward') AS low, max(value) FILTER (name = 'reward') AS high,
    max(value) FILTER (name = 'reward_std') AS spread, min(value) FILTER (name = 'frac_reward_zero_std') AS alike
FROM metrics WHERE name IN ('reward', 'reward_std', 'frac_reward_zero_std')
"""
TRAINED = """
SELECT '#' || node_id || ' step ' || step AS policy, n, greedy, sampled, outcomes FROM checkpoints
WHERE node_id > 0 ORDER BY n DESC, value DESC, node_id, step DESC LIMIT 1
"""


def no_gain(rows: Rows) -> str:
    """In one line; "" while nothing was trained, and where the run reports something better than its base."""
    best = reported(read_header(rows))
    if best.kind not in ("", "base") or not rows(SEGMENTS)[0]["segments"]:
        return ""
    return learnt(rows)


def learnt(rows: Rows) -> str:
    """In one line, of a run that reports its base."""
    return no_signal(rows) or _no_better(rows, reported(read_header(rows)).base_validation)


def no_signal(rows: Rows) -> str:
    """GRPO learns from rewards that differ within a group of completions: whether there were none."""
    seen = rows(REWARDS)[0]
    low, high = seen["low"], seen["high"]
    if low is not None and low == high and not seen["spread"]:
        more = ": nothing is left to learn" if low == 1 else ""
        return f"no learning signal: every completion of every segment got reward {low:g}{more}"
    if seen["alike"] is not None and seen["alike"] >= 1:
        return "no learning signal: in every step, all completions of one prompt got the same reward"
    return ""


def _no_better(rows: Rows, base: Score | None) -> str:
    segments = rows(SEGMENTS)[0]["segments"]
    count = f"{segments} segment" if segments == 1 else f"{segments} segments"
    row = next(iter(rows(TRAINED)), None)
    best = score_of(row, "", steering_prompts(row["n"])) if row is not None else None
    if row is None or best is None or base is None:
        return f"{count}, none of them scored"
    low, high = best.minus(base).interval
    verdict = ": within noise" if low <= 0 <= high else ""
    return f"{count}, best {_told(best)} ({row['policy']}) against base {_told(base)} on validation{verdict}"


def _told(score: Score) -> str:
    low, high = score.interval
    return f"{score.value:.3f} [{low:.3f}, {high:.3f}]"

"""The brake: whether the first segments gave GRPO anything to learn from, before the whole budget is spent on nothing.

GRPO learns from rewards that differ within a group of completions. One group that differs, in any step of any segment,
releases the brake for good: a slow starter is never stopped.
"""

from __future__ import annotations

from engine.analysis.no_gain import no_signal
from engine.controller.run_state import RunState
from engine.domain.tree import Node
from engine.run.config import RunConfig
from engine.store.errors import StoreFault
from engine.words import counted

SEGMENTS = 2
"""Segments that must have ended since this engine began; a run with one root only needs one."""
COMPLETIONS = 500
"""So many completions at least: of a policy that is right once in a hundred, 99.3% of the tries would have shown it."""
SIGNALS = "SELECT count(*) AS steps, min(value) AS least FROM metrics WHERE name = 'frac_reward_zero_std'"


class NoSignalBrake:
    """Of one run, in the controller's event loop. After a resume it waits for new segments before it says anything."""

    def __init__(self, config: RunConfig, run: RunState) -> None:
        self._config = config
        self._run = run
        self._mode = config.search.no_signal
        self._earlier = {node.id for node in self._trained()}
        self._looked = 0
        self._released = self._mode == "go-on"

    def pauses(self, gate: str) -> bool:
        """Whether a human is asked, by the mode of the gate as it is now, instead of ending the run."""
        return self._mode == "pause" or (self._mode == "auto" and gate != "auto")

    def missing_signal(self) -> str:
        """One line when no group of any segment had a signal, and enough were seen; "" otherwise. Says so once."""
        if self._released:
            return ""
        new = [node for node in self._trained() if node.id not in self._earlier]
        completions = self._config.training.batch_size * sum(node.steps for node in new)
        enough = min(SEGMENTS, self._config.search.roots)
        if len(new) < enough or completions < COMPLETIONS or len(new) == self._looked:
            return ""
        try:
            self._run.flush()  # a signal in rows that are still on their way must not be missed
        except StoreFault:
            return ""  # the run pauses for that
        self._looked = len(new)
        row = self._run.rows(SIGNALS)[0]
        seen = no_signal(self._run.rows) if row["steps"] and row["least"] >= 1 else ""
        self._released = bool(row["steps"])  # there was a signal, or it is told now
        return f"{seen} ({counted(len(new), 'segment')}, {completions:,} completions{self._base()})" if seen else ""

    def _base(self) -> str:
        for checkpoint in self._run.tree.root.checkpoints:
            score = checkpoint.score
            return f"; the base answers {score.sampled} of {score.n} validation prompts correctly at T=1"
        return ""

    def remedy(self) -> str:
        """What to do, in one line."""
        checkpoints = self._run.tree.root.checkpoints
        solved = bool(checkpoints) and checkpoints[0].score.sampled == checkpoints[0].score.n
        what = "use harder prompts" if solved else "use easier prompts, rewards for partial success or a stronger base"
        return f'{what}; search.no_signal = "go-on" trains anyway'

    def _trained(self) -> list[Node]:
        """Segments that are over and came to a step."""
        return [node for node in self._run.tree if node.transition and node.steps and not node.state.in_flight]

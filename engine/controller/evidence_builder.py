"""Gathers the evidence of one decision: the tree, curves, rollouts, and for an advisor that sees the plots, too.

Asked by the planner and by the reviews; reads the store in threads and writes nothing but plots in the run's directory.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from engine.advisors.base import Evidence, PlotImage, SampledCompletion, Series
from engine.advisors.evidence import compared
from engine.controller.run_state import RunState
from engine.domain.space import Space
from engine.domain.tree import Node, NodeState, Tree
from engine.search.base import Expansion

_log = logging.getLogger(__name__)

COMPLETIONS = 12
"""Rollouts an advisor may choose the telling ones from."""


class EvidenceBuilder:
    """Evidence for one run. `draws`: with plots."""

    def __init__(self, run: RunState, space: Space, *, seed: int, draws: bool) -> None:
        self._run = run
        self._space = space
        self._seed = seed
        self._draws = draws

    async def look(self, expansion: Expansion, fraction_spent: float, *, models: bool = True) -> Evidence:
        """All an advisor may weigh for this expansion, as the run is now. `models` False where only the rules look,
        which read no plots and no curves of other segments."""
        tree = self._run.tree.copy()
        parent = tree[expansion.parent]
        evidence = Evidence(
            tree=tree, space=self._space, parent=parent, step=expansion.step, intent=expansion.intent,
            metrics=await asyncio.to_thread(self._run.series, parent.id, expansion.step),
            completions=await asyncio.to_thread(self._completions, parent, expansion.step),
            candidates=expansion.candidates,
            tried=tuple(child.transition for child in tree.children(parent.id) if child.transition),
            steps=expansion.steps, fraction_spent=fraction_spent, seed=self._seed + len(tree),
            failed=None if expansion.failed is None else tree[expansion.failed],
            others=await asyncio.to_thread(self._others, tree, parent) if models else {}, reasons=self._reasons(tree),
        )  # fmt: skip
        if not (models and self._draws) or not (evidence.metrics or len(tree) > 2):
            return evidence
        return await asyncio.to_thread(self._with_plots, evidence)

    def _reasons(self, tree: Tree) -> dict[int, str]:
        """Why nodes were rejected, pruned or stopped."""
        ended = (node.id for node in tree if node.pruned or node.state in (NodeState.REJECTED, NodeState.STOPPED))
        return {node_id: reason for node_id in ended if (reason := self._run.reasons.get(node_id, ""))}

    def _others(self, tree: Tree, parent: Node) -> dict[int, Series]:
        """Curves of the siblings and of the best trajectory."""
        return {node_id: self._run.series(node_id, tree[node_id].planned_steps) for node_id in compared(tree, parent)}

    def _with_plots(self, evidence: Evidence) -> Evidence:
        """The same with its plots, which are kept under segments/<node>/plots/."""
        from engine.advisors import plots

        directory = self._run.directory.segment(evidence.parent.id) / "plots"
        sheets = plots.sheets(evidence)
        names = ("curves", "run")[-len(sheets) :] if sheets else ()
        pictures = []
        try:
            directory.mkdir(parents=True, exist_ok=True)
            for name, png in zip(names, sheets, strict=True):
                path = directory / f"step{evidence.step}-{name}-{len(evidence.tree)}.png"
                path.write_bytes(png)
                pictures.append(PlotImage(self._run.relative(path), png))
        except OSError as error:  # a full disk: the advisor reads the tables alone
            _log.warning("no plots of #%d: %s", evidence.parent.id, error)
            return evidence
        return replace(evidence, pictures=tuple(pictures))

    def _completions(self, parent: Node, last_step: int) -> tuple[SampledCompletion, ...]:
        rows = self._run.rows(
            "SELECT step, prompt, completion, answer, reward, correct, truncated FROM completions "
            "WHERE node_id = ? AND step <= ? AND split IS DISTINCT FROM 'validation' ORDER BY seq DESC LIMIT ?",
            (parent.id, last_step, COMPLETIONS),
        )
        return tuple(SampledCompletion(**row) for row in rows)

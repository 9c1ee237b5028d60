"""The race of the roots: who is dropped after which segment, who trains next, who becomes the main branch.

Only what clearly trails the best root run, or the base after one segment, is dropped. A slow starter that was dropped
may be revived when the main branch stalls (llmzero.py). Reads a look at the tree; decides nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.domain.score import Score
from engine.domain.tree import Node
from engine.search.lineage import Lineage
from engine.words import counted


@dataclass(frozen=True, slots=True)
class RootRace:
    """How the race stands.

    Attributes:
        survivors: root runs (children of the root) that are still in it.
        winner: the root run that goes on; None while undecided. runner_up: the second best, which may be revived.
        next: the end of the root run that has to train on now, and why; None when those are in flight.
        segments: after so many segments of each the race was decided; 0 without one.
    """

    survivors: tuple[Node, ...]
    winner: Node | None = None
    runner_up: Node | None = None
    next: Node | None = None
    reason: str = ""
    segments: int = 0


def standing(lineage: Lineage, segments: int, drop_errors: float) -> RootRace:
    """Hold the root runs against each other after 1, 2, … `segments` segments.

    Every root must have begun. A root run that cannot go on (stopped, pruned, its continuation refused) leaves the race
    unless it is the last.
    """
    continuations = {n.id: lineage.continuation(n) for n in lineage.root_runs}
    ended = {node_id: lineage.ended(continuation) for node_id, continuation in continuations.items()}
    survivors, runner, raced = list(lineage.root_runs), None, 0
    for rung in range(1, segments + 1):
        able = [n for n in survivors if len(ended[n.id]) >= rung or _may_go_on(lineage, continuations[n.id][-1])]
        if len(able) < 2:
            survivors = able or _best_of(survivors, ended)
            break
        survivors = able
        late = [n for n in survivors if len(ended[n.id]) < rung]
        if late:
            return _waiting(lineage, survivors, late, rung, continuations, ended, drop_errors)
        ranked = sorted(survivors, key=lambda n: (-_at(ended[n.id], rung).value, n.id))
        survivors, runner, raced = _kept(lineage, ranked, ended, rung, drop_errors), ranked[1], rung
    if not survivors or not ended[survivors[0].id]:
        return RootRace(tuple(survivors))
    winner = survivors[0]
    return RootRace(tuple(survivors), winner, runner if runner is not winner else None, segments=raced)


def _may_go_on(lineage: Lineage, end: Node) -> bool:
    return end.state.in_flight or (lineage.grows(end) and not lineage.continuation_closed(end))


def _best_of(root_runs: Sequence[Node], ended: Mapping[int, Sequence[Node]]) -> list[Node]:
    def value(root_run: Node) -> float:
        return max((n.last.score.value for n in ended[root_run.id] if n.last), default=-1.0)

    return sorted(root_runs, key=lambda n: (-value(n), n.id))


def _at(ended: Sequence[Node], rung: int) -> Score:
    """The score at the end of a root run's segment number `rung`."""
    last = ended[rung - 1].last
    assert last is not None  # ended segments have a checkpoint, see Lineage.ended
    return last.score


def _kept(
    lineage: Lineage, ranked: Sequence[Node], ended: Mapping[int, Sequence[Node]], rung: int, drop_errors: float
) -> list[Node]:
    """Who stays after a rung, best first."""
    base, best = lineage.tree.root.last, _at(ended[ranked[0].id], rung)
    kept = [n for n in ranked if not _at(ended[n.id], rung).trails(best, drop_errors)]
    if rung > 1:
        return kept[:2]
    return [n for n in kept if base is None or not _at(ended[n.id], 1).trails(base.score, drop_errors)] or kept


def _waiting(
    lineage: Lineage,
    survivors: Sequence[Node],
    late: Sequence[Node],
    rung: int,
    continuations: Mapping[int, Sequence[Node]],
    ended: Mapping[int, Sequence[Node]],
    drop_errors: float,
) -> RootRace:
    """Some root runs have not come to this rung: train the one furthest behind, or run ahead with one that is not
    behind those that have."""
    free = [n for n in late if not continuations[n.id][-1].state.in_flight]
    if free:
        root_run = min(free, key=lambda n: (len(continuations[n.id]), n.id))
        reason = (
            f"{counted(len(survivors), 'root run')} are compared: #{root_run.id} trains to the end of segment {rung}"
        )
        return RootRace(tuple(survivors), next=continuations[root_run.id][-1], reason=reason)
    known = sorted((n for n in survivors if n not in late), key=lambda n: (-_at(ended[n.id], rung).value, n.id))
    for root_run in _kept(lineage, known, ended, rung, drop_errors) if known else ():
        end = continuations[root_run.id][-1]
        if len(continuations[root_run.id]) == rung and _may_go_on(lineage, end):
            trains = "trains" if len(late) == 1 else "train"
            reason = f"#{root_run.id} continues while {counted(len(late), 'root run')} still {trains}: it is not behind"
            return RootRace(tuple(survivors), next=end, reason=reason)
    return RootRace(tuple(survivors))

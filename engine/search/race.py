"""The race of the roots: who is dropped after which segment, who trains next, who goes on as the line.

Slow starters win often (FACTS.md), so only what is worse than the base falls after one segment, two always reach the
end of the second, and later only what trails clearly is dropped. Reads a look at the tree; decides nothing else.
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
        survivors: lanes (children of the root) that are still in it.
        winner: the lane that goes on; None while undecided. runner_up: the lane that stays parked.
        next: the end of the lane that has to train on now, and why; None when those are in flight.
    """

    survivors: tuple[Node, ...]
    winner: Node | None = None
    runner_up: Node | None = None
    next: Node | None = None
    reason: str = ""


def standing(lines: Lineage, segments: int, drop_errors: float) -> RootRace:
    """Hold the lanes against each other after 1, 2, … `segments` segments.

    Every root must have begun. A lane that cannot go on (stopped, pruned, its continuation refused) leaves the race
    unless it is the last.
    """
    chains = {n.id: lines.chain(n) for n in lines.lanes}
    ended = {node_id: lines.ended(chain) for node_id, chain in chains.items()}
    survivors, runner = list(lines.lanes), None
    for rung in range(1, segments + 1):
        able = [n for n in survivors if len(ended[n.id]) >= rung or _may_go_on(lines, chains[n.id][-1])]
        if len(able) < 2:
            survivors = able or _best_of(survivors, ended)
            break
        survivors = able
        late = [n for n in survivors if len(ended[n.id]) < rung]
        if late:
            return _waiting(lines, survivors, late, rung, chains, drop_errors)
        ranked = sorted(survivors, key=lambda n: (-_at(ended[n.id], rung).value, n.id))
        survivors, runner = _kept(lines, ranked, ended, rung, drop_errors), ranked[1]
    if not survivors or not ended[survivors[0].id]:
        return RootRace(tuple(survivors))
    return RootRace(tuple(survivors), survivors[0], runner)


def _may_go_on(lines: Lineage, end: Node) -> bool:
    return end.state.in_flight or (lines.grows(end) and not lines.keep_is_closed(end))


def _best_of(lanes: Sequence[Node], ended: Mapping[int, Sequence[Node]]) -> list[Node]:
    def value(lane: Node) -> float:
        return max((n.last.score.value for n in ended[lane.id] if n.last), default=-1.0)

    return sorted(lanes, key=lambda n: (-value(n), n.id))


def _at(ended: Sequence[Node], rung: int) -> Score:
    """The score at the end of a lane's segment number `rung`."""
    last = ended[rung - 1].last
    assert last is not None  # ended segments have a checkpoint, see Lines.ended
    return last.score


def _kept(
    lines: Lineage, ranked: Sequence[Node], ended: Mapping[int, Sequence[Node]], rung: int, drop_errors: float
) -> list[Node]:
    """Who stays after a rung, best first."""
    base, best = lines.tree.root.last, _at(ended[ranked[0].id], rung)
    if rung == 1:
        good = [n for n in ranked if base is None or not _at(ended[n.id], 1).trails(base.score, drop_errors)]
        return good if len(good) >= 2 else list(ranked[:2])
    if rung == 2:
        return list(ranked[:2])
    return [n for n in ranked if not _at(ended[n.id], rung).trails(best, drop_errors)]


def _waiting(
    lines: Lineage,
    survivors: Sequence[Node],
    late: Sequence[Node],
    rung: int,
    chains: Mapping[int, Sequence[Node]],
    drop_errors: float,
) -> RootRace:
    """Some lanes have not come to this rung: train the one furthest behind, or run ahead with one sure to stay."""
    free = [n for n in late if not chains[n.id][-1].state.in_flight]
    if free:
        lane = min(free, key=lambda n: (len(chains[n.id]), n.id))
        reason = f"{counted(len(survivors), 'start')} are compared: #{lane.id} trains to the end of its segment {rung}"
        return RootRace(tuple(survivors), next=chains[lane.id][-1], reason=reason)
    known = [n for n in survivors if n not in late]
    for lane in sorted(known, key=lambda n: (-_at(chains[n.id], rung).value, n.id)):
        end = chains[lane.id][-1]
        if len(chains[lane.id]) == rung and _sure(lines, lane, known, late, rung, chains, drop_errors):
            reason = f"#{lane.id} stays whatever the {len(late)} still training score: it trains ahead"
            return RootRace(tuple(survivors), next=end, reason=reason)
    return RootRace(tuple(survivors))


def _sure(
    lines: Lineage,
    lane: Node,
    known: Sequence[Node],
    late: Sequence[Node],
    rung: int,
    chains: Mapping[int, Sequence[Node]],
    drop_errors: float,
) -> bool:
    """Whether a lane stays after this rung whatever those in flight will score."""
    score, base = _at(chains[lane.id], rung), lines.tree.root.last
    if not _may_go_on(lines, chains[lane.id][-1]):
        return False
    if rung == 1:
        return base is None or not score.trails(base.score, drop_errors)
    better = sum(_at(chains[n.id], rung).value > score.value for n in known)
    return rung == 2 and better + len(late) < 2

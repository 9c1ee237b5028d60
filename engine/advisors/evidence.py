"""The evidence of one decision as compact text: the same tables for every model that is asked.

The numbers are read from the Evidence and from the curves of other segments; nothing is judged here beyond the named
signals of `diagnosis`. Rollouts are foreign text and appear only as quoted JSON strings between fences.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence

from engine.advisors.base import Diagnosis, Evidence, Series
from engine.advisors.diagnosis import short
from engine.advisors.evidence_sections import PARTS, completions, fitted, suggestions, summarize
from engine.advisors.hostile import one_line, quote
from engine.domain.score import Score
from engine.domain.space import ParameterKind, Space, Transition, format_value
from engine.domain.tree import Node, Tree

METRICS = (
    "reward", "reward_std", "entropy", "kl", "completions/mean_length", "completions/clipped_ratio",
    "frac_reward_zero_std", "dynamic_sampling/zero_std", "grad_norm", "loss", "clip_ratio/region_mean",
    "sampling/sampling_logp_difference/mean", "step_seconds",
)  # fmt: skip
"""Shown where the segment has them, in this order; others would cost tokens and say little."""

SIBLINGS = 6
TRIED = 12
NODES = 8
CHECKPOINTS = 12
STAGES = 5
BRANCH = 24
"""At most so many lines, or columns, of each sort: the most telling ones, or the latest."""
REASON = 160
"""Characters of what a human, or the engine, said of a node."""


def compared(tree: Tree, parent: Node) -> tuple[int, ...]:
    """Nodes whose curves stand beside the parent's: its siblings, and the best trajectory; of a long one the last
    segments that began before the parent's end."""
    siblings: list[int] = []
    if (here := parent.transition) is not None:
        beside = (child for child in tree.children(here.parent) if child.id != parent.id)
        siblings = [child.id for child in beside if child.transition and child.transition.step == here.step]
    best = [node for node in best_path(tree) if node.transition and node.id != parent.id]
    if len(best) > BRANCH:
        best = [node for node in best if node.start_steps < parent.total_steps][-BRANCH:]
    return tuple(dict.fromkeys([*siblings[-SIBLINGS:], *(node.id for node in best)]))


def best_path(tree: Tree) -> tuple[Node, ...]:
    """The trajectory to the incumbent; the root alone when nothing is scored."""
    scored = any(node.checkpoints for node in tree)
    return tree.path(tree.best()[0].id) if scored else (tree.root,)


def describe(
    evidence: Evidence,
    diagnoses: Sequence[Diagnosis] = (),
    *,
    ask: str = "",
    head: str = "",
    reading: str = "",
    characters: int = 0,
    without: Collection[str] = (),
) -> str:
    """Everything an advisor may weigh, as sections of text; sections without content are left out.

    Args:
        diagnoses: the computed signals.
        ask: what is wanted, under "Decision". head: stands there instead of the place to branch from.
        reading: what the analyst said of the segment.
        characters: the text is at most so long, see `fitted`; 0 is no limit.
        without: names of PARTS that are left out.
    """
    sections = {
        "The analyst's reading": reading,
        "Decision": "\n".join(filter(None, (ask, head or decision(evidence)))),
        "Metrics of the segment": metrics_table(evidence),
        "Named signals, computed from the metrics": signals(diagnoses),
        "Checkpoints with validation scores": checkpoints_table(evidence),
        "Trajectory from the base to here": trajectory_table(evidence),
        "Tried from here, and the results": tried_table(evidence),
        "What the rules propose": suggestions(evidence),
        "Best segments of the whole search": nodes_table(evidence),
        "How parameters moved in this run, and what validation did": history_table(evidence),
        "Rollouts of the segment": completions(evidence),
        "Rejected earlier": one_line(evidence.feedback, 1500),
    }
    for part in PARTS.keys() & without:
        del sections[PARTS[part]]
    return fitted(sections, characters)


def decision(evidence: Evidence) -> str:
    """Where the search stands and what is to be decided."""
    parent, tree = evidence.parent, evidence.tree
    lines = [
        f"Budget spent: {evidence.fraction_spent:.0%}. The child will train {evidence.steps} GRPO steps.",
        f"Branch point: {place(parent, evidence.step)}, {parent.start_steps + evidence.step} steps from the base.",
    ]
    score = score_at(parent, evidence.step)
    if score is not None:
        lines.append(f"Validation there: {score_text(score)}.")
    if parent.transition is not None:
        lines.append(f"Segment #{parent.id}: {parent.state}, {parent.steps} of {parent.planned_steps} steps trained.")
    if any(node.checkpoints for node in tree):
        best, checkpoint = tree.best()
        lines.append(f"Best so far: {place(best, checkpoint.step)}, validation {score_text(checkpoint.score)}.")
    if evidence.failed is not None:
        failed = evidence.failed
        lines.append(
            f"To repair: #{failed.id} ended as {failed.state} after {failed.steps} steps from this checkpoint."
        )
    return "\n".join(lines)


# ---- metrics ----------------------------------------------------------------------------------------------------


def metrics_table(evidence: Evidence) -> str:
    """One line a metric: against its own start, against siblings and the best trajectory at the same total step."""
    rows, others = [], evidence.others
    best = [node.id for node in best_path(evidence.tree)]
    siblings = sorted(others.keys() - best)
    for name in METRICS:
        points = evidence.metrics.get(name, ())
        summary = summarize(points)
        if summary is None:
            continue
        last = points[-1][0]
        until = evidence.parent.start_steps + last
        width = max(1, round(len(points) / 5))
        rows.append((
            name, short(summary.start), short(summary.end), change(summary.start, summary.end), signed(summary.slope),
            f"{short(summary.low[0])} @{summary.low[1]}", f"{short(summary.high[0])} @{summary.high[1]}",
            at_step(evidence.tree, others, siblings, name, until, width),
            at_step(evidence.tree, others, best, name, until, width),
            str(summary.broken) if summary.broken else "",
        ))  # fmt: skip
    if not rows:
        return ""
    heads = ("metric", "start", "end", "change", "per 10 steps", "lowest", "highest", "siblings", "best branch", "NaN")
    first = f"#{evidence.parent.id}, steps 1 to {evidence.step}; start and end are means of the first and last fifth."
    return f"{first}\n{table(heads, rows)}"


def at_step(
    tree: Tree, others: Mapping[int, Series], node_ids: Iterable[int], name: str, until: int, width: int
) -> str:
    """Means of a metric in other segments over the `width` steps that end at total step `until`, "#5 0.31".

    A branch that ends before gives its own end, and says at which step.
    """
    means = []
    for node_id in node_ids:
        start = tree[node_id].start_steps
        points = [
            (start + step, value)
            for step, value in others.get(node_id, {}).get(name, ())
            if value is not None and math.isfinite(value) and start + step <= until
        ]
        if points and (last := points[-1][0]) > start:
            values = [value for step, value in points if step > last - width]
            shorter = "" if last > until - width else f" (step {last})"
            means.append((last, f"#{node_id} {short(statistics.fmean(values))}{shorter}"))
    newest = max((last for last, _ in means), default=0)
    return " ".join([text for last, text in means if last > newest - width][-3:])


def change(before: float, after: float) -> str:
    """ "−61%", or "" where a ratio says nothing."""
    if before == 0 or abs(after / before - 1) >= 10:
        return ""
    return f"{round(100 * (after / before - 1)):+d}%".replace("-", "−")


def signed(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{short(abs(value))}"


def signals(diagnoses: Sequence[Diagnosis]) -> str:
    return "\n".join(f"- {d.pathology} (severity {d.severity:.1f}): {one_line(d.text, 400)}" for d in diagnoses)


# ---- checkpoints, trajectory, siblings ----------------------------------------------------------------------------


def place(node: Node, step: int) -> str:
    """ "#3 step 50", or "the base model"."""
    return "the base model (#0 step 0)" if node.transition is None else f"#{node.id} step {step}"


def score_at(node: Node, step: int) -> Score | None:
    return next((c.score for c in node.checkpoints if c.step == step), None)


def score_text(score: Score) -> str:
    """ "0.31 [0.26 to 0.36], greedy 0.35, sampled 0.29, n 256"."""
    return (
        f"{short(score.value)} {interval(score)}, greedy {short(score.greedy / score.n)}, "
        f"sampled {short(score.sampled / score.n)}, n {score.n}"
    )


def interval(score: Score) -> str:
    """95% interval of the steering value."""
    low, high = score.interval
    return f"[{short(low)} to {short(high)}]"


def checkpoints_table(evidence: Evidence) -> str:
    """The branch points on offer, and the other checkpoints of the parent."""
    offered = [(evidence.parent.id, evidence.step), *evidence.candidates]
    own = [(evidence.parent.id, c.step) for c in evidence.parent.checkpoints]
    rows = []
    places = list(dict.fromkeys([*offered, *own]))
    for node_id, step in [*places[: len(set(offered))], *places[len(set(offered)) :][-CHECKPOINTS:]]:
        node = evidence.tree[node_id]
        score = score_at(node, step)
        if score is None:
            continue
        mark = "here" if (node_id, step) == offered[0] else "offered" if (node_id, step) in offered else ""
        rows.append((
            f"#{node_id}", str(step), str(node.start_steps + step), short(score.value), interval(score),
            short(score.greedy / score.n), short(score.sampled / score.n), str(score.n), mark,
        ))  # fmt: skip
    heads = ("node", "step", "total steps", "validation", "95%", "greedy", "sampled", "n", "")
    return table(heads, rows) if rows else ""


def trajectory_table(evidence: Evidence) -> str:
    """Every parameter along the path to the parent, at the base and the latest stages, and the scores at their ends."""
    path = evidence.tree.path(evidence.parent.id)
    path = path if len(path) <= STAGES + 1 else (path[0], *path[-STAGES:])
    heads = ("parameter", "kind", "allowed", *(f"#{node.id}" for node in path))
    rows = []
    for p in evidence.space:
        allowed = f"{p.allowed}; only rises" if p.rising else p.allowed
        rows.append((p.name, str(p.kind), allowed, *(_value(node, p.name) for node in path)))
    rows.append(("adam", "", "keep, reset", *(str(n.transition.optimizer) if n.transition else "" for n in path)))
    rows.append(("reference", "", "base, branch point", *(_reference(n.transition) for n in path)))
    rows.append(("steps trained", "", "", *(str(node.steps) for node in path)))
    rows.append(("validation at its end", "", "", *(_last(node) for node in path)))
    return table(heads, rows)


def _value(node: Node, name: str) -> str:
    return format_value(node.configuration[name]) if name in node.configuration else ""


def _reference(transition: Transition | None) -> str:
    return str(transition.reference) if transition else ""


def _last(node: Node) -> str:
    return short(node.last.score.value) if node.last else ""


def tried_table(evidence: Evidence) -> str:
    """Children of the parent: what they changed, how they ended. A repeat of one is refused."""
    children = [child for child in evidence.tree.children(evidence.parent.id) if child.transition][-TRIED:]
    heads = ["node", "from step", "changes", "adam", "reference", "state", "validation", "gain"]
    if any(child.id in evidence.reasons for child in children):
        heads.append("why")
    return table(heads, [_child(evidence, child) for child in children]) if children else ""


def _child(evidence: Evidence, child: Node) -> tuple[str, ...]:
    transition = child.transition
    if transition is None:
        raise ValueError(f"#{child.id} is the root, and nobody's child")
    return (
        f"#{child.id}", str(transition.step), changes_text(transition), str(transition.optimizer),
        str(transition.reference), str(child.state), _last(child), gain_text(evidence.tree, child),
        quote(reason, REASON) if (reason := evidence.reasons.get(child.id)) else "",
    )  # fmt: skip


def changes_text(transition: Transition) -> str:
    """ "learning_rate 1e-4, beta 0", or "none (continue)"."""
    given = ", ".join(f"{one_line(n, 40)} {format_value(v)}" for n, v in transition.changes.items())
    return given or "none (continue)"


def before_and_after(tree: Tree, node: Node) -> tuple[Score, Score] | None:
    """Validation where a segment began and at its end; None while one of them is unknown."""
    if node.transition is None or node.last is None:
        return None
    before = score_at(tree[node.transition.parent], node.transition.step)
    return None if before is None else (before, node.last.score)


def gain(tree: Tree, node: Node) -> float | None:
    """Validation at a segment's end minus that where it began; None while one of them is unknown."""
    ends = before_and_after(tree, node)
    return None if ends is None else ends[1].value - ends[0].value


def gain_text(tree: Tree, node: Node) -> str:
    """What a segment gained with its 95% interval, "+0.05 [+0.01 to +0.09]"; "" while it is unknown."""
    ends = before_and_after(tree, node)
    if ends is None:
        return ""
    gained = ends[1].minus(ends[0])
    low, high = gained.interval
    return f"{signed(gained.value)} [{signed(low)} to {signed(high)}]"


def nodes_table(evidence: Evidence) -> str:
    """The best segments so far, wherever they are, with their configurations' differences from their parents."""
    trained = [(n, n.best, n.transition) for n in evidence.tree if n.transition and n.best]
    trained.sort(key=lambda each: (-each[1].score.value, each[0].id))
    rows = [
        (f"#{node.id}", f"#{node.parent}", str(best.step), short(best.score.value), interval(best.score),
         gain_text(evidence.tree, node), changes_text(transition))
        for node, best, transition in trained[:NODES]
    ]  # fmt: skip
    heads = ("node", "parent", "best step", "validation", "95%", "gain", "changes")
    return table(heads, rows) if len(rows) > 1 else ""


# ---- the prior: does capacity accumulate, does regularization oscillate? -------------------------------------------


def history_table(evidence: Evidence) -> str:
    """For every parameter that moved: how often up and down, and the mean gain of validation that followed; for a
    category how often it changed, in the place of up."""
    moves = _moves(evidence.space, evidence.tree)
    rows = []
    for parameter in evidence.space:
        ups, downs = moves.get((parameter.name, True), []), moves.get((parameter.name, False), [])
        if not ups and not downs:
            continue
        name = f"{parameter.name} (changed)" if parameter.categorical else parameter.name
        rows.append((
            name, str(parameter.kind), *_mean_gain(ups), *_mean_gain(downs),
            " → ".join(_line(best_path(evidence.tree), parameter.name)),
        ))  # fmt: skip
    if not rows:
        return ""
    kept = _mean_gain([g for n in evidence.tree if n.transition and not n.transition.changes
                       and (g := gain(evidence.tree, n)) is not None])  # fmt: skip
    heads = ("parameter", "kind", "raised", "mean gain", "lowered", "mean gain", "values on the best branch")
    note = f"Segments that continued unchanged: {kept[0]}, mean gain {kept[1] or 'unknown'}."
    sorts = ", ".join(p.name for p in evidence.space if p.kind is ParameterKind.CAPACITY)
    return f"{table(heads, rows)}\n{note}{f' Capacity parameters: {sorts}.' if sorts else ''}"


def _moves(space: Space, tree: Tree) -> dict[tuple[str, bool], list[float]]:
    """(parameter, whether raised) → gains of the segments that did it. First segments have nothing to move from."""
    gains: dict[tuple[str, bool], list[float]] = {}
    for node in tree:
        gained = gain(tree, node)
        if gained is None or node.transition is None or node.transition.parent == tree.root.id:
            continue
        before = tree[node.transition.parent].configuration
        for name, value in node.transition.changes.items():
            if name in before and name in space and value != before[name]:
                raised = space[name].categorical or space[name].rank(value) > space[name].rank(before[name])
                gains.setdefault((name, raised), []).append(gained)
    return gains


def _mean_gain(gains: Sequence[float]) -> tuple[str, str]:
    return (f"{len(gains)}×", signed(statistics.fmean(gains)) if gains else "")


def _line(path: Sequence[Node], name: str) -> list[str]:
    """A parameter's latest values along a path, repeats left out."""
    values = [format_value(n.configuration[name]) for n in path if name in n.configuration and n.transition]
    return [v for i, v in enumerate(values) if i == 0 or v != values[i - 1]][-STAGES:]


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns with | between them: few tokens, and read well by models and people."""
    return "\n".join(" | ".join(cells).rstrip(" |") for cells in (heads, *rows))

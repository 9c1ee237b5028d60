"""A proposal in words and tables: why it was made, where it would branch from and what was tried there, every value.

Pure drawing for the decision screen: values in, Text out. Everything in it is foreign text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engine.domain.parameters import ParameterKind
from engine.words import pathology_name
from llmzero_tui.format import MISSING, bar, fit, parameter, plain, score, share
from llmzero_tui.values.proposal_detail import CheckpointScore, ProposalDetail
from llmzero_tui.values.snapshot import DiagnosisRow, Row, StageRow, Values
from llmzero_tui.widgets.appearance import Appearance
from llmzero_tui.widgets.blocks import curve

HISTORY_CELL = 8
LEAST_HISTORY = 3


def why(detail: ProposalDetail, appearance: Appearance) -> RenderableType:
    """Rationale, expected effect, and the diagnoses it rests on with their numbers."""
    colours, proposal = appearance.palette, detail.proposal
    lines: list[RenderableType] = [
        appearance.line((plain(proposal.rationale, 4000, lines=True) or "no rationale was given", colours.text))
    ]
    if detail.standing.selected:
        chosen = f"{plain(detail.standing.selected, 600)}\n"
        lines.insert(0, appearance.line(("chosen because  ", colours.muted), (chosen, colours.text)))
    if proposal.expected:
        lines.append(appearance.line(("\nexpected  ", colours.muted), (plain(proposal.expected, 1000), colours.text)))
    lines.append(appearance.line((f"\ndiagnosis of #{proposal.parent}", colours.muted)))
    lines += [diagnosis(pathology, appearance) for pathology in dict.fromkeys(detail.diagnoses)]
    if not detail.diagnoses:
        base = proposal.parent == 0
        words = "the base model was not trained, so there is nothing to diagnose" if base else "not diagnosed yet"
        lines.append(appearance.line((words, colours.faint)))
    return Group(*lines)


def diagnosis(pathology: DiagnosisRow, appearance: Appearance) -> Text:
    """How bad, what, the numbers it rests on, and who says so."""
    colours = appearance.palette
    full, rest = bar(pathology.severity, 6, ascii=appearance.ascii)
    colour = colours.good if pathology.severity < 0.25 else colours.warn if pathology.severity < 0.6 else colours.bad
    who = plain(f"{pathology.advisor} {pathology.model}", 60)
    return appearance.line(
        (full, colour), (rest + " ", colours.faint),
        (plain(pathology_name(pathology.pathology), 40), colour),
        (f"  {plain(pathology.evidence, 600)}", colours.text), (f"  {who}", colours.muted),
    )  # fmt: skip


def origin(detail: ProposalDetail, appearance: Appearance) -> RenderableType:
    """The scores of the checkpoint it branches from, and what was tried from there already."""
    colours, proposal = appearance.palette, detail.proposal
    table = Table.grid(padding=(0, 2, 0, 0))
    for checkpoint in detail.scores:
        here = checkpoint.step == proposal.step
        table.add_row(*_score_row(checkpoint, here, appearance))
    if not detail.scores:
        table.add_row(appearance.line(("no checkpoint has been scored there", colours.faint)))
    tried = appearance.line((f"\nalso tried from #{proposal.parent}", colours.muted))
    if not detail.siblings:
        return Group(table, tried, appearance.line(("nothing yet", colours.faint)))
    return Group(table, tried, _siblings(detail, appearance))


def _score_row(checkpoint: CheckpointScore, here: bool, appearance: Appearance) -> list[Text]:
    colours = appearance.palette
    style = f"bold {colours.text}" if here else colours.muted
    words = "branches from here" if here else "" if checkpoint.kept else "files deleted"
    cells = (
        (f"{'▸' if here else ' '} step {checkpoint.step}", style),
        (score(checkpoint.value, checkpoint.low, checkpoint.high), style),
        (f"n={checkpoint.n}", colours.muted), (words, colours.wait if here else colours.muted),
    )  # fmt: skip
    return [appearance.line(cell) for cell in cells]


def _siblings(detail: ProposalDetail, appearance: Appearance) -> RenderableType:
    """How each ended, what it gained over the checkpoint it left from, and which that is when it is another."""
    colours = appearance.palette
    names = [f"#{each.node} {plain(each.label or each.intent, 24)}" for each in detail.siblings]
    states = [f"{appearance.glyph(each.state)[0]} {plain(each.state, 14)}" for each in detail.siblings]
    wide, ended, lines = max(map(cell_len, names)) + 2, max(map(cell_len, states)) + 2, list[RenderableType]()
    left = {s.step: s.value for s in detail.scores}
    for name, state, each in zip(names, states, detail.siblings, strict=True):
        gain = ""
        if each.best is not None and each.step in left:
            by = each.best.value - left[each.step]
            gain = f"{'+' if by >= 0 else '−'}{share(abs(by), 2)}"
        origin = f"from step {each.step}" if each.step != detail.proposal.step else ""
        words = " · ".join(filter(None, (origin, plain(each.reason, 200))))
        reached = score(each.best.value, each.best.low, each.best.high) if each.best else MISSING
        lines.append(appearance.line(
            (fit(name, wide), colours.text), (fit(state, ended), appearance.glyph(each.state)[1]),
            (reached, colours.text), (f" {gain}" if gain else "", colours.good if gain[:1] == "+" else colours.bad),
        ))  # fmt: skip
        if words:
            lines.append(Padding(appearance.line((words, colours.muted)), (0, 0, 0, 2)))
    return Group(*lines)


def picture(detail: ProposalDetail, width: int, height: int, appearance: Appearance) -> RenderableType:
    """The reward on the way to the branch point, with the scores of the parent."""
    stage = detail.stages[-1] if detail.stages else None
    start, end = (stage.start, stage.start + stage.trained) if stage else (0, 0)
    marks = [(start + s.step, s.value) for s in detail.scores if s.step]
    return appearance.done(curve(detail.reward, marks, width, height, appearance, until=max(end, 1)))


# ---- every value ---------------------------------------------------------------------------------------------------


def values(detail: ProposalDetail, space: Sequence[Row], width: int, appearance: Appearance) -> RenderableType:
    """Every parameter before and after with its history along the path; capacity and regularization apart."""
    colours, proposal = appearance.palette, detail.proposal
    known: dict[str, Row] = {str(p.get("name")): p for p in space}
    shown = detail.stages[-_room(width) :]
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style=colours.muted)
    table.add_column("", no_wrap=True, width=1)
    table.add_column("", no_wrap=True, max_width=22)
    before = "" if len(shown) == len(detail.stages) else "… "
    for index, stage in enumerate(shown):
        table.add_column(
            appearance.done(Text(f"{before if not index else ''}#{stage.node}")), justify="right", no_wrap=True
        )
    table.add_column("", no_wrap=True, width=2)
    table.add_column(Text(f"#{proposal.node}"), justify="right", no_wrap=True)
    table.add_column(Text(" allowed"), no_wrap=True, overflow="ellipsis")
    for kind, names in grouped(proposal.configuration, known):
        table.add_row("", appearance.line((kind, f"italic {colours.muted}")))
        for name in names:
            table.add_row(*_value_row(name, shown, detail, known.get(name, {}), appearance))
    choices = f"optimizer {plain(proposal.optimizer, 20)} · reference {plain(proposal.reference, 20)}"
    moved = len(proposal.changes)
    count = (
        "no hyperparameter changes" if not moved else f"{moved} of {len(proposal.configuration)} hyperparameters change"
    )
    return Group(table, appearance.line((f"{choices} · {count}", colours.muted)))


def grouped(values: Values, known: Mapping[str, Row]) -> list[tuple[str, list[str]]]:
    """Parameter names by kind, in the order of the space; those the space does not know come last."""
    ordered = [n for n in known if n in values] + [n for n in values if n not in known]
    groups = []
    for kind in (*ParameterKind, ""):
        names = [n for n in ordered if str(known.get(n, {}).get("kind", "")) == kind]
        if names:
            groups.append((str(kind) or "other", names))
    return groups


def _room(width: int) -> int:
    """How many stages of the path fit beside the rest."""
    return max(LEAST_HISTORY, (width - 56) // HISTORY_CELL)


def _value_row(
    name: str, stages: Sequence[StageRow], detail: ProposalDetail, known: Row, appearance: Appearance
) -> list[Text]:
    colours, proposal = appearance.palette, detail.proposal
    old = proposal.configuration.get(name)
    new = proposal.changes.get(name, old)
    changed = new != old
    cells = [("▸" if changed else "", colours.wait), (plain(name, 28), colours.text if changed else colours.muted)]
    history = [s.configuration.get(name) for s in stages]
    place = {s.node: i for i, s in enumerate(detail.stages)}
    for index, (stage, value) in enumerate(zip(stages, history, strict=True)):
        above = detail.stages[place[stage.node] - 1] if place[stage.node] else None
        moved = above is not None and above.configuration.get(name) != value
        arrow = "→ " if index or above else ""
        style = colours.live if moved else colours.text if changed else colours.muted
        cells.append((f"{arrow}{parameter(value)}", style))
    cells.append(("⇒" if changed else "", colours.wait))
    cells.append((parameter(new), f"bold {colours.wait}" if changed else colours.muted))
    cells.append((f" {plain(_allowed(known), 40)}", colours.muted))
    return [appearance.line(cell) for cell in cells]


def _allowed(known: Row) -> str:
    """The range of a parameter in words."""
    choices = known.get("choices")
    if choices:
        return ", ".join(parameter(c) for c in choices)
    low, high = known.get("low"), known.get("high")
    if low is None or high is None:
        return ""
    words = f"{parameter(low)} to {parameter(high)}"
    words = f"0 or {words}" if known.get("zero") else words
    return f"{words}, only rises" if known.get("rising") else words

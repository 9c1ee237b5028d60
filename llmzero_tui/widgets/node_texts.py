"""What the tabs about the selected node show: its rationale, its changes, samples and the log of the run. Pure drawing.

Called by the details panel alone. Everything here is foreign text.
"""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.segment import Segment, Segments
from rich.style import Style
from rich.table import Table
from rich.text import Text

from engine.domain.parameters import direction
from engine.words import intent_name, pathology_name
from llmzero_tui.format import HUMAN, MISSING, NOTE, bar, duration, parameter, plain, score
from llmzero_tui.values.nodes import NodeRow
from llmzero_tui.values.snapshot import CommandRow, EventRow, ModelRemark, NodeDetail, Row, SampleRow, StageRow
from llmzero_tui.widgets.appearance import Appearance
from llmzero_tui.widgets.header import command_text
from llmzero_tui.widgets.sample_texts import amount

SAMPLE_LIMIT = 700
LOG_LIMIT = 200


def rationale(
    detail: NodeDetail, node: NodeRow | None, appearance: Appearance, *, waits: bool = False, ahead: str = ""
) -> RenderableType:
    """Why this node is there, what it was to do, what it did, and what was found wrong with it. `waits`: for the human
    to answer. `ahead`: what its branch is forecast to score."""
    stage = detail.stage
    colours = appearance.palette
    if stage is None or node is None:
        return Text("")
    lines: list[RenderableType] = [_where(stage, node, appearance, waits)]
    lines += [*([appearance.line((ahead, colours.muted))] if ahead else []), *hands(node, appearance)]
    if stage.reason:
        lines.append(appearance.line((plain(stage.reason, 400), colours.bad if node.best is None else colours.warn)))
    if stage.selected:
        lines.append(appearance.line(("\nchosen because  ", colours.muted), (plain(stage.selected, 600), colours.text)))
    if stage.rationale:
        lines.append(appearance.line(("\n" + plain(stage.rationale, 2000, lines=True), colours.text)))
    if stage.expected:
        lines.append(appearance.line(("expected  ", colours.muted), (plain(stage.expected, 600), colours.text)))
    if detail.diagnoses:
        lines.append(appearance.line(("\ndiagnosis of this segment", colours.muted)))
    for pathology in detail.diagnoses:
        full, rest = bar(pathology.severity, 6, ascii=appearance.ascii)
        colour = (
            colours.good if pathology.severity < 0.25 else colours.warn if pathology.severity < 0.6 else colours.bad
        )
        who = plain(f"{pathology.advisor} {pathology.model}", 60)
        lines.append(appearance.line(
            (full, colour), (rest + " ", colours.faint), (plain(pathology_name(pathology.pathology), 40), colour),
            (f"  {plain(pathology.evidence, 400)}", colours.text), (f"  {who}", colours.faint),
        ))  # fmt: skip
    for call in detail.said:
        told = (f"\n{plain(call.role, 20)} · {plain(call.model, 40)}  ", colours.muted)
        lines.append(appearance.line(told, (plain(call.error or call.rationale, 1200, lines=True), colours.text)))
        if call.images:
            lines.append(
                appearance.line(("plots  ", colours.muted), (plain(", ".join(call.images), 300), colours.faint))
            )
    return Group(*lines)


def failure(failed: tuple[str, str, tuple[EventRow, ...]] | None, appearance: Appearance) -> list[RenderableType]:
    """Why a run failed, with its latest errors; nothing for a run that did not."""
    if failed is None:
        return []
    state, reason, errors = failed
    colours = appearance.palette
    words = appearance.state(state, f"the run {state}").append(f": {plain(reason, 400)}", colours.bad)
    lines: list[RenderableType] = [appearance.done(words), *(_happened(event, appearance) for event in errors)]
    lines.append(
        appearance.line(("4 shows the log; engine.log in the run's directory has the details\n", colours.muted))
    )
    return lines


def reported(decision: str, yardstick: str, appearance: Appearance) -> list[RenderableType]:
    """Why the run reports this node's policy, and plain GRPO beside it; nothing where there are no words."""
    colours = appearance.palette
    lines = [appearance.line(("★ ", colours.star), (decision, colours.text))] if decision else []
    return [*lines, *([appearance.line((yardstick, colours.muted))] if yardstick else [])]


def hands(node: NodeRow, appearance: Appearance) -> list[RenderableType]:
    """Whether a human made the node, and a human's note on it."""
    colours, lines = appearance.palette, list[RenderableType]()
    if node.human:
        words = f"{HUMAN} a human made this proposal, or edited it before it started"
        lines.append(appearance.line((words, colours.wait)))
    if node.note:
        lines.append(appearance.line((f"{NOTE} ", colours.live), (plain(node.note, 4000, lines=True), colours.text)))
    return lines


def written(writing: tuple[ModelRemark, ...], appearance: Appearance) -> list[RenderableType]:
    """What models write at this moment, whichever node is selected."""
    colours, lines = appearance.palette, list[RenderableType]()
    for call in writing:
        about = "" if call.node is None else f" about #{call.node}"
        title = f"{plain(call.role, 20)} · {plain(call.model, 40)} writes{about}  {duration(call.seconds)}  "
        text = plain(call.rationale, 2000, lines=True) or "…"
        lines.append(appearance.line((title, colours.wait), (text + "\n", colours.text)))
    return lines


def _where(stage: StageRow, node: NodeRow, appearance: Appearance, waits: bool) -> Text:
    """State, score, place in the tree and the two explicit choices."""
    colours = appearance.palette
    text = Text.assemble((f"#{node.id} ", f"bold {colours.text}"))
    text.append_text(appearance.state("pending", "waits for your answer") if waits else appearance.state(node.state))
    if node.best is not None:
        measured = score(node.best.value, node.best.low, node.best.high)
        text.append("  validation ", style=colours.muted).append(measured, style="bold")
        text.append(f" n={node.best.n}", style=colours.muted)
    if node.planned:
        text.append(f"  {node.trained}/{node.planned} steps", style=colours.muted)
        text.append(f" in {duration(stage.seconds)}" if stage.seconds else "", style=colours.muted)
    if stage.branch_step is not None:
        text.append("\n")
        place = (
            f"{intent_name(stage.intent)} from #{node.parent} step {stage.branch_step} · optimizer {stage.optimizer} · "
        )
        place += f"reference {stage.reference} · {stage.advisor} advisor"
        text.append(plain(place, 200), style=colours.muted)
    return appearance.done(text)


def changes(detail: NodeDetail, space: tuple[Row, ...], appearance: Appearance) -> RenderableType:
    """What the node changed against its parent, then every value that moves along the trajectory."""
    colours = appearance.palette
    stages = detail.stages
    if len(stages) < 2:
        return appearance.line(("the root: the base model, nothing changed", colours.muted))
    before, now = stages[-2], stages[-1]
    known = {str(p.get("name")): p for p in space}
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=True, header_style=colours.muted)
    for name in ("changed", "before", "", "now", "kind"):
        table.add_column(appearance.done(Text(name)), no_wrap=True)
    for name, value in now.changes.items():
        old = before.configuration.get(name)
        arrow = direction(old, value)
        table.add_row(*(appearance.done(t) for t in (
            Text(plain(name, 28), style=colours.text), Text(parameter(old), style=colours.muted),
            Text(arrow, style=colours.wait), Text(parameter(value), style=f"bold {colours.text}"),
            Text(plain(known.get(name, {}).get("kind", ""), 16), style=colours.muted),
        )))  # fmt: skip
    if not now.changes:
        table = Table.grid()
        table.add_row(appearance.line(("continue: no hyperparameter changed", colours.text)))
    choices = appearance.line(
        (f"optimizer {plain(now.optimizer, 20)} · reference {plain(now.reference, 20)}", colours.muted)
    )
    return Group(table, choices, Text(""), trajectory(stages, appearance))


def trajectory(stages: tuple[StageRow, ...], appearance: Appearance) -> RenderableType:
    """A row for every parameter that is not the same all along, a column for every stage; changes stand out."""
    colours = appearance.palette
    names = [n for n in stages[-1].configuration if len({s.configuration.get(n) for s in stages}) > 1]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=colours.muted)
    table.add_column(appearance.done(Text("trajectory")), no_wrap=True)
    for stage in stages[-8:]:
        table.add_column(Text(f"#{stage.node}"), justify="right", no_wrap=True)
    ends = [f"{s.start + (s.left_at if s.left_at is not None else s.trained)}" for s in stages[-8:]]
    table.add_row(Text("until step", style=colours.muted), *(Text(e, style=colours.muted) for e in ends))
    for name in names:
        label = plain(name, 24)
        values = [s.configuration.get(name) for s in stages]
        cells = []
        for index, value in enumerate(values):
            moved = index > 0 and values[index - 1] != value
            cells.append(Text(parameter(value), style=f"bold {colours.wait}" if moved else colours.muted))
        table.add_row(Text(label, style=colours.text), *cells[-8:])
    same = [n for n in stages[-1].configuration if n not in names]
    rest = ", ".join(f"{n} {parameter(stages[-1].configuration[n])}" for n in same)
    return Group(table, appearance.line((f"constant: {plain(rest, 400)}", colours.muted)))


def samples(rows: tuple[SampleRow, ...] | None, empty: str, appearance: Appearance) -> RenderableType:
    """The latest completions: prompt, completion, right or wrong; `empty` says why there are none."""
    colours = appearance.palette
    if not rows:
        words = "reading …" if rows is None else f"no samples: {empty}"
        return appearance.line((words, colours.faint))
    lines: list[RenderableType] = []
    step = None
    for sample in rows:
        if sample.step != step:
            step = sample.step
            lines.append(appearance.line((f"{'' if not lines else chr(10)}step {step}", colours.muted)))
        glyph, colour = appearance.glyph("finished" if sample.correct else "crashed")
        verdict = "right" if sample.correct else "wrong"
        cut = "  truncated" if sample.truncated else ""
        fixed = "  fixed prompt" if sample.split == "validation" else ""
        lines.append(appearance.line(
            (f"{glyph} {verdict} ", colour), (f"reward {amount(sample.reward)}{cut}{fixed}  ", colours.muted),
            (plain(sample.prompt, 300), colours.muted),
            (f"\n  {plain(sample.completion, SAMPLE_LIMIT)}", colours.text),
            (f"  answer {plain(sample.answer, 80) or MISSING}", colours.faint),
        ))  # fmt: skip
    return Group(*lines, appearance.line(("\nS shows them in full, and those of any step and node", colours.faint)))


def log(
    events: tuple[EventRow, ...], commands: tuple[CommandRow, ...], width: int, appearance: Appearance
) -> RenderableType:
    """What happened, newest first, the humans' commands among it; the event that repeats one of them is left out."""
    answered = {f"{command.kind}: {command.message}" for command in commands}
    told = (event for event in events if event.kind != "command" or event.message not in answered)
    newest: list[EventRow | CommandRow] = sorted((*told, *commands), key=lambda entry: entry.ts, reverse=True)
    if not newest:
        return appearance.line(("nothing yet", appearance.palette.faint))
    parts: list[RenderableType] = []
    short: list[Segment] = []
    for entry in newest[:LOG_LIMIT]:
        stamp = Text(f"{entry.ts:%H:%M:%S} ", style=appearance.palette.faint)
        text = _happened(entry, appearance) if isinstance(entry, EventRow) else _commanded(entry, appearance)
        if stamp.cell_len + text.cell_len <= width:
            short += _segments(stamp, text)
            continue
        # Only what has to be wrapped is given to Rich: a table of two hundred rows takes it as long as a second paint.
        parts.append(Segments(short))
        short = []
        table = Table.grid()
        table.add_column(no_wrap=True, width=stamp.cell_len)
        table.add_column()
        table.add_row(stamp, text)
        parts.append(table)
    return Group(*parts, Segments(short))


def _happened(event: EventRow, appearance: Appearance) -> Text:
    colours = appearance.palette
    colour = {"error": colours.bad, "warning": colours.warn}.get(event.level, colours.text)
    words = plain(event.message, 300)
    place = f"#{event.node} " if event.node is not None and not words.startswith(f"#{event.node}") else ""
    glyph = {"error": "✗ ", "warning": "! "}.get(event.level, "  ")
    kind = f"{plain(event.kind, 30)}: "
    return appearance.line((glyph, colour), (place, colours.muted), (kind, colours.muted), (words, colour))


def _commanded(command: CommandRow, appearance: Appearance) -> Text:
    colours = appearance.palette
    text = Text("> ", style=colours.wait).append_text(command_text(command, appearance))
    return appearance.done(text.append(f"  {plain(command.message, 200)}", style=colours.muted))


def _segments(*texts: Text) -> list[Segment]:
    """Texts that stand one after the other in a line, each of spans that do not overlap."""
    segments = []
    for text in texts:
        at = 0
        for span in [*text.spans, None]:
            start, end, style = (span.start, span.end, span.style) if span else (len(text.plain), len(text.plain), "")
            if start > at:
                segments.append(Segment(text.plain[at:start], _style(text.style)))
            if end > start:
                segments.append(Segment(text.plain[start:end], _style(style)))
            at = max(at, end)
    return [*segments, Segment.line()]


def _style(style: str | Style) -> Style:
    return Style.parse(style) if isinstance(style, str) else style

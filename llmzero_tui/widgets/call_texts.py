"""How calls of advisors look: a line of the list, the totals above it, the head of one in full. Pure drawing.

Used by the agents screen and the details of a node. What models wrote is foreign text.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from rich.console import Group, RenderableType
from rich.text import Text

from llmzero_tui.format import MISSING, duration, fit, plain
from llmzero_tui.values.calls import AgentsSnapshot, AgentsView, CallDetail, CallLine, CallSection, CallTotals
from llmzero_tui.widgets.appearance import Appearance, prose

WIDE = 110
"""From so many cells on a line has every column."""


def took(seconds: float) -> str:
    """A call's time: rules answer in milliseconds, models in seconds or minutes."""
    if seconds < 0.9995:
        return f"{1000 * seconds:.0f}ms"
    return f"{seconds:.1f}s" if seconds < 60 else duration(seconds)


def state(call: CallLine, appearance: Appearance) -> tuple[str, str]:
    """Glyph and word, and the colour of both: how a call ended, or that it has not."""
    if call.writing:
        name, word = "running", "writing"
    elif call.error:
        name, word = "crashed", "failed"
    else:
        name, word = "finished", "answered"
    glyph, colour = appearance.glyph(name)
    return f"{glyph} {word}", colour


def tokens(call: CallLine) -> str:
    """Tokens read and written; a dash for the rules, which read none."""
    if not call.prompt_tokens and not call.completion_tokens:
        return MISSING
    return f"{call.prompt_tokens:,}→{call.completion_tokens:,}"


def line(call: CallLine, width: int, appearance: Appearance) -> Text:
    """One call: when, about what, who, what it cost, how it ended."""
    colours = appearance.palette
    word, colour = state(call, appearance)
    node = MISSING if call.node is None else f"#{call.node}"
    text = Text(no_wrap=True)
    text.append(f"{call.ts:%H:%M:%S} ", style=colours.faint).append(fit(node, 6, right=True) + " ", style=colours.text)
    text.append(fit(plain(call.role, 20), 11) + " ", style=colours.text)
    if width >= WIDE:
        text.append(fit(plain(call.advisor, 20), 8) + " ", style=colours.muted)
        text.append(fit(plain(call.model, 40) or MISSING, 18) + " ", style=colours.muted)
        text.append(fit(plain(call.prompt_version, 20), 14) + " ", style=colours.faint)
    else:
        text.append(fit(plain(call.model or call.advisor, 40), 14) + " ", style=colours.muted)
    text.append(fit(tokens(call), 13, right=True) + " ", style=colours.muted)
    text.append(fit(took(call.seconds), 7, right=True) + "  ", style=colours.text)
    text.append(fit(word, 11), style=colour)
    if (room := width - text.cell_len) > 3:
        words = plain(call.rationale if not call.error or call.writing else call.error, 300)
        text.append(fit(words, room), style=colours.muted)
    appearance.done(text)
    text.truncate(width, overflow="crop")
    return text


def columns(width: int) -> str:
    """What stands in the columns of the list."""
    if width >= WIDE:
        return "time      node role        advisor  model              prompt         tokens in→out    took"
    return "time      node role        model          tokens in→out    took"


def totals(sums: CallTotals | None, appearance: Appearance) -> Text:
    """What all calls of the run cost."""
    colours, text = appearance.palette, Text(no_wrap=True)
    if sums is None:
        return Text("reading …", style=colours.faint)
    text.append(f"{sums.calls:,}", style=f"bold {colours.text}")
    parts = [f"call{'' if sums.calls == 1 else 's'}"]
    parts += [f"{sums.rules / sums.calls:.0%} rules"] if sums.calls else []
    text.append(" " + " · ".join(parts), style=colours.muted)
    if sums.writing:
        text.append(f" · {appearance.glyph('running')[0]} {sums.writing} writing", style=colours.live)
    if sums.failed:
        kinds = ", ".join(f"{plain(kind, 24)} {count:,}" for kind, count in sums.errors[:4])
        text.append(f" · {appearance.glyph('crashed')[0]} {sums.failed:,} failed: {kinds}", style=colours.bad)
    cost = f" · {sums.prompt_tokens:,} tokens read, {sums.completion_tokens:,} written · {took(sums.seconds)}"
    text.append(cost, style=colours.muted)
    return appearance.done(text)


def record(words: Sequence[str], appearance: Appearance) -> Text:
    """What each advisor's changes have gained so far, a line for each."""
    colours = appearance.palette
    lines = (Text.assemble(("advice ", colours.faint), (each, colours.muted)) for each in words)
    return appearance.done(Text("\n").join(lines))


def filters(view: AgentsView, appearance: Appearance) -> Text:
    """What narrows the list; empty for nothing."""
    parts = [f"role {plain(view.role, 20)}"] if view.role else []
    parts += [f"about #{view.node}"] if view.node is not None else []
    parts += ["failed ones"] if view.errors else []
    return appearance.done(Text("only " + " · ".join(parts) if parts else "", style=appearance.palette.wait))


def head(whole: CallDetail, appearance: Appearance) -> Text:
    """A call in a few lines, above its sections."""
    call, colours = whole.line, appearance.palette
    word, colour = state(call, appearance)
    text = Text.assemble((word, f"bold {colour}"), (f"  call {call.call}", colours.muted))
    text.append("  about no node" if call.node is None else f"  about #{call.node}", style=colours.muted)
    text.append(f"  {plain(call.role, 20)}", style=f"bold {colours.text}")
    text.append(f" · {plain(call.model, 60) or 'no model'} · {plain(call.advisor, 20)} advisor", style=colours.muted)
    text.append(f" · prompt {plain(call.prompt_version, 40) or MISSING}", style=colours.muted)
    text.append(f"\n{call.ts:%Y-%m-%d %H:%M:%S} UTC  took {took(call.seconds)}", style=colours.muted)
    if call.prompt_tokens or call.completion_tokens:
        read, written = f"{call.prompt_tokens:,}", f"{call.completion_tokens:,}"
        text.append(f"  {read} tokens read, {written} written", style=colours.muted)
    return appearance.done(text)


def body(section: CallSection, call: int, appearance: Appearance) -> RenderableType:
    """The text of a section."""
    colours = appearance.palette
    style = {"error": colours.bad, "rationale": colours.text}.get(section.key, colours.muted)
    where = f"column {section.column} of agent_calls, call_id {call}"
    return prose(section.text, section.length, appearance, style, where=where)


def sections(whole: CallDetail, appearance: Appearance) -> list[tuple[str, str, str, bool, partial[RenderableType]]]:
    """The sections as a folding sheet takes them."""
    return [
        (s.key, plain(s.title, 40), _size(s.length), s.open, partial(body, s, whole.line.call, appearance))
        for s in whole.sections
    ]


def _size(length: int) -> str:
    return f"{length:,} character{'' if length == 1 else 's'}"


def nothing(snapshot: AgentsSnapshot | None) -> str:
    """Why the list is empty."""
    if snapshot is None:
        return "reading …"
    if not snapshot.totals.calls:
        return "No advisor was asked in this run yet."
    return "No call matches. e shows the others, r other roles, g other nodes."


def short(calls: Sequence[CallLine] | None, width: int, appearance: Appearance) -> RenderableType:
    """The calls about one node, for the details: each one a line, and what was said or went wrong below it."""
    colours = appearance.palette
    if not calls:
        return Text("reading …" if calls is None else "no advisor was asked about this node yet", style=colours.faint)
    lines: list[RenderableType] = []
    for call in calls:
        word, colour = state(call, appearance)
        text = Text.assemble((f"{call.ts:%H:%M:%S} ", colours.faint), (fit(word, 11), colour))
        text.append(fit(plain(call.role, 20), 11) + " ", style=colours.text)
        text.append(fit(plain(call.model or call.advisor, 40), 14) + " ", style=colours.muted)
        text.append(fit(tokens(call), 13, right=True) + fit(took(call.seconds), 8, right=True), style=colours.muted)
        text.truncate(width, overflow="crop")
        lines.append(appearance.done(text))
        said = call.rationale if not call.error or call.writing else call.error
        if said:
            lines.append(appearance.done(Text(f"  {plain(said, max(1, width - 2))}", style=colours.text)))
    lines.append(appearance.done(Text("A shows every call in full", style=colours.faint)))
    return Group(*lines)


def as_text(whole: CallDetail) -> str:
    """A call with all its sections as text; what was cut is said."""
    call = whole.line
    parts = [f"call {call.call}, {call.role}, {call.model or call.advisor}, {call.ts:%Y-%m-%d %H:%M:%S} UTC"]
    for section in whole.sections:
        cut = f" (the first {len(section.text):,} of {section.length:,} characters)"
        parts.append(f"{section.title}{cut if section.length > len(section.text) else ''}:\n{section.text}")
    return "\n\n".join(parts) + "\n"

"""How completions look: a line of the list, the filters above it, one in full. Pure drawing.

Used by the samples screen. Everything shown was written by a policy or a task: foreign text.
"""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Group, RenderableType
from rich.text import Text

from llmzero_tui.format import number, plain, share
from llmzero_tui.values.difference import Span
from llmzero_tui.values.samples import VERDICTS, CompletionDetail, CompletionLine, SamplesSnapshot, SamplesView
from llmzero_tui.widgets.appearance import Appearance, prose

VERDICT_WORDS = {"all": "All", "right": "Right", "wrong": "Wrong", "cut": "Truncated"}
ORDER_WORDS = {
    "newest": "newest first", "oldest": "oldest first", "best": "best reward first", "worst": "worst reward first",
}  # fmt: skip
SPLIT_WORDS = {"": "all prompts", "train": "training prompts", "validation": "fixed validation prompts"}


def verdict(correct: bool, appearance: Appearance) -> tuple[str, str]:
    """Glyph and word, and the colour of both."""
    glyph, colour = appearance.glyph("finished" if correct else "crashed")
    return f"{glyph} {'right' if correct else 'wrong'}", colour


def line(row: CompletionLine, width: int, appearance: Appearance, view: SamplesView) -> Text:
    """One row: where it is from, how good it is, how it begins."""
    colours = appearance.palette
    word, colour = verdict(row.correct, appearance)
    text = Text(no_wrap=True)
    if view.comparing:
        text.append(f"{'#' + str(row.node):>5} ", style=colours.text)
    text.append(f"{row.step:>5} ", style=colours.muted)
    text.append(f"{word} ", style=colour).append(f"{amount(row.reward):>5} ", style=colours.text)
    cut = appearance.glyph("early-stopped")[0] if row.truncated else " "
    text.append(f"{cut} ", style=colours.warn)
    text.append(
        "fixed " if row.split == "validation" and not view.comparing and not view.split else "", style=colours.faint
    )
    text.append(plain(row.completion, 240) or "(nothing)", style=colours.text if row.completion else colours.faint)
    appearance.done(text)
    text.truncate(width, overflow="ellipsis" if not appearance.ascii else "crop")
    return text


def columns(comparing: bool) -> str:
    """What stands in the columns of the list."""
    return "node  step verdict reward" if comparing else "step verdict reward"


def filters(snapshot: SamplesSnapshot | None, view: SamplesView, appearance: Appearance) -> Text:
    """What the list holds: verdicts with their numbers, then everything that narrows it."""
    colours, text = appearance.palette, Text(no_wrap=True)
    if view.comparing:
        return appearance.done(_comparing(snapshot, view, text, appearance))
    for index, name in enumerate(VERDICTS):
        style = f"bold {colours.text}" if name == view.verdict else colours.muted
        count = f" {snapshot.counts.of(name):,}" if snapshot is not None and snapshot.node is not None else ""
        text.append(f"{index + 1} {VERDICT_WORDS[name]}{count}", style=style).append("  ")
    rest = [f"step {view.step}" if view.step is not None else "all steps", ORDER_WORDS[view.order]]
    text.append("· " + " · ".join(rest), style=colours.muted)
    if view.split:
        text.append(f" · {SPLIT_WORDS[view.split]}", style=colours.wait)
    if view.text:
        text.append(f" · with “{plain(view.text, 40)}”", style=colours.wait)
    return appearance.done(text)


def _comparing(snapshot: SamplesSnapshot | None, view: SamplesView, text: Text, appearance: Appearance) -> Text:
    colours = appearance.palette
    others = snapshot.found if snapshot is not None and snapshot.view.comparing else None
    words = "one prompt, two completions"
    if others is not None:
        words = f"the same prompt was answered {others:,} more time{'' if others == 1 else 's'}"
    text.append(words, style=colours.text)
    if view.other_node is not None:
        step = f" step {view.other_step}" if view.other_step is not None else ""
        text.append(f" · only #{view.other_node}{step}", style=colours.wait)
    if snapshot is not None and snapshot.full is not None and snapshot.other is not None:
        same = snapshot.full.completion == snapshot.other.completion
        text.append("  ·  the two are the same" if same else "  ·  what differs is underlined", style=colours.muted)
    return text


def title(full: CompletionDetail | None) -> str:
    """Whose answer this is."""
    return "" if full is None else f"#{full.node} step {full.step}"


def reading(
    full: CompletionDetail | None, appearance: Appearance, apart: tuple[Span, ...], side: str, _width: int
) -> RenderableType:
    """A completion in full: verdict and reward by component, prompt, completion, expected answer, the prompt with its
    chat template.

    While comparing, `side` is sample or against: completions come first, to stand side by side; what both have in
    common is on one side only.
    """
    if full is None:
        return Text("")
    parts: list[RenderableType] = [_verdict(full, appearance)]
    if full.components:
        parts.append(_components(dict(full.components), appearance))
    prompt = _body("prompt", full.prompt, full.prompt_length, full, appearance)
    completion = _body("completion", full.completion, full.completion_length, full, appearance, apart)
    answer = _body("expected answer", full.answer, full.answer_length, full, appearance)
    read: tuple[RenderableType, ...] = ()
    if full.model_prompt is not None:
        read = _body("prompt as the model reads it", full.model_prompt, full.model_prompt_length, full, appearance)
    order = {
        "": (prompt, completion, answer, read),
        "sample": (completion, prompt, answer, read),
        "against": (completion,),
    }
    return Group(*parts, *(text for body in order[side] for text in body))


def _body(
    name: str, text: str, length: int, full: CompletionDetail, appearance: Appearance, apart: tuple[Span, ...] = ()
) -> tuple[RenderableType, ...]:
    """A text under its name."""
    colours = appearance.palette
    heading = appearance.done(Text(f"\n{name}", style=colours.faint))
    if not text:
        return heading, Text("(nothing)", style=colours.faint)
    style = colours.muted if name.startswith("prompt") else colours.text
    return heading, prose(text, length, appearance, style, where=f"table completions, seq {full.seq}", apart=apart)


def _verdict(full: CompletionDetail, appearance: Appearance) -> Text:
    colours = appearance.palette
    word, colour = verdict(full.correct, appearance)
    text = Text.assemble((word, f"bold {colour}"), ("  reward ", colours.muted), (amount(full.reward), "bold"))
    if full.truncated:
        glyph = appearance.glyph("early-stopped")[0]
        text.append(f"  {glyph} truncated at the maximum completion length", style=colours.warn)
    kind = "fixed prompt, greedy" if full.split == "validation" else "sampled in training"
    text.append(f"  {kind}", style=colours.muted)
    return appearance.done(text)


def _components(parts: Mapping[str, float], appearance: Appearance) -> Text:
    """The reward by component, as many on a line as fit."""
    text = Text(style=appearance.palette.muted)
    for name, value in parts.items():
        text.append("   " if text else "")
        text.append(f"{plain(name, 30)} ").append(amount(value), style=appearance.palette.text)
    return appearance.done(text)


def amount(value: float) -> str:
    """A reward: 1.00, .25, −3.1."""
    return share(value, 2) if 0 <= value <= 1 else number(value)


def nothing(snapshot: SamplesSnapshot | None, view: SamplesView) -> str:
    """Why the list is empty."""
    if snapshot is None:
        return "reading …"
    if view.comparing:
        return (
            "This prompt was answered only here" + (" there" if view.other_node is not None else "") + ". Training "
            "draws new prompts at every step; the fixed validation prompts (v) are asked at every checkpoint."
        )
    place = snapshot.place
    if place is None or (not place.samples and not place.before and not place.after):
        return "No completions in this run yet: training logs a few every five steps."
    if not place.samples:
        return f"No completions of #{snapshot.node}. [ and ] go to nodes that have some."
    return "No completion matches. 1 shows all, 0 all steps, v all prompts; esc leaves the search."


def as_text(full: CompletionDetail) -> str:
    """A completion as a colleague can read it in a message; what was cut is said."""
    parts = [f"#{full.node} step {full.step}, {'right' if full.correct else 'wrong'}, reward {amount(full.reward)}"]
    bodies = (
        ("prompt", full.prompt, full.prompt_length), ("completion", full.completion, full.completion_length),
        ("expected answer", full.answer, full.answer_length),
    )  # fmt: skip
    for name, text, length in bodies:
        cut = f" (the first {len(text):,} of {length:,} characters)" if length > len(text) else ""
        parts.append(f"{name}{cut}:\n{text}")
    return "\n\n".join(parts) + "\n"

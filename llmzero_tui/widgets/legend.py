"""What the marks mean: a table for the help of the screens that draw them. Made from the marks themselves."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from llmzero_tui.format import HUMAN, NOTE
from llmzero_tui.widgets.appearance import Appearance

STATES = {
    "pending": "a proposal that waits for your answer",
    "proposed": "a proposal that begins by itself when a worker is free",
    "queued": "approved, waits for a worker",
    "running": "trains now",
    "interrupted": "was cut off with its engine; resume goes on from its last checkpoint",
    "finished": "trained to its end",
    "stopped": "ended after a step, by a human or because the time was spent",
    "early-stopped": "stopped early: it trailed clearly",
    "out-of-memory": "failed: out of memory",
    "nan": "failed: a loss or gradient that is no number",
    "crashed": "failed: the worker died, or its code raised an error",
    "hung": "failed: the worker said nothing for too long",
    "rejected": "rejected by a human, never trained",
}
RUNS = {
    "starting": "the engine starts",
    "training": "searches and trains",
    "paused": "paused: the workers hold",
    "finishing": "the finalists are scored on fresh prompts",
    "finished": "the search is over, the winner is measured",
    "stopped": "stopped; resume goes on",
    "failed": "ended by a fault; its reason stands beside it",
    "damaged": "its database cannot be opened; its reason stands beside it",
    "unreadable": "its files cannot be read now; its reason stands beside it",
}
SIGNS = {
    "run": (
        ("★", "star", "the policy that the run reports"),
        ("◆A", "star", "before a node: marked to be compared, with its letter"),
        (HUMAN, "wait", "made or edited by a human"), (NOTE, "live", "has a note of a human"),
        ("◆", "line", "in a plot: a validation score, the line through it its 95% interval"),
        ("┊", "muted", "in a plot: a segment begins"), ("▁▃▆", "trail", "the reward during the segment"),
        ("▸", "wait", "the metric under the cursor"), ("+", "muted", "after a label: nodes are folded below it"),
    ),
    "runs": (("◆", "star", "marked to be compared"),),
    "compare": (
        ("◆", "line", "a validation score, the line through it its 95% interval"),
        ("@75", "muted", "the value holds from this step on"),
    ),
    "decision": (
        ("▸", "wait", "a value that changes; the checkpoint it branches from"),
        ("→", "live", "a value that changed on the way here"), ("━──", "warn", "how severe a diagnosis is"),
    ),
    "trajectory": (("━──", "warn", "how severe a diagnosis is"),),
}  # fmt: skip


def marks_table(screen: str, dress: Appearance) -> Table | None:
    """The marks that a screen draws with what they mean; None for a screen without any."""
    states = {"runs": RUNS}.get(screen, STATES if screen in SIGNS else {})
    if not states:
        return None
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=10)
    table.add_column()
    table.add_row(Text("Marks", style=f"bold {dress.palette.live}"), "")
    for sign, colour, words in SIGNS[screen]:
        table.add_row(dress.done(Text(f"  {sign}", style=dress.palette[colour])), _words(words, dress))
    for state, words in states.items():
        glyph, colour = dress.glyph(state)
        table.add_row(Text(f"  {glyph}", style=colour), _words(words, dress))
    return table


def _words(words: str, dress: Appearance) -> Text:
    return dress.done(Text(words, style=dress.palette.muted))

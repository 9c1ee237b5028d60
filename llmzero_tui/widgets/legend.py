"""What the marks mean: a table for the help of the screens that draw them. Made from the marks themselves."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from engine.domain.hyperparameters import GENERAL, OPTIONAL
from llmzero_tui.format import HUMAN, NOTE
from llmzero_tui.widgets.appearance import Appearance

STATES = {
    "pending": "a proposal that waits for your answer",
    "proposed": "a proposal that starts by itself when a worker is free",
    "queued": "approved, waits for a worker",
    "running": "training now",
    "interrupted": "interrupted with its engine; resume continues from its last checkpoint",
    "finished": "trained to its last step",
    "stopped": "stopped after a step, by a human or because the time limit was reached",
    "early-stopped": "stopped early: it collapsed",
    "out-of-memory": "failed: out of memory",
    "nan": "failed: the loss or a gradient became NaN",
    "crashed": "failed: the worker exited or raised an error",
    "hung": "failed: the worker stopped responding",
    "rejected": "rejected by a human, never trained",
}
RUNS = {
    "starting": "the engine is starting",
    "training": "searching and training",
    "paused": "paused: no worker trains",
    "finishing": "the finalists are being scored on fresh prompts",
    "finished": "the search is over and the best policy is measured on the test set",
    "stopped": "stopped; resume continues it",
    "failed": "failed; the reason is shown beside it",
    "damaged": "its database cannot be opened; the reason is shown beside it",
    "unreadable": "its files cannot be read now; the reason is shown beside it",
}
STALE = {"stale": "a line of results with other settings than the plan has now; it is run again"}
LABELS = "in labels of the tree: " + ", ".join(f"{p.label} {p.name}" for p in (*GENERAL.values(), *OPTIONAL.values()))
"""The short labels of hyperparameters, for which there is no room in a row of the tree; all else has their names."""
SIGNS = {
    "run": (
        ("★", "star", "the policy that the run reports"),
        ("◆A", "star", "before a node: marked for comparison, with its letter"),
        (HUMAN, "wait", "made or edited by a human"), (NOTE, "live", "has a note"),
        ("◆", "line", "in a plot: a validation score with its 95% interval"),
        ("┊", "muted", "in a plot: start of a segment"), ("▁▃▆", "trail", "the reward during the segment"),
        ("lr kl", "muted", LABELS),
        ("trunc", "muted", "short names of metrics: trunc truncated completions, 0-std zero-std groups, clip ratio"),
        ("▸", "wait", "the metric under the cursor"), ("+", "muted", "after a label: nodes below it are collapsed"),
    ),
    "runs": (("◆", "star", "marked for comparison"),),
    "compare": (
        ("◆", "line", "a validation score with its 95% interval"),
        ("@75", "muted", "the value holds from this step on"),
    ),
    "evidence": (("A B", "line", "in the plot: the strategies that are named below it"),),
    "decision": (
        ("▸", "wait", "a value that changes; the checkpoint it branches from"),
        ("→", "live", "a value that changed earlier on this trajectory"), ("━──", "warn", "severity of a diagnosis"),
    ),
    "trajectory": (("━──", "warn", "severity of a diagnosis"), ("lr kl", "muted", LABELS)),
}  # fmt: skip


def marks_table(screen: str, appearance: Appearance) -> Table | None:
    """The marks that a screen draws with what they mean; None for a screen without any."""
    states = {"runs": RUNS, "evidence": {**RUNS, **STALE}}.get(screen, STATES if screen in SIGNS else {})
    if not states:
        return None
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, min_width=10)
    table.add_column()
    table.add_row(Text("Marks", style=f"bold {appearance.palette.live}"), "")
    for sign, colour, words in SIGNS[screen]:
        table.add_row(appearance.done(Text(f"  {sign}", style=appearance.palette[colour])), _words(words, appearance))
    for state, words in states.items():
        glyph, colour = appearance.glyph(state)
        table.add_row(Text(f"  {glyph}", style=colour), _words(words, appearance))
    return table


def _words(words: str, appearance: Appearance) -> Text:
    return appearance.done(Text(words, style=appearance.palette.muted))

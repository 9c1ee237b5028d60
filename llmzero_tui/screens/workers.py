"""The segments that train now: on what, how busy that is, how much memory it takes, tokens a second. Escape closes.

Opened by the run screen, whose latest snapshot it shows; it reads nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from llmzero_tui.format import MISSING, bar, fit, plain
from llmzero_tui.values.snapshot import RunSnapshot, TrainingRow
from llmzero_tui.widgets.appearance import look

PACE_SECONDS = 0.5
BAR_CELLS = 10
DEVICE_CELLS = 30


class WorkersScreen(ModalScreen[None]):
    """Two lines a segment: the node with its step and its device, and below what it uses."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,enter,q", "close", show=False)]

    def __init__(self, snapshot: Callable[[], RunSnapshot | None]) -> None:
        super().__init__()
        self._snapshot = snapshot

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(id="words", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        appearance = look(self)
        self.query_one(".dialog").border_title = appearance.title("Workers")
        self.query_one("#answers", Static).update(appearance.answers(("esc", "Close")))
        self.set_interval(PACE_SECONDS, self._draw)
        self._draw()

    def _draw(self) -> None:
        snapshot, appearance = self._snapshot(), look(self)
        workers = snapshot.workers if snapshot else ()
        lines = [line for worker in workers for line in self._lines(worker)]
        queued = len(snapshot.queued) if snapshot else 0
        if not lines:
            lines.append(Text("no segment trains now", style=appearance.palette.muted))
        if queued:
            lines.append(Text(f"{queued} more in the queue", style=appearance.palette.muted))
        self.query_one("#words", Static).update(appearance.done(Text("\n").join(lines)))

    def _lines(self, worker: TrainingRow) -> Iterator[Text]:
        appearance = look(self)
        colours = appearance.palette
        head = Text(fit(f"#{worker.node}", 7), style=f"bold {colours.live}")
        head.append(fit(plain(worker.device, 80) or MISSING, DEVICE_CELLS), colours.text)
        yield head.append(f"  step {worker.step}/{worker.planned}", colours.muted)
        usage = Text(" " * 7)
        if worker.busy is not None:
            spent, left = bar(worker.busy, BAR_CELLS, ascii=appearance.ascii)
            usage.append(spent, colours.live).append(left, colours.faint).append(f" {worker.busy:4.0%}", colours.text)
        if worker.memory is not None:
            usage.append(f"  {worker.memory:.1f} GB", colours.text)
        if worker.tokens is not None:
            usage.append(f"  {worker.tokens:,.0f} tokens/s", colours.text)
        yield usage

    def action_close(self) -> None:
        """Back to the run."""
        self.dismiss()

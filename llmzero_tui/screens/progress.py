"""How far a long writing is: a bar, the bytes, the time. Hiding it does not stop it; its end is told anyway."""

from __future__ import annotations

import time
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

from llmzero_tui.files.export_jobs import ExportJob
from llmzero_tui.files.exporting import file_size
from llmzero_tui.format import bar, duration, plain
from llmzero_tui.widgets.appearance import look

PACE_SECONDS = 0.25
BAR_CELLS = 40


class ProgressScreen(ModalScreen[None]):
    """Escape hides it, x stops what can be stopped. It goes away by itself at the end."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,enter,q", "hide", show=False),
        Binding("x", "stop", show=False),
    ]

    def __init__(self, job: ExportJob) -> None:
        super().__init__()
        self._job = job
        self._begun = time.monotonic()

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(id="words", markup=False)
            yield Static(id="answers", markup=False)

    def on_mount(self) -> None:
        appearance = look(self)
        self.query_one(".dialog").border_title = appearance.title(f"Writing {self._job.what}")
        keys = [("esc", "Hide; it continues")]
        if self._job.stoppable:
            keys.insert(0, ("x", "Stop"))
        self.query_one("#answers", Static).update(appearance.answers(*keys))
        self.set_interval(PACE_SECONDS, self._draw)
        self._draw()

    def _draw(self) -> None:
        job, appearance = self._job, look(self)
        if job.over.is_set():
            self.action_hide()
            return
        colours = appearance.palette
        passed = duration(time.monotonic() - self._begun)
        if job.total:
            share = job.done / job.total
            spent, left = bar(share, BAR_CELLS, ascii=appearance.ascii)
            line = Text.assemble((spent, colours.live), (left, colours.faint), (f" {share:4.0%}", colours.text))
            line.append(f"\n{file_size(job.done)} of {file_size(job.total)} · {passed}", style=colours.muted)
        else:
            line = Text(f"reading … {plain(passed)}", style=colours.muted)
        self.query_one("#words", Static).update(appearance.done(line))

    def action_hide(self) -> None:
        """Out of the way; the writing goes on."""
        if self.is_current:
            self.dismiss()

    def action_stop(self) -> None:
        """Stop it; the notification says so."""
        self._job.stop()

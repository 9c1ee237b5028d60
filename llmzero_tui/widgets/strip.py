"""The other metrics of the selected node, small: name, latest value, sparkline. Posts `Chosen` to plot one big.

Names of metrics come from the trainer and are shown as plain text. Those people ask for first come first.
"""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual import events
from textual.app import RenderResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widget import Widget

from llmzero_tui.format import fit, number, plain
from llmzero_tui.values.snapshot import SmallMetric
from llmzero_tui.widgets.appearance import look

FIRST = (
    "reward", "kl", "entropy", "completions/mean_length", "completions/clipped_ratio", "clip_ratio/region_mean",
    "sampling/sampling_logp_difference/mean", "grad_norm", "frac_reward_zero_std", "loss", "learning_rate",
    "step_seconds",
    "tokens_per_second", "device/utilization", "device/memory_gb",
)  # fmt: skip
NAMES = {
    "completions/mean_length": "length",
    "completions/clipped_ratio": "trunc",
    "clip_ratio/region_mean": "clip",
    "sampling/sampling_logp_difference/mean": "logp diff",
    "frac_reward_zero_std": "0-std",
    "grad_norm": "grad",
    "learning_rate": "lr",
    "step_seconds": "s/step",
    "tokens_per_second": "tok/s",
    "device/utilization": "busy",
    "device/memory_gb": "mem GB",
}
CELL = 23
LEAST_COLUMNS = 3
"""Names are cut rather than that there are fewer columns."""


def order(names: tuple[str, ...]) -> tuple[str, ...]:
    """Metric names as they are offered: the usual ones, then the rest by name."""
    known = [n for n in FIRST if n in names]
    return (*known, *sorted(n for n in names if n not in FIRST))


def short(name: str) -> str:
    """A metric's name in few cells."""
    return NAMES.get(name) or plain(name, 40).removeprefix("rewards/").removeprefix("completions/")


class Strip(Widget):
    """A grid of small metrics; the cursor walks it when it has the focus."""

    can_focus = True
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", show=False),
        Binding("right,l", "move(1)", show=False),
        Binding("up,k", "row(-1)", show=False),
        Binding("down,j", "row(1)", show=False),
        Binding("enter", "choose", show=False),
    ]

    class Chosen(Message):
        """Plot this metric."""

        def __init__(self, metric: str) -> None:
            super().__init__()
            self.metric = metric

    def __init__(self) -> None:
        super().__init__(id="strip")
        self._smalls: dict[str, SmallMetric] = {}
        self._names: tuple[str, ...] = ()
        self._metric = "reward"
        self._beside: tuple[str, ...] = ()
        self._cursor = 0
        self._shown: object = None
        self._empty = "reading …"

    def on_mount(self) -> None:
        self.border_title = "Metrics"

    @property
    def names(self) -> tuple[str, ...]:
        """All metrics of the node, in the order shown."""
        return self._names

    @property
    def current(self) -> str | None:
        """The metric under the cursor."""
        return self._names[self._cursor] if self._names else None

    def show(self, smalls: tuple[SmallMetric, ...], metric: str, beside: tuple[str, ...] = (), empty: str = "") -> None:
        """Take the metrics of the selected node; `metric` is the one that is plotted, `beside` those drawn with it when
        the plot has the screen. `empty` says why there are none."""
        if self._shown == (smalls, metric, beside, empty):
            return
        self._shown = (smalls, metric, beside, empty)
        self._empty = empty
        self._beside = beside
        self._smalls = {s.name: s for s in smalls}
        self._names = order(tuple(self._smalls))
        if metric != self._metric and metric in self._names:
            self._cursor = self._names.index(metric)
        self._cursor = min(self._cursor, max(0, len(self._names) - 1))
        self._metric = metric
        self.refresh()

    def _widths(self) -> list[int]:
        """Cells of each column: as many columns as there is room for, fewer where that saves names from being cut."""
        width, rows = self.size.width, max(1, self.size.height)
        most = max(1, width // CELL)
        for columns in range(most, 0, -1):
            needed = [
                max(CELL, *(len(short(name)) + self._around(name) for name in names), 0)
                for names in (self._page(rows * columns)[column::columns] for column in range(columns))
            ]
            if sum(needed) <= width:
                return [cells + (width - sum(needed)) // columns for cells in needed]
            if columns <= LEAST_COLUMNS:
                break
        columns = min(most, LEAST_COLUMNS)
        return [width // columns] * columns

    def _page(self, cells: int) -> tuple[str, ...]:
        """The names that the first so many cells show."""
        return self._names[:cells]

    def _around(self, name: str) -> int:
        """Cells of a metric beside its name: sign, value, small curve."""
        return len(self._smalls[name].values) + 9

    @property
    def _columns(self) -> int:
        return len(self._widths())

    def render(self) -> RenderResult:
        appearance = look(self)
        if not self._names:
            return appearance.done(Text(self._empty, style=appearance.palette.faint))
        widths, rows = self._widths(), max(1, self.size.height)
        columns = len(widths)
        first = max(0, self._cursor // columns - rows + 1) * columns
        text = Text(no_wrap=True)
        for index, name in enumerate(self._names[first : first + columns * rows]):
            if index and index % columns == 0:
                text.append("\n")
            cursor = self.has_focus and first + index == self._cursor
            text.append_text(self._cell(name, widths[index % columns], cursor))
        return appearance.done(text)

    def _cell(self, name: str, width: int, cursor: bool) -> Text:
        appearance = look(self)
        colours = appearance.palette
        small = self._smalls[name]
        chosen = name == self._metric
        spark = appearance.spark(small.values)
        sign = "▸" if cursor else "+" if name in self._beside else " "
        text = Text(sign, style=colours.wait)
        text.append(fit(short(name), width - len(spark) - 9), style=colours.text if chosen else colours.muted)
        text.append(
            fit(number(small.latest), 6, right=True) + " ", style=f"bold {colours.text}" if chosen else colours.text
        )
        text.append(spark, style=colours.line if chosen else colours.trail)
        return text.append(" ")

    def action_move(self, by: int) -> None:
        """Walk along the row."""
        if self._names:
            self._cursor = max(0, min(len(self._names) - 1, self._cursor + by))
            self.refresh()

    def action_row(self, by: int) -> None:
        """Walk to another row."""
        self.action_move(by * self._columns)

    def action_choose(self) -> None:
        """Plot the metric under the cursor."""
        if self._names:
            self.post_message(self.Chosen(self._names[self._cursor]))

    def on_click(self, event: events.Click) -> None:
        widths = self._widths()
        columns = len(widths)
        offset = event.get_content_offset(self)
        if offset is None or not self._names:
            return
        first = max(0, self._cursor // columns - max(1, self.size.height) + 1) * columns
        column = next((i for i in range(columns) if offset.x < sum(widths[: i + 1])), columns - 1)
        index = first + offset.y * columns + column
        if index < len(self._names):
            self._cursor = index
            self.action_choose()

"""The evidence as two pictures: the segment's curves, and the whole run's scores with the parameters behind them.

Drawn by matplotlib (imported late: it costs memory, and runs without a seeing model never need it), composed and sized
by Pillow. A model sees at most 1024 pixels a side, so panels are few and letters large.
"""

from __future__ import annotations

import io
import itertools
import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine.advisors.base import Evidence
from engine.advisors.diagnosis import short
from engine.advisors.evidence import best_path, compared, place
from engine.domain.branch import checkpoints_along
from engine.domain.space import format_value
from engine.domain.tree import Node

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image

SIDE = 1024
"""Pixels: the longest side of a picture."""

TITLE_HEIGHT = 34
COLUMNS = 3
CURVES = (
    ("reward", "reward"),
    ("entropy", "entropy"),
    ("kl", "KL to the reference model"),
    ("completions/mean_length", "completion length"),
    ("completions/clipped_ratio", "truncated completions"),
    ("frac_reward_zero_std", "zero-std groups"),
    ("grad_norm", "gradient norm"),
    ("reward_std", "reward std"),
    ("loss", "loss"),
)
"""Panels of the first picture: the first six of these that the segment has."""

MARGINS = (74, 10, 28, 50)
"""Pixels left, right, above and below the axes: a layout engine would take most of the time of drawing."""

HERE, BEST, OTHER = "#d62728", "#1f77b4", "#9a9a9a"
_DRAWING = threading.Lock()  # matplotlib's font cache is shared, and is not safe in several threads


@dataclass(frozen=True, slots=True)
class PanelCurve:
    """A curve in a panel. `points` may hold None, NaN and infinities: they leave gaps and are counted."""

    name: str
    points: Sequence[tuple[int, float | None]]
    colour: str = HERE
    width: float = 2.2
    marker: str = ""

    @property
    def finite(self) -> list[tuple[int, float]]:
        return [(step, value) for step, value in self.points if value is not None and math.isfinite(value)]

    @property
    def broken(self) -> list[int]:
        return [step for step, value in self.points if value is not None and not math.isfinite(value)]


@dataclass(frozen=True, slots=True)
class EvidencePanel:
    """One diagram. `steps` draws staircases (parameters); `bars` are (step, low, high) intervals of the first line."""

    title: str
    lines: tuple[PanelCurve, ...]
    axis: str = "step"
    steps: bool = False
    legend: bool = False
    bars: tuple[tuple[int, float, float], ...] = ()
    marked: int | None = None


def sheets(evidence: Evidence) -> tuple[bytes, ...]:
    """The pictures of one decision as PNG: the curves of the segment (left out where it has none), and the run.

    At most two; each side at most SIDE pixels.
    """
    drawn = []
    curves = segment_panels(evidence)
    if curves:
        drawn.append(segment_sheet(evidence, curves))
    if evidence.tree.root.checkpoints:
        drawn.append(run_sheet(evidence))
    return tuple(drawn)


def segment_sheet(evidence: Evidence, panels: Sequence[EvidencePanel]) -> bytes:
    """Six panels of the segment's metrics."""
    node = evidence.parent
    title = f"Segment #{node.id}, steps 1 to {evidence.step}    red: #{node.id}    blue: best branch    grey: siblings"
    height = 330 if len(panels) > COLUMNS else 400
    return compose(title, [draw(panel, SIDE // COLUMNS, height) for panel in panels[:6]], COLUMNS)


def run_sheet(evidence: Evidence) -> bytes:
    """Validation of every trajectory over total steps, and the parameters along the line to here."""
    title = (
        f"The run by total GRPO steps    red: branch to {place(evidence.parent, evidence.step)}    blue: best branch"
    )
    big = draw(validation_panel(evidence), SIDE, 380)
    small = [draw(panel, SIDE // COLUMNS, 280) for panel in parameter_panels(evidence)[:COLUMNS]]
    return compose(title, [big, *small], COLUMNS)


# ---- what is drawn --------------------------------------------------------------------------------------------------


def segment_panels(evidence: Evidence) -> list[EvidencePanel]:
    """The segment's curves beside those of other segments, moved so that equal total steps stand above each other."""
    node, tree = evidence.parent, evidence.tree
    best = {each.id for each in best_path(tree)}
    panels = []
    for name, title in CURVES:
        own = PanelCurve(f"#{node.id}", evidence.metrics.get(name, ()))
        if not own.finite:
            continue
        steps = [step for step, _ in own.finite]
        lines = [own]
        for node_id in compared(tree, node):
            shift = tree[node_id].start_steps - node.start_steps
            given = [(s + shift, v) for s, v in evidence.others.get(node_id, {}).get(name, ())]
            colour = BEST if node_id in best else OTHER
            lines.append(PanelCurve(f"#{node_id}", [p for p in given if steps[0] <= p[0] <= steps[-1]], colour, 1.4))
        panels.append(EvidencePanel(title, tuple(lines)))
    return panels[:6]


def validation_panel(evidence: Evidence) -> EvidencePanel:
    """Every line of the tree, the one to here and the best one in colour, with 95% intervals on the line to here."""
    tree = evidence.tree
    path = tree.path(evidence.parent.id)
    best = best_path(tree)
    here = _scores(path, evidence.step)
    lines = [PanelCurve("this branch", here, HERE, 2.6, "o")]
    lines += [PanelCurve("best branch", _scores(best, None), BEST, 2.2, "s")]
    drawn = {node.id for node in (*path, *best)}
    lines += [
        PanelCurve("", _scores([tree[node.parent], node], None), OTHER, 1.2, ".")
        for node in tree
        if node.id not in drawn and node.checkpoints and node.parent is not None
    ]
    bars = [(node.start_steps + c.step, *c.score.interval) for node, c in checkpoints_along(path, evidence.step)]
    total = evidence.parent.start_steps + evidence.step
    return EvidencePanel("validation score (bars: 95%)", tuple(lines), "total steps", legend=True, bars=tuple(bars),
                 marked=total)  # fmt: skip


def _scores(path: Sequence[Node], last_step: int | None) -> list[tuple[int, float | None]]:
    """Scores along a path by total steps, see `checkpoints_along`."""
    scores: dict[int, float | None] = {
        node.start_steps + c.step: c.score.value for node, c in checkpoints_along(path, last_step)
    }
    return sorted(scores.items())


def parameter_panels(evidence: Evidence) -> list[EvidencePanel]:
    """The parameters that moved along the line to here, the most often moved first; else the first of the space."""
    path = [node for node in evidence.tree.path(evidence.parent.id) if node.transition]
    panels: list[tuple[int, EvidencePanel]] = []
    for parameter in evidence.space:
        points: list[tuple[int, float | None]] = []
        for node in path:
            value = node.configuration.get(parameter.name)
            if value is not None:
                height = parameter.rank(value)
                points += [(node.start_steps, height), (node.start_steps + max(1, node.steps), height)]
        moves = sum(a[1] != b[1] for a, b in itertools.pairwise(points))
        if points and not parameter.fixed:
            title = f"{parameter.name} = {format_value(path[-1].configuration.get(parameter.name, 0))}"
            if parameter.categorical:
                heights = dict.fromkeys(int(height) for _, height in points if height is not None and height >= 0)
                title += f" ({', '.join(f'{i} {format_value(parameter.choices[i])}' for i in heights)})"
            panels.append((moves, EvidencePanel(title, (PanelCurve("", points),), "total steps", steps=True)))
    return [panel for _, panel in sorted(panels, key=lambda pair: -pair[0])]


# ---- drawing and composing ------------------------------------------------------------------------------------------


def draw(panel: EvidencePanel, width: int, height: int) -> Image:
    """One panel as a picture of exactly this size."""
    with _DRAWING:
        return _draw(panel, width, height)


def _draw(panel: EvidencePanel, width: int, height: int) -> Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, NullFormatter
    from PIL import Image

    dpi = 100
    figure = Figure(figsize=(width / dpi, height / dpi), dpi=dpi)
    left, right, top, bottom = MARGINS
    figure.subplots_adjust(left / width, bottom / height, 1 - right / width, 1 - top / height)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    _lines(axes, panel)
    _scale(axes, panel)
    logarithmic = " (log)" if axes.get_yscale() == "log" else ""
    axes.set_title(panel.title + logarithmic, fontsize=13, fontweight="bold", parse_math=False)
    axes.set_xlabel(panel.axis, fontsize=11)
    axes.tick_params(labelsize=11)
    axes.locator_params(axis="x", nbins=5, integer=True)
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_value(float(f"{value:.4g}"))))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.35)
    if panel.legend:
        axes.legend(fontsize=11, loc="upper left")
    pixels, size = canvas.print_to_buffer()  # type: ignore[no-untyped-call]  # matplotlib annotates little
    picture = Image.frombytes("RGBA", size, pixels).convert("RGB")
    return picture if picture.size == (width, height) else picture.resize((width, height))


def _lines(axes: Axes, panel: EvidencePanel) -> None:
    for i, line in reversed(list(enumerate(panel.lines))):  # the first one lies on top
        finite = line.finite
        if not finite:
            continue
        steps, values = [s for s, _ in finite], [v for _, v in finite]
        axes.plot(
            steps, values, color=line.colour, linewidth=line.width, marker=line.marker or None, markersize=6,
            drawstyle="steps-post" if panel.steps else "default", label=line.name or None, zorder=10 - min(i, 8),
        )  # fmt: skip
        if not panel.steps and (i == 0 or (panel.legend and line.name)):
            _ends(axes, line)
    for step, low, high in panel.bars:
        axes.plot([step, step], [low, high], color=HERE, linewidth=1.2, alpha=0.7)
    if panel.marked is not None:
        axes.axvline(panel.marked, color="#444444", linestyle=":", linewidth=1.5)
    for step in panel.lines[0].broken[:20]:
        axes.axvline(step, color="#7b00b3", linewidth=2, alpha=0.5)
    if panel.lines[0].broken:
        axes.set_xlabel("")
        axes.annotate(f"NaN at step {panel.lines[0].broken[0]}", (0.03, 0.03), xycoords="axes fraction", fontsize=11,
                      color="#7b00b3")  # fmt: skip


def _ends(axes: Axes, line: PanelCurve) -> None:
    """The first and the last value as numbers beside the curve: a model reads numbers better than heights."""
    for (step, value), aside, above in ((line.finite[0], 4, -16), (line.finite[-1], -4, 8)):
        axes.annotate(
            short(value), (step, value), xytext=(aside, above), textcoords="offset points", fontsize=11,
            ha="left" if aside > 0 else "right", color=line.colour, fontweight="bold", zorder=20,
            bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1},
        )  # fmt: skip


def _scale(axes: Axes, panel: EvidencePanel) -> None:
    """A logarithmic axis where positive values span more than a factor of thirty; else with some room."""
    values = [value for line in panel.lines for _, value in line.finite]
    if not values:
        return
    low, high = min(values), max(values)
    if low > 0 and high / low > 30:
        axes.set_yscale("log")
    else:
        # Noise around a constant must look small: the axis spans at least a quarter of the level.
        half = max(0.65 * (high - low), 0.125 * max(abs(low), abs(high))) or 1.0
        axes.set_ylim((low + high) / 2 - half, (low + high) / 2 + half)


def compose(title: str, pictures: Sequence[Image], columns: int) -> bytes:
    """Pictures in rows under a title, as one PNG of at most SIDE pixels a side. Wide ones take a row of their own."""
    from PIL import Image

    rows: list[list[Image.Image]] = []
    for picture in pictures:
        wide = picture.width > SIDE // columns
        if wide or not rows or len(rows[-1]) == columns or rows[-1][0].width > SIDE // columns:
            rows.append([])
        rows[-1].append(picture)
    height = TITLE_HEIGHT + sum(max(p.height for p in row) for row in rows)
    sheet = Image.new("RGB", (SIDE, height), "white")
    _title(sheet, title)
    top = TITLE_HEIGHT
    for row in rows:
        left = 0
        for picture in row:
            sheet.paste(picture, (left, top))
            left += picture.width
        top += max(p.height for p in row)
    return _as_png(sheet)


def stacked(pngs: Sequence[bytes]) -> bytes:
    """Pictures one under the other as one PNG of at most SIDE pixels a side, for a model that takes a single one."""
    from PIL import Image

    pictures = [Image.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    sheet = Image.new("RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white")
    top = 0
    for picture in pictures:
        sheet.paste(picture, (0, top))
        top += picture.height
    return _as_png(sheet)


def _as_png(sheet: Image) -> bytes:
    from PIL import Image

    sheet.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    sheet.quantize(96, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)  # a third of the bytes, same look
    return buffer.getvalue()


def _title(sheet: Image, title: str) -> None:
    from PIL import ImageDraw, ImageFont

    ImageDraw.Draw(sheet).text((12, 8), title, fill="black", font=ImageFont.load_default(size=18))

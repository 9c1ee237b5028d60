"""The figures of a report by matplotlib, imported late: the tree over GRPO steps, the best score against what was
spent, hyperparameters along the best trajectory. The same rows give the same picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from engine.domain.parameters import format_value
from llmzero_tui.files.report.facts import Row, RunReport
from llmzero_tui.format import plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BEST, OTHER = "#b35900", "#8a97a6"
"""Colours that hold on white, in grey print, and for eyes that tell red and green badly."""
SUFFIXES = ("svg", "png")
MOST_TICKS = 5
"""Values of a hyperparameter that each have a tick."""


def draw(report: RunReport) -> dict[str, bytes]:
    """Name of a file → its bytes, for every figure that the run has something for."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams.update({"svg.hashsalt": "llmzero", "font.size": 8, "axes.spines.top": False,
                                "axes.spines.right": False})  # fmt: skip
    images: dict[str, bytes] = {}
    if len(report.scores) > 1:
        images |= _written("tree", _tree(report.scores))
        images |= _written("best", _best_so_far(report.scores))
    if (differing := _differing(report.parameters)) and any(row["stage"] is not None for row in report.parameters):
        images |= _written("parameters", _parameters(differing))
    return images


def _written(name: str, figure: Figure) -> dict[str, bytes]:
    import matplotlib.pyplot as plt

    files = {}
    for suffix in SUFFIXES:
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=130, metadata={"Date": None} if suffix == "svg" else None)
        files[f"{name}.{suffix}"] = buffer.getvalue()
    plt.close(figure)
    return files


def _axes(width: float, height: float, columns: int = 1, rows: int = 1) -> tuple[Figure, Any]:
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, layout="constrained")
    return figure, axes


def _tree(scores: Sequence[Row]) -> Figure:
    """Every segment as a line from the checkpoint it branched off, validation score over GRPO steps from the base."""
    figure, axes = _axes(8, 3.8)
    axis = axes[0][0]
    at = {(row["node_id"], row["step"]): row for row in scores}
    for node in dict.fromkeys(row["node_id"] for row in scores):
        own = sorted((row for row in scores if row["node_id"] == node), key=lambda row: row["step"])
        start = at.get((own[0]["parent_id"], own[0]["branch_step"]))
        points = [*([start] if start else []), *own]
        on_best = own[0]["stage"] is not None
        axis.plot(
            [row["total_steps"] for row in points], [row["value"] for row in points], marker="o", markersize=2.5,
            color=BEST if on_best else OTHER, linewidth=2 if on_best else 0.9, zorder=3 if on_best else 2,
        )  # fmt: skip
        if on_best and start:
            last = own[-1]
            axis.annotate(
                f"#{node}", (last["total_steps"], last["value"]), textcoords="offset points", xytext=(4, 6), zorder=4,
                bbox={"facecolor": "white", "alpha": 0.7, "pad": 0.5, "linewidth": 0},
            )  # fmt: skip
            axis.fill_between(
                [row["total_steps"] for row in points], [row["value_low"] for row in points],
                [row["value_high"] for row in points], color=BEST, alpha=0.15, linewidth=0,
            )  # fmt: skip
    axis.set_xlabel("GRPO steps from the base model")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set_ylabel("validation score")
    _as_scores(axis, scores)
    return figure


def _as_scores(axis: Axes, scores: Sequence[Row]) -> None:
    """A score lies between 0 and 1; a run that always scored the same gets all of it."""
    if len({row["value"] for row in scores}) == 1:
        axis.set_ylim(-0.02, 1.02)


def _best_so_far(scores: Sequence[Row]) -> Figure:
    """The best validation score so far against GRPO steps and trainer seconds spent in the whole run."""
    figure, axes = _axes(8, 2.6, columns=2)
    for axis, key, words in zip(
        axes[0], ("spent_steps", "spent_seconds"), ("GRPO steps spent", "trainer seconds spent"), strict=True
    ):
        best = list(accumulate((row["value"] for row in scores), max))
        axis.step([row[key] for row in scores], best, where="post", color=BEST)
        axis.scatter([row[key] for row in scores], [row["value"] for row in scores], s=5, color=OTHER)
        axis.set_xlabel(words)
        axis.xaxis.get_major_locator().set_params(integer=True)
        _as_scores(axis, scores)
    axes[0][0].set_ylabel("best validation so far")
    return figure


def _differing(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows of each hyperparameter that has several values."""
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        by_name.setdefault(row["parameter"], []).append(row)
    return {name: own for name, own in by_name.items() if len({row["value"] for row in own}) > 1}


def _parameters(by_name: Mapping[str, list[Row]]) -> Figure:
    """A panel a hyperparameter: its value along the best trajectory, other segments in grey."""
    columns = min(3, len(by_name))
    lines = -(-len(by_name) // columns)
    figure, axes = _axes(8, 1.6 * lines + 0.3, columns, lines)
    flat = [axis for line in axes for axis in line]
    for axis, (name, own) in zip(flat, by_name.items(), strict=False):
        _panel(axis, name, own)
    for axis in flat[len(by_name) :]:
        axis.set_axis_off()
    figure.supxlabel("GRPO steps from the base model")
    return figure


def _panel(axis: Axes, name: str, rows: Sequence[Row]) -> None:
    for row in sorted(rows, key=lambda each: each["stage"] is not None):
        on_best = row["stage"] is not None
        axis.plot(
            [row["start_steps"], row["end_steps"]], [row["value"]] * 2, color=BEST if on_best else OTHER,
            linewidth=2.2 if on_best else 0.9,
        )  # fmt: skip
    values = sorted({row["value"] for row in rows})
    if values[0] > 0 and values[-1] / values[0] >= 4:
        axis.set_yscale("log")
    axis.minorticks_off()
    ticks = values if len(values) <= MOST_TICKS else [values[0], values[len(values) // 2], values[-1]]
    axis.set_yticks(ticks, [format_value(each) for each in ticks])
    axis.margins(y=0.2)
    axis.set_title(plain(name, 40), loc="left", fontsize=8)

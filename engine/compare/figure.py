"""The anytime curves of a comparison as a picture: a panel a task, a line a strategy. Imports matplotlib late."""

from __future__ import annotations

from pathlib import Path

from engine.compare.report import ComparisonReport
from engine.compare.statistics import Against, anytime

AXIS = {"seconds": "trainer seconds", "steps": "GRPO steps", "tokens": "generated tokens"}
DASHES = ("-", "--", ":", "-.")


def draw(report: ComparisonReport, against: Against, paths: list[Path]) -> None:
    """Write the picture to each path, in the format of its suffix; the same lines give the same file."""
    import matplotlib

    matplotlib.use("Agg")
    matplotlib.rcParams["svg.hashsalt"] = "llmzero"
    import matplotlib.pyplot as plt

    measured = [task for task in report.tasks if any(report.lines.get((task, s)) for s in report.strategies)]
    width = max(1, len(measured))
    figure, axes = plt.subplots(1, width, figsize=(4 * width, 4.2), squeeze=False, layout="constrained")
    for axis, task in zip(axes[0], measured, strict=False):
        for number, strategy in enumerate(report.strategies):
            cells = report.lines.get((task, strategy), {})
            if curve := anytime(cells, against):
                xs, ys = zip(*curve, strict=True)
                style = DASHES[number // 10 % len(DASHES)]
                axis.plot(xs, ys, style, label=strategy, linewidth=1.2, color=f"C{number % 10}")
        axis.set_title(task)
        axis.set_xlabel(AXIS[against])
    axes[0][0].set_ylabel("best validation score so far")
    drawn = {str(line.get_label()): line for axis in axes[0] for line in axis.get_lines()}
    if drawn:
        figure.legend(list(drawn.values()), list(drawn), loc="outside lower center", ncols=3 * width, fontsize=7)
    for path in paths:
        metadata = {"Date": None} if path.suffix == ".svg" else None
        figure.savefig(path, dpi=150, metadata=metadata)
    plt.close(figure)

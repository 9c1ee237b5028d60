"""The replays of what the cells of a comparison measured: the schedule that a search found, trained again on seeds that
it never saw, each an ordinary cell. A strategy that only found a lucky checkpoint looks like one there.

Asked by `report.PlannedComparison`. Pure: cells and lines in, cells out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.compare.plan import AWAY, ComparisonCell
from engine.compare.records import Line
from engine.compare.replay import as_it_is

SUFFIX = ".replay"
"""Of the strategy's label; its replays are cells of that name."""


def replay_cells(
    cells: Iterable[ComparisonCell], done: Mapping[tuple[str, str, int], Line], replays: int
) -> Iterator[ComparisonCell]:
    """So many replays of each measured cell whose search found something."""
    for cell in cells:
        stages = _schedule(done[cell.key]) if cell.key in done else []
        for number in range(1, replays + 1) if stages else ():
            yield ComparisonCell(
                cell.plan, cell.task, cell.strategy + SUFFIX, cell.seed + number * AWAY, _settings(cell, stages)
            )


def _settings(cell: ComparisonCell, stages: list[dict[str, Any]]) -> dict[str, Any]:
    steps = sum(stage["steps"] for stage in stages)
    own = as_it_is(cell.settings, steps)
    search = {key: value for key, value in cell.settings.get("search", {}).items() if key != "settings"}
    search |= {"strategy": "replay", "settings": {"stages": stages}, **own["search"]}
    return {**cell.settings, **own, "search": search}


def _schedule(line: Line) -> list[dict[str, Any]]:
    """The stages from the base to the policy that a cell reports, of a soup to its newest member: steps, what changes,
    Adam and KL reference. Empty where nothing beat the base."""
    nodes = {node["id"]: node for node in line["nodes"]}
    at, leaves = line["best"]["node"], line["best"]["step"]
    stages: list[dict[str, Any]] = []
    while at != 0:
        node = nodes[at]
        stage = {
            "steps": leaves,
            "configuration": node.get("changes", {}),
            "optimizer": node.get("optimizer", "keep"),
            "reference": node.get("reference", "base"),
        }
        stages.append(stage)
        at, leaves = node["parent"], node["branch_step"]
    return [stage for stage in reversed(stages) if stage["steps"]]

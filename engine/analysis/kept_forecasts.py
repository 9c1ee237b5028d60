"""The forecasts that an engine keeps with its run, in the column `runs.forecasts`: `show`, the run screen and SQL (view
`forecasts`) all read them there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from typing import Any

from engine.analysis.forecast import BranchForecast, ForecastPoint
from engine.analysis.rows import Rows
from engine.store import queries


def stored(made: Iterable[BranchForecast]) -> str | None:
    """Forecasts as the column `runs.forecasts` keeps them, a row for each point; None for none."""
    rows = [
        {"first_node": each.first, "node_id": each.node, "best": each.best, **point.as_dict()}
        for each in made
        for point in each.points
    ]
    return json.dumps(rows) if rows else None


def read_forecasts(rows: Rows) -> tuple[BranchForecast, ...]:
    """What the engine has forecast of the run."""
    found = groupby(rows(queries.load("forecasts")), itemgetter("first_node", "node_id", "best"))
    return tuple(
        BranchForecast(first, node, best, tuple(_point(row) for row in points)) for (first, node, best), points in found
    )


def _point(row: Mapping[str, Any]) -> ForecastPoint:
    return ForecastPoint(row["steps"], row["mean"], row["low"], row["high"])

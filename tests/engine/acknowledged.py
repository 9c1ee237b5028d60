"""Rows that a run has acknowledged: what a reader has seen and no later engine or worker may lose, change or double."""

from __future__ import annotations

from collections import Counter
from typing import Any

from engine.run.rundir import RunDirectory
from tests.engine import live

ONCE = {
    "metrics": "node_id, step, name",
    "checkpoints": "node_id, step",
    "evaluations": "kind, node_id, step, path, split, seed",
    "command_results": "command_id, state",
}
"""Table → what no two rows may have in common."""

_LASTS = """
SELECT 'metrics' AS kind, [m.node_id::VARCHAR, m.step::VARCHAR, m.name, m.value::VARCHAR] AS fields
FROM metrics m JOIN (SELECT node_id, max(step) AS step FROM checkpoints GROUP BY node_id) c
    ON m.node_id = c.node_id AND m.step <= c.step
UNION ALL SELECT 'checkpoints', [node_id::VARCHAR, step::VARCHAR, greedy::VARCHAR, sampled::VARCHAR] FROM checkpoints
UNION ALL SELECT 'evaluations', [seq::VARCHAR, kind, node_id::VARCHAR, greedy::VARCHAR, sampled::VARCHAR]
    FROM evaluations
UNION ALL SELECT 'nodes', [node_id::VARCHAR, parent_id::VARCHAR, changes::VARCHAR, seed::VARCHAR] FROM nodes
    WHERE state = 'finished'
UNION ALL SELECT 'events', [seq::VARCHAR, kind, message] FROM events
"""
"""All in one look. What a segment trained after its last scored checkpoint is trained again when its worker is lost."""

Row = tuple[str, ...]


def rows(directory: RunDirectory) -> Counter[Row]:
    """What is acknowledged by now."""
    return Counter((row["kind"], *map(str, row["fields"])) for row in live.rows(directory, _LASTS))


def lost(directory: RunDirectory, before: Counter[Row]) -> list[Row]:
    """Rows that were acknowledged and are not there as they were."""
    return sorted((before - rows(directory)).elements())


def doubled(directory: RunDirectory) -> list[dict[str, Any]]:
    """Rows of which there is more than one."""
    twice = []
    for table, key in ONCE.items():
        having = f"SELECT '{table}' AS kind, {key} FROM {table} GROUP BY ALL HAVING count(*) > 1"  # noqa: S608
        twice += live.rows(directory, having)
    return twice

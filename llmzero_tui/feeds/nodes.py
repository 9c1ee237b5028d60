"""Reads the nodes of a run and their small curves: what is not as it was, and the curves of the lines looked at.

Used by the run's feed, in its worker thread. A tree of ten thousand nodes is converted once; after that a look brings
only the chunks of nodes in which something is different, whatever it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.store.queries import load as sql
from engine.store.reader import Reader
from llmzero_tui.values.nodes import Nodes
from llmzero_tui.values.rows import node_of, parts
from llmzero_tui.values.snapshot import Row

SPARK_PARTS = 6
FEW = 256
"""Of so many nodes every small curve is read at once; of more, only those of the lines on screen."""
Spark = tuple[float | None, ...]


@dataclass
class NodesFeed:
    """The nodes as of the last look."""

    nodes: Nodes = field(default_factory=Nodes)
    _marks: dict[int, str] = field(default_factory=dict)
    _chunks: dict[int, frozenset[int]] = field(default_factory=dict)

    def forget(self) -> None:
        """The next look reads everything; nodes that are equal stay the same objects all the same."""
        self._marks = {}

    def read(self, reader: Reader) -> Nodes:
        """All nodes: the same object when nothing is different."""
        rows_of: dict[int, list[Row]] = {}
        marks: dict[int, str] = {}
        for row in reader.rows(sql("ui_nodes"), (json.dumps(list(self._marks.values())),)):
            marks[row["chunk"]] = row["mark"]
            if row["node_id"] is not None:
                rows_of.setdefault(row["chunk"], []).append(row)
        different = {c for c, mark in marks.items() if self._marks.get(c) != mark} | (
            self._chunks.keys() - marks.keys()
        )
        self._marks = marks
        if different:
            new = [node_of(row, live=reader.live) for chunk in sorted(rows_of) for row in rows_of[chunk]]
            before = {number for chunk in different for number in self._chunks.pop(chunk, ())}
            self._chunks.update({c: frozenset(r["node_id"] for r in rows) for c, rows in rows_of.items()})
            self.nodes = self.nodes.changed(new, before - {node.id for node in new})
        return self.nodes


@dataclass
class SparksFeed:
    """The small curves of the tree's lines, and the scale that they share."""

    sparks: Mapping[int, Spark] = field(default_factory=dict)
    extent: tuple[float, float] = (0.0, 1.0)
    _known: bool = False

    def forget(self) -> None:
        """The next look reads everything anew."""
        self.sparks, self._known = {}, False

    def read(self, reader: Reader, nodes: Nodes, lines: Iterable[int], grown: Iterable[int]) -> None:
        """Bring to the present what has grown, and what is looked at for the first time."""
        changed = set(grown)
        if changed or not self._known:
            self._scale(reader, json.dumps(sorted(changed)) if self._known else None)
        wanted = self.missing(nodes, lines) | (changed & self.sparks.keys())
        if not wanted:
            return
        rows_of: dict[int, list[Row]] = {number: [] for number in wanted}
        for row in reader.rows(sql("ui_sparks"), (json.dumps(sorted(wanted)), SPARK_PARTS)):
            rows_of[row["node_id"]].append(row)
        new = {number: parts(rows, SPARK_PARTS) if rows else () for number, rows in rows_of.items()}
        self.sparks = {**self.sparks, **new}

    def missing(self, nodes: Nodes, lines: Iterable[int]) -> set[int]:
        """Nodes whose small curve should be there and was not read yet."""
        return set(nodes if len(nodes) <= FEW else nodes.keys() & set(lines)) - self.sparks.keys()

    def _scale(self, reader: Reader, of: str | None) -> None:
        row = reader.rows(sql("ui_extent"), (of, SPARK_PARTS))[0]
        if row["low"] is not None:
            # Outward to tenths: otherwise every step of a running segment would redraw every line.
            low, high = math.floor(10 * row["low"]) / 10, math.ceil(10 * row["high"]) / 10
            self.extent = (min(self.extent[0], low), max(self.extent[1], high)) if self._known else (low, high)
            self._known = True

"""Tasks whose items are rows of a file or a data set instead of draws of a generator.

Base of the Hugging Face tasks and of a user's JSONL. Splits are disjoint by content here too; no row is given twice in
one measurement, so a small file bounds the number of test items.
"""

from __future__ import annotations

import functools
import json
import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.base import Item, Split, Task, TaskError, split_of

Row = Mapping[str, Any]


class RowsTask(Task):
    """A task over rows. Subclasses implement `train_rows`, `item` and `score`, and `test_rows` where a test set exists.

    With a test set of its own, training and validation share the rest by the hash of the prompt; without one, all three
    do. A prompt of the test set that occurs in training too is taken out of training.
    """

    @abstractmethod
    def train_rows(self) -> Sequence[Row]:
        """The rows to learn from. Raises TaskError with one line that says what is missing and where it belongs."""

    def test_rows(self) -> Sequence[Row]:
        """Rows of a published test set; empty when there is none."""
        return ()

    @abstractmethod
    def item(self, row: Row) -> Item | None:
        """The item of a row; None for a row that cannot be used."""

    def generate(self, rng: random.Random) -> Item:
        return rng.choice(self._pool()[Split.TRAIN])

    def items(self, split: Split, n: int, seed: int = 0) -> list[Item]:
        """`n` items of a split in a seeded order; training rows begin anew when they are used up.

        Raises:
            TaskError: the rows cannot be loaded, or the split holds fewer than `n` different items to measure on.
        """
        pool = [item for item in self._pool()[split] if self._in_training(item, split)]
        if not pool or (len(pool) < n and split is not Split.TRAIN):
            raise TaskError(
                f"task {self.name}: {n} {split} items are asked for and its rows give {len(pool)}; lower the numbers "
                "of prompts in [evaluation], or give it more rows"
            )
        found: list[Item] = []
        for turn in range(-(-n // len(pool))):
            found += random.Random(f"{self.name}/{split}/{seed}/{turn}").sample(pool, len(pool))
        return found[:n]

    @functools.cache  # noqa: B019  a task lives as long as its process
    def _pool(self) -> Mapping[Split, list[Item]]:
        pools: dict[Split, dict[str, Item]] = {split: {} for split in Split}
        for item in filter(None, map(self.item, self.test_rows())):
            pools[Split.TEST].setdefault(item.prompt, item)
        published = bool(pools[Split.TEST])
        for item in filter(None, map(self.item, self.train_rows())):
            split = split_of(item.prompt)
            if published:
                split = Split.TRAIN if split is Split.TEST else split
                if item.prompt in pools[Split.TEST]:
                    continue
            pools[split].setdefault(item.prompt, item)
        return {split: list(found.values()) for split, found in pools.items()}


def read_json_lines(path: Path, what: str) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; empty lines are skipped.

    Raises:
        TaskError: it cannot be read, or a line is no JSON object; one line with the number of the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{what}: {str(path)!r} cannot be read: {error}") from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise TaskError(f"{what}: line {number} of {str(path)!r} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise TaskError(f"{what}: line {number} of {str(path)!r} is not a JSON object")
        rows.append(row)
    return rows

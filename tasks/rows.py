"""Tasks whose items are rows of a file or a data set instead of draws of a generator.

Base of the Hugging Face tasks and of a user's JSONL. Splits are disjoint by content here too; no row is given twice in
one measurement, so a small file bounds the number of test items.
"""

from __future__ import annotations

import codecs
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
        pool = self.rows(split)
        if not pool or (len(pool) < n and split is not Split.TRAIN):
            raise TaskError(
                f"task {self.name}: {n} {split} items are asked for and its rows give {len(pool)}; lower the numbers "
                f"of prompts in [evaluation], or give it more rows{''.join(f'; {note}' for note in self.notes())}"
            )
        drawn: list[Item] = []
        for turn in range(-(-n // len(pool))):
            drawn += random.Random(f"{self.name}/{split}/{seed}/{turn}").sample(pool, len(pool))
        return drawn[:n]

    def rows(self, split: Split) -> list[Item]:
        return [item for item in self._pool()[split] if self._in_training(item, split)]

    def notes(self) -> tuple[str, ...]:
        """Rows that are left out because an earlier one has the same prompt: a policy cannot tell the two apart."""
        again, others, first = self._read()[1:]
        if first is None:
            return ()
        other = f", {others} of them with another answer or other data" if others else ""
        hint = "; put what tells them apart into the prompt" if others else ""
        return (
            f"{again} rows repeat the prompt of an earlier row and are left out{other} ({self.where(first)}){hint}",
        )

    def _pool(self) -> Mapping[Split, list[Item]]:
        return self._read()[0]

    @functools.cache  # noqa: B019  a task lives as long as its process
    def _read(self) -> tuple[Mapping[Split, list[Item]], int, int, Item | None]:
        """The items of each split; how many rows repeat a prompt, how many of these differ, and the first repeated."""
        pools: dict[Split, dict[str, Item]] = {split: {} for split in Split}
        repeated: list[tuple[Item, bool]] = []

        def add(split: Split, item: Item) -> None:
            first = pools[split].setdefault(item.prompt, item)
            if first is not item:
                repeated.append((first, first != item))

        for item in filter(None, map(self.item, self.test_rows())):
            add(Split.TEST, item)
        published = bool(pools[Split.TEST])
        for item in filter(None, map(self.item, self.train_rows())):
            split = split_of(item.prompt)
            if published:
                split = Split.TRAIN if split is Split.TEST else split
                if item.prompt in pools[Split.TEST]:
                    continue
            add(split, item)
        by_split = {split: list(items.values()) for split, items in pools.items()}
        others = [first for first, differs in repeated if differs]
        example = next(iter(others or [first for first, _ in repeated]), None)
        return by_split, len(repeated), len(others), example


def read_json_lines(path: Path, what: str) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; see `numbered_json_lines`."""
    return [row for _, row in numbered_json_lines(path, what)]


_OTHER_KINDS = {
    codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16", b"\x1f\x8b": "compressed by gzip",
    b"(\xb5/\xfd": "compressed by zstd", b"PK\x03\x04": "a zip archive", b"PAR1": "a Parquet file",
}  # fmt: skip
"""How files begin that people give for JSON lines."""


def numbered_json_lines(path: Path, what: str) -> list[tuple[int, dict[str, Any]]]:
    """The objects of a file of JSON lines with the number of their line; empty lines are skipped.

    Lines end with \\n, with or without \\r, and with nothing else: U+2028 or a form feed may stand inside a text.
    A byte order mark at the beginning is no part of the first line.

    Raises:
        TaskError: it cannot be read, has no rows, or a line is no JSON object; one line with the number of the line.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TaskError(f"{what}: {str(path)!r} cannot be read: {error.strerror or error}") from error
    for begin, kind in _OTHER_KINDS.items():
        if content.startswith(begin):
            raise TaskError(f"{what}: {str(path)!r} is {kind}; give one JSON object a line, as UTF-8")
    lines = content.removeprefix(codecs.BOM_UTF8).split(b"\n")
    rows = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                rows.append((number, _json_object(line)))
            except ValueError as error:
                raise TaskError(f"{what}: line {number} of {str(path)!r} {error}") from error
    if not rows:
        raise TaskError(f"{what}: {str(path)!r} has no rows")
    return rows


def _json_object(line: bytes) -> dict[str, Any]:
    """One line. Raises ValueError that says what it is instead; control characters inside texts are let through."""
    try:
        row = json.loads(line.decode("utf-8"), strict=False)
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (at byte {error.start} of the line)") from error
    except RecursionError as error:
        raise ValueError("is nested too deep") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"is not JSON: {error.msg} at character {error.colno}") from error
    except ValueError as error:  # an integer of thousands of digits
        raise ValueError(f"is not JSON: {error}") from error
    if isinstance(row, list):
        raise ValueError("is a JSON array, not a JSON object; write one object a line")
    if not isinstance(row, dict):
        raise ValueError("is not a JSON object")
    if b"\\ud" in line or b"\\uD" in line:
        try:
            json.dumps(row, ensure_ascii=False).encode("utf-8")
        except UnicodeEncodeError as error:
            half = f"U+{ord(error.object[error.start]):04X}"
            raise ValueError(f"has half of a character ({half}, a lone surrogate): no tokenizer can read it") from error
        except RecursionError as error:
            raise ValueError("is nested too deep") from error
    return row

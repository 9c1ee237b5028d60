"""A user's JSON lines with a reward function of theirs: `data.jsonl:reward.py:function`, without writing a class.

Found by `tasks.registry`, which has executed the file. The file of data is read at the first item.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tasks.base import Item, Reward, TaskError
from tasks.rows import Row, RowsTask, read_json_lines

DEFAULT_LENGTH = 512


class JsonLines(RowsTask):
    """Rows with a "prompt" and whatever the reward function needs; an "answer" is shown where answers are shown.

    The function gets (completion, row) and returns True, False or a number; 1 or more is correct. The file of the
    function may set MAX_COMPLETION_LENGTH (tokens, 512) and CHAT (False).
    """

    def __init__(self, data: Path, module: ModuleType, function: Callable[[str, dict[str, Any]], Any]) -> None:
        self.name = data.stem
        self.summary = f"{data.name}, scored by {Path(str(module.__file__)).name}:{function.__name__}"
        self.max_completion_length = getattr(module, "MAX_COMPLETION_LENGTH", DEFAULT_LENGTH)
        self.chat = bool(getattr(module, "CHAT", False))
        self.size = f"rows of {data.name}"
        self._data = data
        self._function = function

    def train_rows(self) -> Sequence[Row]:
        rows = read_json_lines(self._data, f"task {self.name}")
        for number, row in enumerate(rows, 1):
            if not isinstance(row.get("prompt"), str) or not row["prompt"]:
                raise TaskError(f'task {self.name}: row {number} of {str(self._data)!r} has no "prompt" (a text)')
        return rows

    def item(self, row: Row) -> Item:
        answer = row.get("answer", "")
        return Item(row["prompt"], answer if isinstance(answer, str) else json.dumps(answer), dict(row))

    def score(self, completion: str, item: Item) -> Reward:
        value = self._function(completion, dict(item.data))
        if isinstance(value, bool):
            return Reward(value, float(value))
        if not isinstance(value, int | float):
            raise TypeError(f"the reward function returned {value!r}, not True, False or a number")
        return Reward(value >= 1, float(value))

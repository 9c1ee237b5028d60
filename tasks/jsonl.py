"""A user's JSON lines with a reward function of theirs: `data.jsonl:reward.py:function`, without writing a class.

Found by `tasks.registry`, which has executed the file. The file of data is read at the first item; columns are taken by
the names that data sets of the hub have. `tasks.reward_function` knows how the function is called.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tasks.base import Item, Reward, TaskError
from tasks.reward_function import RewardFunction
from tasks.rows import Row, RowsTask, numbered_json_lines
from tasks.user_code import UserCode

DEFAULT_LENGTH = 512
PROMPTS = ("prompt", "question", "problem", "instruction", "query", "messages")
"""Columns that may hold the prompt; the first that the rows have."""
ANSWERS = ("answer", "solution", "ground_truth", "target", "expected_answer", "label", "output", "response")
"""Columns that may hold the answer; the first that the rows have."""
ROLES = ("system", "developer", "user", "assistant", "tool")


class JsonLines(RowsTask):
    """Rows with a prompt and whatever the reward function needs; an answer is shown where answers are shown.

    The file of the function may set MAX_COMPLETION_LENGTH (tokens, 512), CHAT (False), PROMPT_COLUMN, ANSWER_COLUMN.
    """

    def __init__(self, data: Path, code: UserCode, module: ModuleType, function: Callable[..., Any]) -> None:
        self.name = data.stem
        self.function = RewardFunction(function, code)
        self.summary = f"{data.name}, scored by {code.path.name}:{self.function.name}"
        self.max_completion_length = getattr(module, "MAX_COMPLETION_LENGTH", DEFAULT_LENGTH)
        self.chat = bool(getattr(module, "CHAT", False))
        self.size = f"rows of {data.name}"
        self._data = data
        self._prompt: str | None = getattr(module, "PROMPT_COLUMN", None)
        self._answer: str | None = getattr(module, "ANSWER_COLUMN", None)
        self._lines: dict[str, int] = {}

    def train_rows(self) -> Sequence[Row]:
        numbered = numbered_json_lines(self._data, f"task {self.name}")
        columns = list(numbered[0][1])
        self._prompt = self._column("PROMPT_COLUMN", self._prompt, PROMPTS, columns)
        self._answer = self._column("ANSWER_COLUMN", self._answer, ANSWERS, columns)
        if self._prompt is None:
            raise TaskError(
                f"task {self.name}: {self._place(numbered[0][0])} has no prompt: one of {', '.join(PROMPTS)}, "
                f"or PROMPT_COLUMN in {self.function.file}; its columns: {', '.join(columns)[:200] or 'none'}"
            )
        self.function.check_columns(columns, self.name)
        for number, row in numbered:
            try:
                item = self.item(row)
                self._check_answer(row)
            except ValueError as error:
                raise TaskError(f"task {self.name}: {self._place(number)} {error}".replace(" :", ":")) from error
            self._lines.setdefault(item.prompt, number)
        return [row for _, row in numbered]

    def _check_answer(self, row: Row) -> None:
        """Raises ValueError where a row has no answer and others have."""
        if self._answer is None:
            return
        if self._answer not in row:
            raise ValueError(f'has no "{self._answer}"')
        value = row[self._answer]
        if value is None or value != value:  # NaN
            raise ValueError(f'has {json.dumps(value)} as its "{self._answer}"')

    def item(self, row: Row) -> Item:
        assert self._prompt is not None
        value = row.get(self._prompt)
        if value is None:
            raise ValueError(f'has no "{self._prompt}"')
        if value in ("", []):
            raise ValueError(f'has an empty "{self._prompt}" ({json.dumps(value)})')
        answer = None if self._answer is None else row.get(self._answer)
        if isinstance(value, str):
            if self._prompt == "instruction" and isinstance(more := row.get("input"), str) and more:
                value = f"{value}\n\n{more}"
            return Item(value, _text(answer), dict(row))
        messages = _messages(value, self._prompt)
        if self._prompt == "messages" and len(messages) > 1 and messages[-1]["role"] == "assistant":
            answer = messages[-1]["content"] if answer is None else answer
            messages = messages[:-1]
        return Item(_readable(messages), _text(answer), dict(row), messages)

    def score(self, completion: str, item: Item) -> Reward:
        return self.score_batch([completion], [item])[0]

    def score_batch(
        self, completions: Sequence[str], items: Sequence[Item], ids: Sequence[Sequence[int]] | None = None
    ) -> list[Reward]:
        values = self.function(completions, items, ids)
        return [Reward(value >= 1, float(value)) for value in values]

    def where(self, item: Item) -> str:
        line = self._lines.get(item.prompt)
        return super().where(item) if line is None else self._place(line)

    def _place(self, line: int) -> str:
        return f"line {line} of {self._data.name}"

    def _column(self, key: str, asked: str | None, known: Sequence[str], columns: Sequence[str]) -> str | None:
        if asked is None:
            return next((name for name in known if name in columns), None)
        if asked not in columns:
            raise TaskError(
                f"task {self.name}: {key} = {asked!r:.80} in {self.function.file} is no column of {self._data.name}; "
                f"its columns: {', '.join(columns)[:200]}"
            )
        return asked


def _text(value: Any) -> str:
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _messages(value: Any, column: str) -> tuple[Mapping[str, str], ...]:
    """A chat: role and content of each message. Raises ValueError that says what is wrong with it."""
    if not isinstance(value, list):
        raise ValueError(f'has a "{column}" that is neither a text nor a list of chat messages')
    return tuple(_message(each, f'message {number} of "{column}"') for number, each in enumerate(value, 1))


def _message(value: Any, what: str) -> Mapping[str, str]:
    role = value.get("role") if isinstance(value, dict) else None
    if role not in ROLES:
        raise ValueError(f': {what} needs a "role" ({", ".join(ROLES)}) and a "content"')
    content = value.get("content")
    if isinstance(content, list):  # parts, as multimodal data sets have them
        kinds = [part.get("type") if isinstance(part, dict) else None for part in content]
        if other := next((kind for kind in kinds if kind != "text"), None):
            raise ValueError(f": {what} has a part of type {str(other)[:40]!r}; only texts are possible")
        content = "".join(str(part.get("text", "")) for part in content)
    if not isinstance(content, str):
        raise ValueError(f': {what} has no "content" (a text)')
    return {"role": role, "content": content}


def _readable(messages: Sequence[Mapping[str, str]]) -> str:
    """A chat as one text: a lone user message as it is, else each with its role."""
    if len(messages) == 1 and messages[0]["role"] == "user":
        return messages[0]["content"]
    return "\n".join(f"{each['role']}: {each['content']}" for each in messages)

"""GSM8K, MATH and instruction-following, from data sets that lie on this machine.

Found by `tasks.registry`. Nothing is downloaded: a run must not begin with a surprise of gigabytes, and a machine
without a network gets one line that says what to put where. Loading happens at the first item, not at the listing.
"""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

from tasks import constraints
from tasks.answers import bold_answer, boxed_answer, number_after_marker, said, same_mathematics, stated_number
from tasks.base import Item, Levels, Reward, TaskError, TaskNotFound
from tasks.rows import Row, RowsTask, read_json_lines

FOLDER = "LLMZERO_DATASETS"
"""Environment variable: a folder with NAME/train.jsonl and, where there is one, NAME/test.jsonl."""


class HubTask(RowsTask):
    """Rows of a data set of the hub, read from a folder of JSON lines or from the hub's local cache."""

    dataset: ClassVar[str]
    splits: ClassVar[Sequence[str]] = ("train", "test")
    kind = "data set"
    chat = True
    max_completion_length = 1024
    suggested_model = "Qwen/Qwen2.5-1.5B-Instruct"

    def train_rows(self) -> Sequence[Row]:
        return self._load("train")

    def test_rows(self) -> Sequence[Row]:
        return self._load("test") if "test" in self.splits else ()

    def _load(self, split: str) -> list[dict[str, Any]]:
        folder = os.environ.get(FOLDER)
        if folder and (path := Path(folder) / self.name / f"{split}.jsonl").is_file():
            return read_json_lines(path, f"task {self.name}")
        paths = _cached_files(self.dataset, split)
        if not paths:
            files = " and ".join(f"{each}.jsonl" for each in self.splits)
            raise TaskError(
                f"task {self.name}: {self.dataset} is not on this machine; run `hf download {self.dataset} --repo-type "
                f"dataset`, or put {files} into {self.name}/ in the folder that {FOLDER} names ({folder or 'not set'})"
            )
        if paths[0].endswith(".jsonl"):
            return [row for path in paths for row in read_json_lines(Path(path), f"task {self.name}")]
        import datasets

        rows: list[dict[str, Any]] = datasets.load_dataset("parquet", data_files=paths, split="train").to_list()
        return rows


def _cached_files(dataset: str, split: str) -> list[str]:
    """The split's files in the hub's cache; empty when it was never downloaded. Asks no network.

    Parquet files named after the split; a data set of JSON lines alone, such as IFEval's, is all training.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        root = snapshot_download(dataset, repo_type="dataset", local_files_only=True)
    except LocalEntryNotFoundError:
        return []
    files = sorted(str(path) for path in Path(root).rglob("*.parquet") if path.name.startswith(split))
    return files or (sorted(map(str, Path(root).rglob("*.jsonl"))) if split == "train" else [])


class Gsm8k(HubTask):
    """Grade-school word problems; the answer is the number after the only `####`, or in another usual form."""

    name = "gsm8k"
    summary = "grade-school word problems (GSM8K), a number as the answer"
    dataset = "openai/gsm8k"
    size = "7,473 + 1,319 test"
    instruction = "\n\nThink step by step, then write the final number alone on the last line, after ####."

    def item(self, row: Row) -> Item | None:
        question, worked = row.get("question"), row.get("answer")
        number = number_after_marker(worked) if isinstance(worked, str) else None
        if not isinstance(question, str) or not question.strip() or number is None:
            return None
        return Item(question.strip() + self.instruction, number, {"worked": worked})

    def score(self, completion: str, item: Item) -> Reward:
        number = stated_number(completion)
        correct = number is not None and Decimal(number) == Decimal(item.answer)
        return Reward(correct, float(correct), {"answer": float(correct), "format": float(number is not None)})

    def gold(self, item: Item) -> str:
        return str(item.data["worked"])


class Math(HubTask):
    """Competition mathematics in five levels; the answer in the last `\\boxed{}`, or in bold, by math-verify."""

    name = "math"
    summary = "competition mathematics (MATH), levels 1 to 5"
    dataset = "DigitalLearningGmbH/MATH-lighteval"
    size = "7,500 + 5,000 test"
    max_completion_length = 2048
    levels = Levels(lowest=1, highest=5, default=5, doc="level of a problem")
    instruction = "\n\nThink step by step, then put the final answer into \\boxed{}."

    def __init__(self) -> None:
        if importlib.util.find_spec("math_verify") is None:
            raise TaskNotFound('task "math" needs one more package: pip install "llmzero-tui[math]"')

    def item(self, row: Row) -> Item | None:
        problem, worked = row.get("problem"), row.get("solution")
        answer = boxed_answer(worked) if isinstance(worked, str) else None
        level = re.fullmatch(r"Level ([1-5])", str(row.get("level")))
        if not isinstance(problem, str) or not answer or level is None:
            return None
        return Item(problem.strip() + self.instruction, answer, {"worked": worked, "level": int(level[1])})

    def level(self, item: Item) -> int:
        return int(item.data["level"])

    def score(self, completion: str, item: Item) -> Reward:
        answer = boxed_answer(completion) or bold_answer(completion)
        correct = answer is not None and same_mathematics(answer, item.answer)
        return Reward(correct, float(correct), {"answer": float(correct), "format": float(answer is not None)})

    def gold(self, item: Item) -> str:
        return str(item.data["worked"])


class IfEval(HubTask):
    """Instructions with constraints that a program can check; all of them must hold."""

    name = "ifeval"
    summary = "follow instructions with checkable constraints (IFEval)"
    dataset = "google/IFEval"
    size = "541, those it can check"
    splits = ("train",)

    def item(self, row: Row) -> Item | None:
        prompt, names, arguments = row.get("prompt"), row.get("instruction_id_list"), row.get("kwargs")
        if not isinstance(prompt, str) or not isinstance(names, list) or not isinstance(arguments, list):
            return None
        wanted = [
            [name, {key: value for key, value in (given or {}).items() if value is not None}]
            for name, given in zip(names, arguments, strict=False)
        ]
        if not wanted or len(wanted) != len(names) or not all(constraints.known(name, given) for name, given in wanted):
            return None
        return Item(prompt, "; ".join(names), {"constraints": wanted})

    def score(self, completion: str, item: Item) -> Reward:
        answer = said(completion)
        kept = [constraints.holds(name, given, answer) for name, given in item.data["constraints"]]
        spoken = constraints.is_an_answer(answer)
        correct = spoken and all(kept)
        share = sum(kept) / len(kept) if spoken else 0.0
        return Reward(correct, 1.0 if correct else 0.5 * share, {"constraints": share})


TASKS: Mapping[str, type[HubTask]] = {task.name: task for task in (Gsm8k, IfEval, Math)}

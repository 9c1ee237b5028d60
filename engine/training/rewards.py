"""From a task's verdicts to the rewards that GRPO sees, with the last rollouts kept for samples.

Called by TRL inside a step and by the evaluator. A verdict that is not a finite number is an error here and never
reaches TRL, which would train on silently.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from engine.training.events import Sample
from engine.training.failures import is_out_of_memory
from tasks.base import Item, Reward, Task, TaskError

TEXT_LENGTH = 4000
_QUOTED = 160


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion of a training step with its verdict."""

    item: Item
    completion: str
    reward: Reward
    truncated: bool


def score(task: Task, completion: str, item: Item) -> Reward:
    """The task's verdict on one completion, checked.

    Raises:
        TaskError: `score` raised, returned no Reward, or a total that is not a finite number; the message names the
            task, the item and the completion. Running out of memory is passed on as it is.
    """
    try:
        reward = task.score(completion, item)
    except Exception as error:
        if is_out_of_memory(error):
            raise
        raise _fault(task, f"score raised {type(error).__name__}: {error}", completion, item) from error
    if not isinstance(reward, Reward):
        raise _fault(task, f"score returned {reward!r}, not a tasks.base.Reward", completion, item)
    if not _is_finite_number(reward.total):
        raise _fault(task, f"score gave a reward of {reward.total!r}, not a finite number", completion, item)
    for name, value in reward.components.items():
        if not _is_finite_number(value):
            raise _fault(task, f"reward component {name!r} is {value!r}, not a finite number", completion, item)
    return reward


def _is_finite_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _fault(task: Task, what: str, completion: str, item: Item) -> TaskError:
    what = " ".join(what.split())[:_QUOTED]
    return TaskError(f"task {task.name}: {what}; item {_quote(item.prompt)}, completion {_quote(completion)}")


def _quote(text: str) -> str:
    quoted = repr(text)
    return quoted if len(quoted) <= _QUOTED else quoted[: _QUOTED - 1] + "…"


class RewardFunction:
    """The reward function handed to GRPOTrainer. Keeps the rollouts of the latest generation.

    TRL logs it as `rewards/total/…`; besides, the share of correct rollouts is logged as `rewards/correct/mean` and
    every named component as `rewards/<component>/mean`.
    """

    __name__ = "total"

    def __init__(self, task: Task, items: Sequence[Item], end_ids: frozenset[int]) -> None:
        self._task = task
        self._items = items
        self._end_ids = end_ids
        self.rollouts: list[Rollout] = []

    def __call__(
        self,
        completions: list[str],
        completion_ids: list[list[int]],
        index: list[int],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        rollouts = []
        for text, ids, i in zip(completions, completion_ids, index, strict=True):
            item = self._items[i]
            truncated = not ids or ids[-1] not in self._end_ids
            rollouts.append(Rollout(item, text, score(self._task, text, item), truncated))
        self.rollouts = rollouts
        self._log_means(log_metric)
        return [float(rollout.reward.total) for rollout in rollouts]

    def _log_means(self, log_metric: Callable[[str, float], None]) -> None:
        log_metric("rewards/correct/mean", sum(r.reward.correct for r in self.rollouts) / len(self.rollouts))
        parts: dict[str, list[float]] = defaultdict(list)
        for rollout in self.rollouts:
            for name, value in rollout.reward.components.items():
                parts[name].append(float(value))
        for name, values in parts.items():
            if name not in ("total", "correct"):
                log_metric(f"rewards/{name}/mean", sum(values) / len(values))


def pick_samples(rollouts: Sequence[Rollout]) -> list[Sample]:
    """The best, the worst and one truncated rollout, each once, texts cut at 4,000 characters."""
    if not rollouts:
        return []
    best = max(rollouts, key=lambda r: r.reward.total)
    worst = min(rollouts, key=lambda r: r.reward.total)
    chosen = [best] if worst is best else [best, worst]
    cut = next((r for r in rollouts if r.truncated and r not in chosen), None)
    if cut is not None:
        chosen.append(cut)
    return [as_sample(rollout) for rollout in chosen]


def as_sample(rollout: Rollout, split: Literal["train", "validation", "test"] = "train") -> Sample:
    """A rollout as it is told, with its texts cut."""
    return Sample(
        prompt=_clean(rollout.item.prompt),
        completion=_clean(rollout.completion),
        answer=_clean(rollout.item.answer),
        reward=float(rollout.reward.total),
        correct=bool(rollout.reward.correct),
        truncated=rollout.truncated,
        components={_clean(str(name)): float(value) for name, value in rollout.reward.components.items()},
        split=split,
    )


def _clean(text: str) -> str:
    """Cut, and without lone surrogates, which no JSON line can carry."""
    return text[:TEXT_LENGTH].encode("utf-8", "replace").decode("utf-8")

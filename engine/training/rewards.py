"""From a task's verdicts to the rewards that GRPO sees, with the last rollouts kept for samples.

Called by TRL inside a step and by the evaluator. What is no finite number never reaches TRL, which would train on
silently: `Grader` counts it as 0 and counts how often, or raises.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.training.events import CompletionSample
from engine.training.failures import is_out_of_memory
from tasks.base import Item, Reward, Task, TaskError
from tasks.verdicts import verdicts

END_LENGTH = 2000
"""Characters that are kept of a text at either end."""
NOTHING = Reward(False, 0.0)
"""What a completion earns that could not be scored."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """One completion with its verdict; `model_prompt` is what the policy read, "" where that is not kept."""

    item: Item
    completion: str
    reward: Reward
    truncated: bool
    model_prompt: str = ""


class Grader:
    """A task's verdicts on what one job's policy writes. What cannot be scored counts as 0 and is counted, or raises.

    Attributes:
        scored: completions so far. failed: those without a verdict. first: the first error, one line; "" without one.
    """

    def __init__(self, task: Task, on_error: Literal["fail", "zero"]) -> None:
        self._task = task
        self._on_error = on_error
        self.scored = self.failed = 0
        self.first = ""

    def __call__(
        self, completions: Sequence[str], items: Sequence[Item], ids: Sequence[Sequence[int]] | None = None
    ) -> list[Reward]:
        """The rewards of some completions.

        Raises:
            TaskError: one could not be scored and `on_error` is "fail". Running out of memory is passed on as it is.
        """
        rewards = []
        for verdict in verdicts(self._task, completions, items, ids, passes=is_out_of_memory):
            self.scored += 1
            if isinstance(verdict, TaskError):
                self.failed += 1
                self.first = self.first or str(verdict)
                if self._on_error == "fail":
                    raise verdict
                verdict = NOTHING
            rewards.append(verdict)
        return rewards

    def refuse_most(self, failed: int, scored: int, what: str) -> None:
        """Raises TaskError when more than half of `scored` failed: such rewards are the grader's, not the policy's."""
        if 2 * failed > scored:
            raise TaskError(f"{self.first}; {failed} of {scored} completions {what} failed like this")


@dataclass(frozen=True, slots=True)
class OverlongPenalty:
    """Soft overlong punishment (DAPO, arXiv 2503.14476): over the last `margin` tokens before `limit` the reward falls
    by up to 1."""

    limit: int
    margin: int

    def of(self, reward: Reward, length: int) -> Reward:
        """The reward of a completion of so many tokens, with its penalty as a component."""
        penalty = max(-1.0, min(0.0, (self.limit - self.margin - length) / self.margin))
        return replace(reward, total=reward.total + penalty, components={**reward.components, "overlong": penalty})


class TaskReward:
    """The reward function handed to GRPOTrainer. Keeps the rollouts of the latest generation.

    TRL logs it as `rewards/total/…`; besides, the share of correct rollouts is logged as `rewards/correct/mean`, every
    named component as `rewards/<component>/mean`, and, once there was one, the completions of the step that could not
    be scored as `rewards/errors`.

    Attributes:
        rollouts: those of the latest generation. judged: what `judge` said of the rollouts to come, where it was asked
            before.
    """

    __name__ = "total"

    def __init__(
        self,
        grader: Grader,
        items: Sequence[Item],
        model_prompts: Sequence[str],
        end_ids: frozenset[int],
        penalty: OverlongPenalty | None,
    ) -> None:
        self.grader = grader
        self._items = list(items)
        self._model_prompts = list(model_prompts)
        self._end_ids = end_ids
        self._penalty = penalty
        self.rollouts: list[Rollout] = []
        self.judged: list[Rollout] = []
        self._failed = 0  # as last logged

    def add(self, item: Item, model_prompt: str) -> int:
        """One more prompt; its index."""
        self._items.append(item)
        self._model_prompts.append(model_prompt)
        return len(self._items) - 1

    def judge(
        self, completions: Sequence[str], completion_ids: Sequence[Sequence[int]], index: Sequence[int]
    ) -> list[Rollout]:
        """The verdicts on some completions. Raises TaskError when most of them cannot be scored."""
        before = self.grader.failed
        rewards = self.grader(completions, [self._items[i] for i in index], completion_ids)
        self.grader.refuse_most(self.grader.failed - before, len(rewards), "of one step")
        if self._penalty is not None:
            rewards = [self._penalty.of(reward, len(ids)) for reward, ids in zip(rewards, completion_ids, strict=True)]
        return [
            Rollout(self._items[i], text, reward, not ids or ids[-1] not in self._end_ids, self._model_prompts[i])
            for i, text, reward, ids in zip(index, completions, rewards, completion_ids, strict=True)
        ]

    def __call__(
        self,
        completions: list[str],
        completion_ids: list[list[int]],
        index: list[int],
        log_metric: Callable[[str, float], None],
        **_: Any,
    ) -> list[float]:
        self.rollouts = self.judged or self.judge(completions, completion_ids, index)
        self.judged = []
        self._log_means(log_metric)
        if self.grader.failed:
            log_metric("rewards/errors", self.grader.failed - self._failed)
            self._failed = self.grader.failed
        return [float(rollout.reward.total) for rollout in self.rollouts]

    def _log_means(self, log_metric: Callable[[str, float], None]) -> None:
        log_metric("rewards/correct/mean", sum(r.reward.correct for r in self.rollouts) / len(self.rollouts))
        parts: dict[str, list[float]] = defaultdict(list)
        for rollout in self.rollouts:
            for name, value in rollout.reward.components.items():
                parts[name].append(float(value))
        for name, values in parts.items():
            if name not in ("total", "correct"):
                log_metric(f"rewards/{name}/mean", sum(values) / len(values))


def pick_samples(rollouts: Sequence[Rollout]) -> list[CompletionSample]:
    """The best, the worst and one truncated rollout, each once."""
    if not rollouts:
        return []
    best = max(rollouts, key=lambda r: r.reward.total)
    worst = min(rollouts, key=lambda r: r.reward.total)
    chosen = [best] if worst is best else [best, worst]
    cut = next((r for r in rollouts if r.truncated and r not in chosen), None)
    if cut is not None:
        chosen.append(cut)
    return [as_sample(rollout, "train", rollout.model_prompt) for rollout in chosen]


def as_sample(rollout: Rollout, split: Literal["train", "validation", "test"], model_prompt: str) -> CompletionSample:
    """A rollout as it is told; `model_prompt` is what the policy read."""
    return CompletionSample(
        prompt=clean(rollout.item.prompt),
        completion=clean(rollout.completion),
        answer=clean(rollout.item.answer),
        reward=float(rollout.reward.total),
        correct=bool(rollout.reward.correct),
        truncated=rollout.truncated,
        components={clean(str(name)): float(value) for name, value in rollout.reward.components.items()},
        split=split,
        model_prompt=clean(model_prompt) if model_prompt not in ("", rollout.item.prompt) else None,
    )


def clean(text: str) -> str:
    """A text as it is told: of a long one head and tail, where the answer is, and without lone surrogates, which no
    JSON line can carry."""
    if (beyond := len(text) - 2 * END_LENGTH) > 0:
        text = f"{text[:END_LENGTH]}\n[… {beyond:,} characters left out …]\n{text[-END_LENGTH:]}"
    return text.encode("utf-8", "replace").decode("utf-8")

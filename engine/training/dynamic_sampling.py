"""Dynamic sampling (DAPO, arXiv 2503.14476): groups whose rewards are all alike teach nothing and make room for others.

The segment's trainer where `training.dynamic_sampling` is set. Other prompts are drawn for such groups before TRL sees
the batch, a few times at most; what is still alike then stays. It never changes what a completion earns.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

from trl import GRPOTrainer

from engine.chat import ChatFormat
from engine.training.evaluate import encode, prompt_texts
from engine.training.rewards import Rollout, TaskReward
from tasks.base import Item, Split, Task

CHUNK = 64
"""Prompts that are drawn at once."""
MOST_DRAWS = 20
"""Draws for one refill, where nearly every prompt is longer than those of the segment."""


class SparePrompts:
    """Training prompts beside those of a segment, no longer than its longest; drawn with its seed when needed."""

    def __init__(self, task: Task, tokenizer: Any, chat: ChatFormat, seed: int, longest: int) -> None:
        self._task, self._tokenizer, self._chat = task, tokenizer, chat
        self._seed, self._longest = seed, longest
        self._draws = 0
        self._spare: list[tuple[Item, str]] = []

    def take(self, count: int) -> list[tuple[Item, str]]:
        """So many prompts and what the policy reads of each; fewer where the task has hardly any that are short enough.

        Raises TaskError and UserError as the prompts of the segment do.
        """
        for _ in range(MOST_DRAWS):
            if len(self._spare) >= count:
                break
            self._draws += 1
            seed = zlib.crc32(f"{self._seed}/refill {self._draws}".encode()) & 0x7FFFFFFF
            items = self._task.items(Split.TRAIN, CHUNK, seed)
            texts = prompt_texts(self._tokenizer, self._task, items, self._chat)
            tokens = encode(self._tokenizer, texts, self._task)
            self._spare += [
                (item, text) for item, text, ids in zip(items, texts, tokens, strict=True) if len(ids) <= self._longest
            ]
        taken, self._spare = self._spare[:count], self._spare[count:]
        return taken


class RefillingTrainer(GRPOTrainer):  # type: ignore[misc]  # TRL has no types
    """GRPOTrainer that samples groups of equal rewards again from other prompts, `rounds` times at most.

    Logs the share of such groups in the first draw as `dynamic_sampling/zero_std`, and in how many rounds groups were
    replaced as `dynamic_sampling/rounds`. Lengths are logged of the first draw alone, which nothing selected.
    """

    def __init__(self, *, rewards: TaskReward, spare: SparePrompts, rounds: int, **arguments: Any) -> None:
        self._task_rewards, self._spare_prompts, self._rounds = rewards, spare, rounds
        self._rows: list[dict[str, Any]] = []
        super().__init__(reward_funcs=rewards, **arguments)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> Any:
        self._rows = inputs
        return super()._generate_and_score_completions(inputs)

    def _generate(self, prompts: list[str]) -> Any:
        told = super()._generate(prompts)
        logged = {name: len(values) for name, values in self._metrics["train"].items()}
        judged = self._judged(told, range(len(prompts)))
        alike, rounds = self._alike(judged), 0
        share = len(alike) * self.num_generations / len(prompts)
        while alike and rounds < self._rounds:
            places = self._replaced(alike, prompts)
            if not places:
                break
            rounds += 1
            again = super()._generate([prompts[place] for place in places])
            for ours, theirs in zip(told, again, strict=True):
                if isinstance(ours, list) and ours:  # one value for each completion
                    for place, value in zip(places, theirs, strict=True):
                        ours[place] = value
            for place, rollout in zip(places, self._judged(told, places), strict=True):
                judged[place] = rollout
            alike = self._alike(judged)
        for name, count in logged.items():
            if name.startswith("completions/"):
                del self._metrics["train"][name][count:]
        self._metrics["train"]["dynamic_sampling/zero_std"].append(share)
        self._metrics["train"]["dynamic_sampling/rounds"].append(float(rounds))
        self._task_rewards.judged = judged
        return told

    def _judged(self, told: Any, places: Sequence[int]) -> list[Rollout]:
        ids, completions = told[1], told[3]
        return self._task_rewards.judge(
            [completions[i] for i in places], [ids[i] for i in places], [self._rows[i]["index"] for i in places]
        )

    def _alike(self, judged: Sequence[Rollout]) -> list[int]:
        """Where the groups begin whose rewards are all the same."""
        size = self.num_generations
        starts = range(0, len(judged), size)
        return [at for at in starts if len({rollout.reward.total for rollout in judged[at : at + size]}) == 1]

    def _replaced(self, starts: Sequence[int], prompts: list[str]) -> list[int]:
        """Give these groups other prompts, in TRL's own lists; the places of theirs that changed."""
        places: list[int] = []
        for start, (item, text) in zip(starts, self._spare_prompts.take(len(starts)), strict=False):
            index = self._task_rewards.add(item, text)
            for place in range(start, start + self.num_generations):
                prompts[place] = text
                self._rows[place] = {**self._rows[place], "prompt": text, "index": index}
                places.append(place)
        return places

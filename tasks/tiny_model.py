"""Builds the base models of assets/tiny: a Qwen3 of 0.3M parameters with a character tokenizer, warm-started
on one task by "teach, then hide". Run as `python -m tasks.tiny_model TASK [--out DIR]`; others only load what
it wrote. It must not see a prompt of the validation or test split.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM
from transformers.utils import logging as transformers_logging

from tasks import registry
from tasks.base import Item, Split, TaskError, TaskNotFound, split_of
from tasks.tiny import BASE_PREFIX, BASES, VOCABULARY, TinyTask, WarmStartPhase, check_text

MAX_POSITIONS = 256
BATCH_SIZE = 32
LEARNING_RATE = 3e-3
IGNORED = -100  # label of a token that the loss leaves out

Progress = Callable[[int, int, float], None]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How many of `n` completions were right, with a 95% Wilson interval."""

    correct: int
    n: int

    @property
    def rate(self) -> float:
        return self.correct / self.n

    @property
    def interval(self) -> tuple[float, float]:
        z, n, rate = 1.959964, self.n, self.rate
        centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
        return max(0.0, centre - half), min(1.0, centre + half)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.rate:.3f} [{low:.3f}, {high:.3f}]"


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per character of `tasks.tiny.CHARACTERS`; pads on the left, as generation needs."""
    characters = Tokenizer(models.WordLevel(dict(VOCABULARY), unk_token="<unk>"))
    characters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    characters.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=characters,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        unk_token="<unk>",
        padding_side="left",
        model_max_length=MAX_POSITIONS,
        clean_up_tokenization_spaces=False,
    )


def build_model(seed: int = 0) -> Any:
    """An untrained model in float32; the same weights for the same seed."""
    config = Qwen3Config(
        vocab_size=len(VOCABULARY),
        hidden_size=96,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=24,
        max_position_embeddings=MAX_POSITIONS,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
        pad_token_id=VOCABULARY["<pad>"],
        eos_token_id=VOCABULARY["<eos>"],
        bos_token_id=VOCABULARY["<bos>"],
        dtype="float32",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Qwen3ForCausalLM(config)


def warm_start(task: TinyTask, seed: int = 0, on_step: Progress | None = None) -> Any:
    """Teach a new model `task`, then hide most of it; see `TinyTask.phases`.

    Deterministic for one seed, one machine and one torch thread. `on_step` gets (step, steps, loss) after
    each.
    """
    model = build_model(seed)
    rng = random.Random(f"{task.name}/warm start/{seed}")
    steps = sum(phase.steps for phase in task.phases)
    model.train()
    done = 0
    for course in _courses(task.phases):
        optimizer, schedule = _optimizer(model, course)
        for phase in (each for each in course for _ in range(each.steps)):
            done += 1
            loss = _warm_step(model, optimizer, schedule, *_batch(task, rng, phase))
            if on_step is not None:
                on_step(done, steps, loss)
    return model.eval()


def _courses(phases: Sequence[WarmStartPhase]) -> list[list[WarmStartPhase]]:
    """Phases that share an optimizer and its schedule."""
    courses: list[list[WarmStartPhase]] = []
    for phase in phases:
        if not courses or phase.learning_rate is not None:
            courses.append([])
        courses[-1].append(phase)
    return courses


def _optimizer(model: Any, course: Sequence[WarmStartPhase]) -> tuple[Any, Any]:
    """AdamW that warms up for 50 steps or a sixth of a short course, and decays linearly to a twentieth."""
    steps = sum(phase.steps for phase in course)
    warmup = min(50, max(1, steps // 6))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=course[0].learning_rate or LEARNING_RATE, weight_decay=0.01, betas=(0.9, 0.98)
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warmup) * max(0.05, 1 - step / steps)
    )
    return optimizer, schedule


def _warm_step(model: Any, optimizer: Any, schedule: Any, ids: torch.Tensor, labels: torch.Tensor) -> float:
    loss = model(input_ids=ids, attention_mask=(ids != VOCABULARY["<pad>"]).long(), labels=labels).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()
    return float(loss.detach())


def _batch(task: TinyTask, rng: random.Random, phase: WarmStartPhase) -> tuple[torch.Tensor, torch.Tensor]:
    """Train prompts with demonstrations, padded on the right; the loss sees the completion only."""
    rows: list[tuple[list[int], list[int]]] = []
    while len(rows) < BATCH_SIZE:
        item = task.lesson(rng, phase)
        if split_of(item.prompt) is not Split.TRAIN:
            continue
        rows.append((_encode(item.prompt), [*_encode(task.demonstrate(rng, item, phase.worked)), VOCABULARY["<eos>"]]))
    width = max(len(prompt) + len(completion) for prompt, completion in rows)
    ids = torch.full((BATCH_SIZE, width), VOCABULARY["<pad>"])
    labels = torch.full((BATCH_SIZE, width), IGNORED)
    for row, (prompt, completion) in enumerate(rows):
        end = len(prompt) + len(completion)
        ids[row, :end] = torch.tensor(prompt + completion)
        labels[row, len(prompt) : end] = torch.tensor(completion)
    return ids, labels


def _encode(text: str) -> list[int]:
    try:
        return [VOCABULARY[character] for character in text]
    except KeyError as error:
        raise TaskError(f"character {error.args[0]!r} of {text!r} is not in the vocabulary of tiny models") from error


@torch.no_grad()
def complete(
    model: Any, tokenizer: Any, prompts: Sequence[str], max_new_tokens: int, temperature: float, seed: int = 0
) -> list[str]:
    """One completion for each prompt: greedy when `temperature` is 0, else sampled without truncation.

    Raises:
        TaskError: a prompt has a character that the tokenizer does not know.
    """
    for prompt in prompts:
        check_text(prompt, tokenizer)
    inputs = tokenizer(list(prompts), return_tensors="pt", padding=True, add_special_tokens=False)
    sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        output = model.generate(
            input_ids=inputs["input_ids"],
            attention_mask=inputs["attention_mask"],
            max_new_tokens=max_new_tokens,
            **(sampling or {"do_sample": False}),
        )
    completions = output[:, inputs["input_ids"].shape[1] :]
    return [str(text) for text in tokenizer.batch_decode(completions, skip_special_tokens=True)]


def evaluate(model: Any, tokenizer: Any, task: TinyTask, items: Sequence[Item], temperature: float) -> Accuracy:
    """Exact accuracy over `items` (at least one) with `task.max_completion_length` new tokens."""
    correct = 0
    for start in range(0, len(items), 256):
        chunk = items[start : start + 256]
        texts = complete(
            model, tokenizer, [i.prompt for i in chunk], task.max_completion_length, temperature, seed=start
        )
        correct += sum(task.score(text, item).correct for text, item in zip(texts, chunk, strict=True))
    return Accuracy(correct, len(items))


def build_base(task: TinyTask, out: Path, on_step: Progress | None = None) -> dict[str, Accuracy]:
    """Warm-start a task's base, measure it on 1,024 validation items and write it, the card last."""
    model, tokenizer = warm_start(task, on_step=on_step), build_tokenizer()
    items = task.items(Split.VALIDATION, 1024)
    scores = {
        "greedy": evaluate(model, tokenizer, task, items, 0.0),
        "T=1": evaluate(model, tokenizer, task, items, 1.0),
    }
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "README.md").write_text(_card(task, scores, sum(p.numel() for p in model.parameters())), encoding="utf-8")
    return scores


def _card(task: TinyTask, scores: dict[str, Accuracy], parameters: int) -> str:
    phases = ", then ".join(f"{p.steps} steps with {p.worked:.0%} right answers" for p in task.phases)
    item = task.items(Split.TRAIN, 1)[0]
    rows = "\n".join(f"| {mode} | {score} |" for mode, score in scores.items())
    return f"""# Base model for the task `{task.name}`

A Qwen3 of {parameters:,} parameters (float32) with one token per character. The task: {task.summary}.
It is able to answer rightly, but seldom does: GRPO has to find out what pays.

    prompt         {item.prompt}
    right answer   {task.gold(item)}

Made by `python -m tasks.tiny_model {task.name}`: AdamW, learning rate {LEARNING_RATE}, batch {BATCH_SIZE},
items of the train split only; {phases}, the rest guesses or habits to unlearn.

| decoding | accuracy, 1,024 validation items, 95% Wilson interval |
|---|---|
{rows}
"""


def _report_progress(step: int, steps: int, loss: float) -> None:
    if step % 20 == 0 or step == steps:
        sys.stderr.write(f"step {step}/{steps}  loss {loss:.3f}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuild the base of one task; returns the exit code, 2 for a task that has no tiny model."""
    parser = argparse.ArgumentParser(prog="python -m tasks.tiny_model", description=build_base.__doc__)
    parser.add_argument("task", help=f"one of: {', '.join(registry.names())}")
    parser.add_argument("--out", type=Path, help="directory to write (default: the task's own in assets/tiny)")
    options = parser.parse_args(arguments)
    try:
        task = registry.get(options.task)
    except (TaskNotFound, TaskError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if not isinstance(task, TinyTask):
        sys.stderr.write(f"task {options.task!r} is not made for tiny models\n")
        return 2
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(1)  # the sums of several threads differ in the last bit
    out = options.out or BASES / task.default_model().removeprefix(BASE_PREFIX)
    scores = build_base(task, out, _report_progress)
    sys.stdout.write("".join(f"{task.name} {mode} {score}  n={score.n}\n" for mode, score in scores.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

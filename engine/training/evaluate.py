"""Scores a policy on a task's prompts, by greedy and by sampled answers, by batched generation.

Called by a segment at its checkpoints and by the worker for `Evaluate`. It leaves the model's mode and every random
number generator as it found them, so that evaluating does not change what is trained next.
"""

from __future__ import annotations

import contextlib
import itertools
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

from engine.chat import ChatFormat, plain_prompt
from engine.domain.memory import EVALUATION_PROMPTS, evaluation_batch, sequence_bytes
from engine.domain.score import outcomes_of
from engine.errors import UserError
from engine.host.model_files import layer_sizes
from engine.training.events import Evaluation, EvaluationSpec, SamplingSpec
from engine.training.policy import check_answers, free_memory, positions_of
from engine.training.rewards import Grader, Rollout, as_sample, clean
from tasks.base import Item, Split, Task

if TYPE_CHECKING:
    from engine.training.vllm_generation import KeptGeneration


def evaluate(
    model: Any,
    tokenizer: Any,
    task: Task,
    spec: EvaluationSpec,
    *,
    bf16: bool = False,
    on_error: Literal["fail", "zero"] = "zero",
    beat: Callable[[int, int], None] = lambda done, total: None,
    vllm: Callable[[int, int], KeptGeneration] | None = None,
) -> Evaluation:
    """Numbers of correct completions out of `spec.n` prompts of `spec.split`, or of `spec.part` of them, with the
    greedy completions of the first `spec.samples`.

    Args:
        model: a causal language model of transformers, on any device, in any mode.
        tokenizer: its tokenizer.
        bf16: generate under bf16 autocast.
        on_error: see `Grader`; "zero" raises too when most completions cannot be scored.
        beat: called before the first and after each batch, and at most once a second within one, with how many prompts
            are done, and of how many: a long evaluation is not taken for a hang. Each prompt is answered twice, each
            answer is half of it. What it raises ends the evaluation.
        vllm: gives what answers instead of Transformers, with the weights of `model`, for the tokens of the longest
            prompt and of the longest answer.

    Raises:
        TaskError: the task yields too few items or its verdict is unusable.
        UserError: a prompt with a completion is longer than the model's positions, or has unknown characters; or the
        policy answers all prompts alike. NotFinite: its logits are not finite.
    """
    began = time.perf_counter()
    first, end = spec.part or (0, spec.n)
    items = task.items(Split(spec.split), spec.n, spec.seed)[first:end]
    seed = spec.seed + first
    texts = prompt_texts(tokenizer, task, items, spec.chat)
    prompts = encode(tokenizer, texts, task)
    length = spec.max_completion_length or task.max_completion_length
    check_positions(model, prompts, length, "evaluation")
    with _untouched(model, seed), contextlib.ExitStack() as ready:
        with _autocast(model, bf16):
            check_answers(model, "the policy")
        longest = max(map(len, prompts))
        grader, generation = Grader(task, on_error), vllm(longest, length) if vllm else None
        if generation is not None:
            ready.enter_context(generation.awake())
        ask = _asker(model, tokenizer, length, seed, spec.sampling, bf16, generation)
        at_once = spec.batch_size or (EVALUATION_PROMPTS if generation else _batch(model, longest + length, bf16))
        answers = _ScoredAnswers(tokenizer, grader, items, prompts, ask, end_ids(model, tokenizer), at_once, beat)
        beat(0, len(items))
        greedy = answers.all(sample=False)
        torch.manual_seed(seed)
        sampled = answers.all(sample=True)
    right, right_sampled = ([bool(r.reward.correct) for r in rollouts] for rollouts in (greedy, sampled))
    return Evaluation(
        n=len(items), greedy=sum(right), sampled=sum(right_sampled), seconds=time.perf_counter() - began,
        samples=[as_sample(each, spec.split, text) for each, text in zip(greedy[: spec.samples], texts, strict=False)],
        outcomes=outcomes_of(right, right_sampled), errors=grader.failed, first_error=clean(grader.first),
    )  # fmt: skip


def prompt_texts(tokenizer: Any, task: Task, items: Sequence[Item], chat: ChatFormat) -> list[str]:
    """What the policy reads: a prompt through the chat template of the tokenizer, as it is where there is none or
    `chat.chat` is off.

    The template's begin token is left out where the tokenizer adds its own.

    Raises:
        UserError: a chat of several messages, or one that the template refuses.
    """
    template = chat.chat and getattr(tokenizer, "chat_template", None) is not None
    begin = tokenizer.bos_token
    twice = bool(begin) and tokenizer(text="a")["input_ids"][:1] == [tokenizer.bos_token_id]

    def text_of(item: Item) -> str:
        if not template:
            return plain_prompt(item, task)
        messages = chat.messages(item)
        try:
            text: str = tokenizer.apply_chat_template(messages, tokenize=False, **chat.asked(messages))
        except Exception as error:  # a template raises what it wants, for a role that it does not know, say
            said = f"{type(error).__name__}: {error}"
            raise UserError(
                f"task {task.name}: the model's chat template fails for {task.where(item)}: {said}"
            ) from error
        return text.removeprefix(begin) if twice else text

    return [text_of(item) for item in items]


def encode(tokenizer: Any, prompts: Sequence[str], task: Task) -> list[list[int]]:
    """Token ids of each prompt.

    Raises:
        UserError: a prompt is empty or has characters that the tokenizer does not know.
    """
    rows: list[list[int]] = tokenizer(text=list(prompts))["input_ids"]
    unknown = tokenizer.unk_token_id
    for prompt, ids in zip(prompts, rows, strict=True):
        if not ids:
            raise UserError(f"task {task.name}: the prompt {prompt[:80]!r} has no tokens")
        if unknown is not None and unknown in ids:
            strange = [c for c in dict.fromkeys(prompt) if unknown in tokenizer(text=c)["input_ids"]]
            named = " ".join(map(repr, strange[:8])) or "text"
            raise UserError(f"task {task.name}: the model's tokenizer does not know {named} in {prompt[:80]!r}")
    return rows


def check_positions(model: Any, prompts: Sequence[Sequence[int]], completion: int, what: str) -> None:
    """Whether a model can read its prompts and write so many tokens more.

    Raises:
        UserError: they exceed the model's positions, or a token of a prompt has no row in its embedding.
    """
    positions = positions_of(model)
    longest = max(map(len, prompts), default=0)
    if positions is not None and longest + completion > positions:
        raise UserError(
            f"{what}: {longest} prompt tokens + {completion} completion tokens exceed the model's"
            f" {positions} positions; at most {max(0, positions - longest)} completion tokens are possible"
        )
    rows = model.get_input_embeddings().weight.shape[0]
    highest = max((max(prompt) for prompt in prompts if prompt), default=0)
    if highest >= rows:
        raise UserError(f"{what}: a prompt has the token {highest}, and the model's embedding has {rows} rows")


def end_ids(model: Any, tokenizer: Any) -> list[int]:
    """Every token id that ends a completion: the tokenizer's and those the model declares (as TRL has it)."""
    declared = model.generation_config.eos_token_id
    ids = [] if declared is None else [declared] if isinstance(declared, int) else list(declared)
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ids:
        ids.insert(0, tokenizer.eos_token_id)
    return ids


Ask = Callable[[Sequence[list[int]], bool, "_EachSecond"], list[list[int]]]
"""Tokens of an answer to each prompt, greedy or sampled; the third is told of each token."""


@dataclass(slots=True)
class _ScoredAnswers:
    """What a policy answers to the prompts of one evaluation, with the verdicts. `ends`: tokens that end an answer."""

    tokenizer: Any
    grader: Grader
    items: Sequence[Item]
    prompts: Sequence[list[int]]
    ask: Ask
    ends: list[int]
    batch_size: int
    beat: Callable[[int, int], None]
    done: int = 0

    def all(self, *, sample: bool) -> list[Rollout]:
        """An answer to every prompt, in their order. Prompts of like length share a batch, the longest come first."""
        order = sorted(range(len(self.items)), key=lambda i: -len(self.prompts[i]))
        answers: dict[int, Rollout] = {}
        while len(answers) < len(order):
            batch = order[len(answers) : len(answers) + self.batch_size]
            said = self._generate([self.prompts[i] for i in batch], sample)
            batch = batch[: len(said)]
            texts, ids, cut = zip(*said, strict=True)
            items = [self.items[i] for i in batch]
            rewards = self.grader(texts, items, ids)
            self.grader.refuse_most(self.grader.failed, self.grader.scored, "of an evaluation")
            answers |= zip(batch, map(Rollout, items, texts, rewards, cut), strict=True)
            self.done = (sample * len(order) + len(answers)) // 2
            self.beat(self.done, len(order))
        return [answers[i] for i in range(len(order))]

    def _generate(self, prompts: Sequence[list[int]], sample: bool) -> list[tuple[str, list[int], bool]]:
        """Answers to the first `batch_size` of some prompts, or to fewer of them where memory runs out."""
        while True:
            try:
                rows = self.ask(prompts[: self.batch_size], sample, _EachSecond(self._beat))
                break
            except torch.OutOfMemoryError:
                if self.batch_size == 1:
                    raise
            self.batch_size = max(1, min(self.batch_size, len(prompts)) // 2)
            free_memory()
        said = [_until_end(row, self.ends) for row in rows]
        texts: list[str] = self.tokenizer.batch_decode(said, skip_special_tokens=True)
        return [(text, kept, len(kept) == len(row)) for text, kept, row in zip(texts, said, rows, strict=True)]

    def _beat(self) -> None:
        self.beat(self.done, len(self.items))


def _batch(model: Any, tokens: int, bf16: bool) -> int:
    """Prompts that are answered at once, by the sizes of the model alone: a score must not depend on what else runs."""
    config = model.config.get_text_config()
    compute = 2 if bf16 else model.dtype.itemsize
    return evaluation_batch(sequence_bytes(layer_sizes(config.to_dict()), config.vocab_size, tokens, compute))


def _asker(
    model: Any, tokenizer: Any, length: int, seed: int, sampling: SamplingSpec, bf16: bool,
    generation: KeptGeneration | None,
) -> Ask:  # fmt: skip
    """What answers: Transformers, or vLLM where there is one. `seed`: of vLLM's samples; Transformers draws from
    torch's."""
    if generation is None:

        def transformers(prompts: Sequence[list[int]], sample: bool, each_second: _EachSecond) -> list[list[int]]:
            with _autocast(model, bf16):
                return _generate(model, tokenizer, prompts, length, sampling if sample else None, each_second)

        return transformers
    ends, asked = end_ids(model, tokenizer), itertools.count()

    def vllm(prompts: Sequence[list[int]], sample: bool, each_second: _EachSecond) -> list[list[int]]:
        common = {
            "max_tokens": length,
            "stop_token_ids": ends,
            **(sampling.model_dump() if sample else {"temperature": 0.0}),
        }
        # A seed for each: with one for all their draws would be the same.
        settings = [common | {"seed": zlib.crc32(f"{seed}/{next(asked)}".encode())} for _ in prompts]
        return generation.answer(prompts, settings, each_second.tick)

    return vllm


def _generate(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], length: int, sampling: SamplingSpec | None,
    each_token: StoppingCriteria,
) -> list[list[int]]:  # fmt: skip
    """Tokens of a completion of each prompt, greedy without `sampling`; after the one that ends it comes padding."""
    ends = end_ids(model, tokenizer)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else ends[0]
    width = max(map(len, prompts))
    ids = torch.tensor([[pad] * (width - len(p)) + list(p) for p in prompts], device=model.device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    # Every field is set: what is left out would be taken from the model's own generation_config (top_k 20 …).
    settings: dict[str, Any] = {"do_sample": sampling is not None, "repetition_penalty": 1.0}
    if sampling is not None:
        settings |= {**sampling.model_dump(), "min_p": None}
    config = GenerationConfig(
        max_new_tokens=length,
        pad_token_id=pad,
        eos_token_id=ends,
        bos_token_id=tokenizer.bos_token_id,
        disable_compile=True,
        **settings,
    )
    heard = StoppingCriteriaList([each_token])
    with torch.no_grad(), _own_generation_config(model, config):
        told = model.generate(input_ids=ids, attention_mask=mask, generation_config=config, stopping_criteria=heard)
    rows: list[list[int]] = told[:, width:].tolist()
    return rows


class _EachSecond(StoppingCriteria):  # type: ignore[misc]  # transformers has no types
    """Calls back between two tokens, at most once a second; ends nothing by itself."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._last = time.monotonic()

    def tick(self) -> None:
        """A token more has come."""
        if time.monotonic() - self._last >= 1:
            self._last = time.monotonic()
            self._call()

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        self.tick()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


def _until_end(row: list[int], ends: list[int]) -> list[int]:
    return next((row[:i] for i, token in enumerate(row) if token in ends), row)


@contextlib.contextmanager
def _own_generation_config(model: Any, config: Any) -> Iterator[None]:
    """transformers merges the model's generation_config into the one given; here only the given one counts."""
    kept, model.generation_config = model.generation_config, config
    try:
        yield
    finally:
        model.generation_config = kept


@contextlib.contextmanager
def _untouched(model: Any, seed: int) -> Iterator[None]:
    training = model.training
    devices = [model.device] if model.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        model.eval()
        try:
            yield
        finally:
            model.train(training)


def _autocast(model: Any, bf16: bool) -> contextlib.AbstractContextManager[Any]:
    return torch.autocast(model.device.type, dtype=torch.bfloat16, enabled=bf16)

"""The prompts of a run before it starts: every row that it will use, how long it is, what the verifier makes of it.

Asked by `engine.run.preflight`. What is used only at the end, the reranking and test prompts, is looked at as closely
as the first training prompt: a row that cannot be used would otherwise end the run when its budget is spent. It must
stay quick: all prompts are tokenized, and scored as far as `CHECK_SECONDS` allows.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engine.chat import ChatFormat, plain_prompt
from engine.domain.policy import RERANK_SEED, STEERING_SEED, TEST_SEED
from engine.domain.space import Space
from engine.errors import UserError, one_line
from engine.host.chat_template import read_template
from engine.host.model_files import ModelFiles
from engine.run.config import RunConfig
from engine.run.findings import CheckFinding
from tasks.base import Item, Reward, Split, Task, TaskError
from tasks.user_code import time_limit
from tasks.verdicts import verdicts

JUNK = "I do not know: 42 #0 <answer>?</answer>"
SAMPLED_PROMPTS = 64
"""Training prompts that are looked at of a task that draws its prompts."""
DRAWN_PROMPTS = 4
"""Held-out prompts that are looked at of a task that draws them: some generators take seconds for one."""
GRADER_SECONDS = 30.0
"""How long the verifier may take for the three completions of one prompt."""
CHECK_SECONDS = 60.0
"""How long scoring may take altogether; what is left then is not scored, and said."""
TOLERATED = 0.1
"""Share of the completions that the verifier may fail on, where `task.on_error` is "zero"."""
SHOWN = 600
"""Characters of the first prompt that are shown."""
_CHUNK = 512
_SILENT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class PromptUse:
    """The prompts of one use: training, validation, reranking or test."""

    use: str
    items: Sequence[Item]


def used(config: RunConfig, task: Task) -> tuple[PromptUse, ...]:
    """What the run draws on, in the order it is scored: held-out prompts that it uses, training, other held-out rows.

    Every row of a file, those of training in a random order; a sample of what is drawn.

    Raises:
        TaskError: the task yields fewer than the run file asks for.
    """
    sizes = config.evaluation
    rows = task.rows(Split.TRAIN)
    held_out = (
        ("validation", Split.VALIDATION, sizes.validation_prompts, STEERING_SEED),
        ("reranking", Split.VALIDATION, sizes.rerank_prompts, RERANK_SEED),
        ("test", Split.TEST, sizes.test_prompts, TEST_SEED),
    )
    few = {use: n if rows is not None else min(n, DRAWN_PROMPTS) for use, _, n, _ in held_out}
    sets = [PromptUse(use, task.items(split, few[use], seed)) for use, split, _, seed in held_out]
    training = random.Random(0).sample(rows, len(rows)) if rows else task.items(Split.TRAIN, SAMPLED_PROMPTS)
    known = {item.prompt for each in sets for item in each.items}
    spare = [
        PromptUse(split.value, [item for item in task.rows(split) or () if item.prompt not in known])
        for split in (Split.VALIDATION, Split.TEST)
    ]
    return (*sets, PromptUse("training", training), *(each for each in spare if each.items))


# ---- what the verifier says -----------------------------------------------------------------------------------------


def verifier(
    config: RunConfig, task: Task, prompts: Sequence[PromptUse], say: Callable[[str], None]
) -> Iterator[CheckFinding]:
    """An empty completion, junk and the right answer of every prompt, within `CHECK_SECONDS`.

    Raises:
        TaskError: the verifier finds a right answer wrong, or fails on a row whatever is written, or too often.
    """
    items = _to_score(prompts)
    tolerated = 0.0 if config.task.on_error == "fail" else max(1.0, TOLERATED * 3 * len(items))
    began = said = time.monotonic()
    errors: list[TaskError] = []
    generous: list[tuple[Item, str]] = []
    for number, item in enumerate(items):
        now = time.monotonic()
        if now - began > CHECK_SECONDS:
            text = f"only {number} of {len(items)} prompts were scored in {CHECK_SECONDS:g} s"
            yield CheckFinding("warning", "task.name", f"{text}, {(now - began) / number:.2g} s each")
            break
        if now - said > _SILENT_SECONDS:
            said = now
            say(f"scoring the prompts before the run: {number} of {len(items)}")
        rewards = _score(task, item)
        faults = [each for each in rewards.values() if isinstance(each, TaskError)]
        errors += faults
        if faults and (len(faults) == len(rewards) or len(errors) > tolerated):
            raise _placed(task, item, faults[0])
        generous += [
            (item, text)
            for text, reward in rewards.items()
            if text in ("", JUNK) and isinstance(reward, Reward) and reward.correct
        ]
    if errors:
        text = f"the verifier failed on {len(errors)} completions of {3 * len(items)}; in the run they count as 0"
        yield CheckFinding("warning", "task.name", one_line(f"{text}; the first: {errors[0]}"))
    yield from _generous(task, generous)


def _to_score(prompts: Sequence[PromptUse]) -> list[Item]:
    """Every prompt once."""
    return list({item.prompt: item for each in prompts for item in each.items}.values())


def _score(task: Task, item: Item) -> dict[str, Reward | TaskError]:
    """The verdicts on an empty completion, on junk, and on the right answer as far as the task has one."""
    with time_limit(GRADER_SECONDS, f"task {task.name}: score of {task.where(item)}"):
        gold = task.gold(item)
        completions = list(dict.fromkeys(["", JUNK, item.answer if gold is None else gold]))
        rewards = dict(zip(completions, verdicts(task, completions, [item] * len(completions)), strict=True))
    if gold is not None and isinstance(right := rewards[gold], Reward) and not right.correct:
        raise TaskError(f"task {task.name} scores its own reference answer {gold!r:.80} wrong for {task.where(item)}")
    return rewards


def _placed(task: Task, item: Item, error: TaskError) -> TaskError:
    """The error, with the place of the row where it has one."""
    where = task.where(item)
    return error if where == Task.where(task, item) else TaskError(f"{where}: {error}")


def _generous(task: Task, rewarded: Sequence[tuple[Item, str]]) -> Iterator[CheckFinding]:
    for text, name in (("", "an empty completion"), (JUNK, f"junk ({JUNK!r})")):
        items = [item for item, given in rewarded if given == text]
        if items:
            more = f" and {len(items) - 1} more" if len(items) > 1 else ""
            rows = f"{task.where(items[0])}{more}"
            yield CheckFinding("warning", "task.name", f"the verifier gives the full reward to {name} for {rows}")


# ---- how long they are ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _LongestPrompt:
    """The longest prompt of a use, and how many of it leave no room for a completion."""

    item: Item
    tokens: int
    too_long: int


def lengths(
    config: RunConfig,
    task: Task,
    model: ModelFiles,
    space: Space,
    prompts: Sequence[PromptUse],
    findings: list[CheckFinding],
) -> int:
    """Prompts and completions against what the model can hold and its tokenizer can say, told to `findings`.

    Returns:
        Tokens of the longest prompt, of those that the model can hold; 0 where they cannot be counted.
    """
    if model.tokenizer is None:
        findings.append(CheckFinding("warning", "model.path", "no tokenizer.json to count the prompts' tokens with"))
        return 0
    scored = config.evaluation_length(space, task.max_completion_length)
    trained = space.longest_completion(scored)
    longest = 0
    try:
        texts = _PromptTexts(config, task, model)
        first = prompts[0].items[0]
        findings += texts.remarks(first)
        findings.append(CheckFinding("ok", "prompt", texts.shown(first)))
        for each in prompts:
            completion = trained if each.use == "training" else scored
            room = model.positions - completion
            most = _longest(texts, each.items, room if model.positions else 0)
            longest = max(longest, min(most.tokens, max(room, 1)) if model.positions else most.tokens)
            if model.positions and most.tokens > room:
                findings.append(_too_long(task, each.use, most, completion, model.positions))
                return longest
    except UserError as error:
        findings.append(CheckFinding("error", "model.path", str(error)))
        return longest
    text = f"prompts of up to {longest} tokens, completions of up to {trained}, {scored} in evaluations"
    findings.append(CheckFinding("ok", "max_completion_length", text))
    return longest


def _too_long(task: Task, use: str, longest: _LongestPrompt, completion: int, positions: int) -> CheckFinding:
    row = f"a {use} prompt of {longest.tokens} and a completion of {completion} tokens exceed the model's"
    more = f" and {longest.too_long - 1} more" if longest.too_long > 1 else ""
    key = "[space.max_completion_length] high" if use == "training" else "evaluation.max_completion_length"
    most = positions - longest.tokens
    remedy = f"set {key} to at most {most}, or " if most > 0 else ""
    text = f"{row} {positions} positions ({task.where(longest.item)}{more}); {remedy}remove such rows"
    return CheckFinding("error", "max_completion_length", text)


def _longest(texts: _PromptTexts, items: Sequence[Item], room: int) -> _LongestPrompt:
    longest, where, too_long = -1, items[0], 0
    for start in range(0, len(items), _CHUNK):
        chunk = items[start : start + _CHUNK]
        for item, tokens in zip(chunk, texts.count(chunk), strict=True):
            too_long += tokens > room
            if tokens > longest:
                longest, where = tokens, item
    return _LongestPrompt(where, longest, too_long)


class _PromptTexts:
    """Prompts as the policy reads them, counted in tokens."""

    def __init__(self, config: RunConfig, task: Task, model: ModelFiles) -> None:
        self._task = task
        self._model = model
        self._chat = ChatFormat.of(config.model)
        self._template = read_template(model.directory) if self._chat.chat else None
        model.tokenizer.no_padding()  # some files ask for it
        model.tokenizer.no_truncation()
        begin = self._template.begin if self._template else ""
        first = model.tokenizer.encode("a").ids[:1]
        self._twice = begin if begin and first == [model.tokenizer.token_to_id(begin)] else ""

    def shown(self, item: Item) -> str:
        """A prompt exactly as the policy reads it, line ends and all written out; of a long one head and tail."""
        text = repr(self._text(item))
        return text if len(text) <= SHOWN else f"{text[: SHOWN * 2 // 3]} … {text[-SHOWN // 3 :]}"

    def remarks(self, first: Item) -> Iterator[CheckFinding]:
        """What of [model] has no effect on the prompts, or ought to have one."""
        chat, template = self._chat, self._template
        if template is None and chat.chat and (self._task.chat or first.messages):
            text = "the model has no chat template, and the task's prompts are chats: it reads them as plain text"
            yield CheckFinding("warning", "model.chat", f"{text}; an instruct model has one")
        for key, value in (("system_prompt", chat.system_prompt), ("chat_template_kwargs", chat.chat_template_kwargs)):
            if value and template is None:
                yield CheckFinding("error", f"model.{key}", "needs a chat template, and the model has none")
        if template is not None:
            for name in sorted(set(chat.chat_template_kwargs) - template.names):
                text = f"{name} has no effect: the model's chat template does not ask for it"
                yield CheckFinding("warning", "model.chat_template_kwargs", text)

    def count(self, items: Sequence[Item]) -> list[int]:
        """Tokens of each prompt. Raises UserError for one that the tokenizer or the chat template cannot say."""
        texts = [self._text(item) for item in items]
        counts = []
        for item, text, encoding in zip(items, texts, self._model.tokenizer.encode_batch(texts), strict=True):
            ids = encoding.ids
            if not ids:
                raise UserError(f"its tokenizer gives no tokens for {self._task.where(item)}")
            beyond = 0 < self._model.vocabulary <= max(ids)
            if (beyond or self._model.unknown_id in ids) and (unknown := self._model.unknown(text)):
                raise UserError(f"its tokenizer does not know {unknown!r:.40} of {self._task.where(item)}")
            counts.append(len(ids))
        return counts

    def _text(self, item: Item) -> str:
        if self._template is None:
            return plain_prompt(item, self._task)
        try:
            return self._template.text(self._chat.messages(item), self._chat).removeprefix(self._twice)
        except UserError as error:
            raise UserError(f"{self._task.where(item)}: {error}") from error

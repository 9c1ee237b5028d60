"""Any safe generator of reasoning_gym as a task: `reasoning_gym/<generator>`, asked for through `tasks.registry`.

The generator writes prompts and answers; the verdict is ours. Partial credit never counts, and no scorer of the
package sees a text before its shape and length were checked: some evaluate it as code, some reward junk.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import importlib.util
import json
import math
import random
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

from tasks import arithmetic
from tasks.answers import tagged_answer
from tasks.base import Item, Reward, Task, TaskError, TaskNotFound

PREFIX = "reasoning_gym/"
INSTRUCTION = "\n\nThink step by step, then give the final answer alone between <answer> and </answer>."
INDICES = 2**30
LONGEST_PROMPT = 12_000
_FLOAT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?(e[+-]?[0-9]{1,3})?")
_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(\.[0-9]{1,40})?")

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "boxnet": "it gives no answer, and its scorer gives credit for any plan that moves one box",
        "composite": "it mixes other generators; name one of them",
        "intermediate_integration": "many answers are right, and its scorer evaluates the model's text as code",
        "propositional_logic": "it gives no answer, and its scorer accepts a premise repeated as the conclusion",
        "rush_hour": "it gives no answer to check the scorer with",
        "simple_integration": "many answers are right, and its scorer evaluates the model's text as code",
        "polynomial_equations": "an equation without real solutions has an empty answer, and near answers score",
    }
)
"""Generators that cannot be made safe, with the reason."""

# Several answers are right: the package's scorer decides, and only what fully matches the shape reaches it.
_SHAPES: Mapping[str, str] = {
    "cryptarithm": r"[A-Z]=[0-9](, ?[A-Z]=[0-9]){0,9}",
    "graph_color": r'\{ ?"[0-9]{1,3}": ?[0-9]{1,2}(, ?"[0-9]{1,3}": ?[0-9]{1,2}){0,200} ?\}',
    "group_anagrams": r'\[\["[a-z", \[\]]{1,2000}"\]\]',
    "jugs": r'\["[a-zA-Z0-9>\-", ]{1,4000}"\]',
    "kakurasu": r"[01]( [01]){1,20}(\n[01]( [01]){1,20}){1,20}",
    "knight_swap": r'No|\["[wBA-Z0-9,", ]{1,4000}"\]',
    "palindrome_generation": r"[a-z]{1,100}",
    "palindrome_partitioning": r'\[\["[a-z", \[\]]{1,20000}"\]\]',
    "quantum_lock": r"[A-C]( → [A-C]){0,60}",
    "rubiks_cube": r"[UDLRFB]['2]?( [UDLRFB]['2]?){0,200}",
    "shortest_path": r"infeasible|(up|down|left|right)( (up|down|left|right)){0,400}",
    "sokoban": r"[UDLR]{1,400}",
    "tower_of_hanoi": r"(Move disk [0-9]{1,2} from Peg [0-9] to Peg [0-9]\n?){1,500}",
    "word_ladder": r"[A-Z]{2,12}(,[A-Z]{2,12}){1,40}",
}
_GOLD: Mapping[str, str] = {"graph_color": "possible_answer", "rubiks_cube": "example_correct_answer"}
"""Where a generator without an answer keeps an example of a right one."""


class ReasoningGym(Task):
    """One generator. The completion ends with its only `<answer>…</answer>`; what stands there is verified exactly.

    Most generators have one right answer, compared as text (spaces normalized) or as a decimal number. Where several
    are right, a verifier of ours or the package's scorer at full score decides, behind a check of shape and length.
    """

    kind = "generator"
    max_completion_length = 1024
    chat = True
    suggested_model = "Qwen/Qwen2.5-0.5B-Instruct"

    def __init__(self, generator: str) -> None:
        gym = package()
        known = gym.factory.DATASETS
        if generator not in known:
            near = ", ".join(difflib.get_close_matches(generator, known, n=3, cutoff=0.4) or sorted(known)[:3])
            raise TaskNotFound(f"task {PREFIX + generator!r} is unknown to reasoning_gym; nearest: {near}")
        if generator in REFUSED:
            raise TaskError(f"task {PREFIX + generator!r} is refused: {REFUSED[generator]}")
        self.name = PREFIX + generator
        self.summary = f"{generator.replace('_', ' ')}, a generator of reasoning_gym"
        self._generator = generator
        self._dataset: Any = gym.create_dataset(generator, seed=0, size=1)
        self._entry = functools.lru_cache(maxsize=2048)(self._make)

    def generate(self, rng: random.Random) -> Item:
        for _ in range(100):
            index = rng.randrange(INDICES)
            entry = self._entry(index)
            answer = _answer(self._generator, entry)
            if answer and len(entry["question"]) <= LONGEST_PROMPT:
                return Item(entry["question"] + INSTRUCTION, answer, {"index": index})
        raise TaskError(f"task {self.name}: 100 draws gave no item with an answer and at most {LONGEST_PROMPT} letters")

    def score(self, completion: str, item: Item) -> Reward:
        answer = tagged_answer(completion)
        correct = answer is not None and self._verify(answer, item)
        return Reward(correct, float(correct), {"answer": float(correct), "format": float(answer is not None)})

    def gold(self, item: Item) -> str:
        return f"<answer>{item.answer}</answer>"

    def _verify(self, answer: str, item: Item) -> bool:
        if not answer or len(answer) > 200 + 4 * len(item.answer):
            return False
        if own := _VERIFIERS.get(self._generator):
            return own(answer, self._entry(item.data["index"]))
        if shape := _SHAPES.get(self._generator):
            if re.fullmatch(shape, answer) is None:
                return False
            return bool(self._dataset.score_answer(answer, self._entry(item.data["index"])) >= 1.0)
        return same_answer(answer, item.answer)

    def _make(self, index: int) -> Mapping[str, Any]:
        entry: Mapping[str, Any]
        try:
            entry = self._dataset[index]
        except IndexError:  # a few draw all their items when they are made
            entry = package().create_dataset(self._generator, seed=index, size=1)[0]
        return entry


def same_answer(answer: str, gold: str) -> bool:
    """Equal as text with spaces normalized, or as decimal numbers; never evaluated."""
    if _lines(answer) == _lines(gold):
        return True
    both = _NUMBER.fullmatch(answer) and _NUMBER.fullmatch(gold)
    return bool(both) and Decimal(answer) == Decimal(gold)


def _lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.strip().splitlines()]


def _answer(generator: str, entry: Mapping[str, Any]) -> str:
    if generator in _GOLD:
        answer = entry["metadata"][_GOLD[generator]]
        return answer if isinstance(answer, str) else json.dumps(answer)
    return str(entry["answer"] or "").strip()


def _countdown(answer: str, entry: Mapping[str, Any]) -> bool:
    return arithmetic.reaches(answer, entry["metadata"]["numbers"], entry["metadata"]["target"])


def _puzzle24(answer: str, entry: Mapping[str, Any]) -> bool:
    return arithmetic.reaches(answer, entry["metadata"]["numbers"], 24)


def _n_queens(answer: str, entry: Mapping[str, Any]) -> bool:
    return any(_lines(answer) == _lines(valid) for valid in entry["metadata"]["valid_answers"])


def _close(answer: str, entry: Mapping[str, Any], figures: int) -> bool:
    """Equal when both are rounded to so many significant figures; the package's scorer takes 0 for a small number."""
    gold = float(entry["answer"])
    if _FLOAT.fullmatch(answer) is None or not math.isfinite(value := float(answer)):
        return False
    return f"{value:.{figures - 1}e}" == f"{gold:.{figures - 1}e}"


_VERIFIERS: Mapping[str, Callable[[str, Mapping[str, Any]], bool]] = {
    "coin_flip": functools.partial(_close, figures=4),
    "countdown": _countdown,
    "n_queens": _n_queens,
    "power_function": functools.partial(_close, figures=3),
    "puzzle24": _puzzle24,
}


def generators() -> Sequence[str]:
    """Names of the generators that are tasks, sorted. Imports reasoning_gym.

    Raises:
        TaskNotFound: reasoning_gym is not installed; the message says how to install it.
    """
    return tuple(sorted(set(package().factory.DATASETS) - set(REFUSED)))


def installed() -> bool:
    """Whether reasoning_gym can be imported, without importing it (3 seconds)."""
    return importlib.util.find_spec("reasoning_gym") is not None


@functools.cache
def package() -> Any:
    """The module, imported once.

    Raises:
        TaskNotFound: it is not installed; the message says how to install it.
    """
    if not installed():
        raise TaskNotFound('tasks "reasoning_gym/…" need one more package: pip install "llmzero-tui[reasoning-gym]"')
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in its sources: nothing a user could act on
        return importlib.import_module("reasoning_gym")

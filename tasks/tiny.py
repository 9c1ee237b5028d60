"""What the tasks for tiny models share: a character vocabulary, demonstrations for the warm start, text
checks.

Each tiny task subclasses `TinyTask`; `tasks.tiny_model` reads it to build the shipped base. It must not
import torch.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol

from tasks.base import Item, Task, TaskError

BASES = Path(__file__).resolve().parent / "bases"
"""Where the shipped base models are: a directory each. In a checkout a link to assets/tiny."""
BASE_PREFIX = "assets/tiny/"
"""How run files name them, in a checkout and outside one: "assets/tiny/knights"."""
SPECIAL_TOKENS = ("<pad>", "<eos>", "<bos>", "<unk>")
CHARACTERS = "0123456789+-*/=() abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ?.,:;<>#&|!\n\"'_%[]@$^~{}"
VOCABULARY: Mapping[str, int] = {token: i for i, token in enumerate((*SPECIAL_TOKENS, *CHARACTERS))}


@dataclass(frozen=True, slots=True)
class WarmStartPhase:
    """A part of the warm start: `steps` optimizer steps with a share `worked` (0..1) of worked answers.

    Attributes:
        lessons: (share, lowest, highest level) of the items shown; empty for the target distribution.
        learning_rate: when given, the phase begins with a new optimizer that peaks there.
    """

    steps: int
    worked: float
    lessons: tuple[tuple[float, int, int], ...] = ()
    learning_rate: float | None = None


class TinyTask(Task):
    """A task that a model of 0.3M parameters can be taught.

    Attributes:
        phases: "teach, then hide": first mostly worked answers, then mostly guesses, so that the base knows
            how to work an answer out but seldom does; GRPO has to find that out.
    """

    phases: ClassVar[Sequence[WarmStartPhase]]
    kind = "tiny"

    @abstractmethod
    def demonstrate(self, rng: random.Random, item: Item, worked: float) -> str:
        """A completion to imitate: with probability `worked` (0..1) a worked, right one, else a guess."""

    def lesson(self, rng: random.Random, phase: WarmStartPhase) -> Item:
        """An item to demonstrate in a phase; a task whose phases have `lessons` draws by them."""
        if phase.lessons:
            raise TaskError(f"task {self.name} has lessons, but no lesson()")
        return self.generate(rng)

    def gold(self, item: Item) -> str:
        """The worked, right completion."""
        return self.demonstrate(random.Random(0), item, 1.0)

    def default_model(self) -> str:
        return f"{BASE_PREFIX}{self.name}"


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that `check_text` needs."""

    @property
    def unk_token_id(self) -> int | None: ...

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]: ...


def check_text(text: str, tokenizer: Tokenizer) -> None:
    """Refuse a text that `tokenizer` cannot represent: it would turn into <unk> silently.

    Raises:
        TaskError: names the first character outside the vocabulary, and where it stands.
    """
    unknown = tokenizer.unk_token_id
    if unknown is None or unknown not in tokenizer.encode(text, add_special_tokens=False):
        return
    for position, character in enumerate(text):
        if unknown in tokenizer.encode(character, add_special_tokens=False):
            raise TaskError(f"character {character!r} at position {position} of {text[:60]!r} is not in the vocabulary")
    raise TaskError(f"{text[:60]!r} has a part that is not in the vocabulary")


def answer_after_hash(completion: str) -> str | None:
    """What stands after the only '#', exactly as written; None when there is no '#' or more than one."""
    _, hash_, answer = completion.partition("#")
    return answer if hash_ and "#" not in answer else None

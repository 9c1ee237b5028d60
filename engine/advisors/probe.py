"""Can a model read our plots, and decide plain cases? Diagrams like those of the evidence, and tables, with answers.

`qualification.py` asks and counts; nothing is logged in a run. Chance is one in four.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from engine.advisors.answers import BadAnswer, ModelAnswer, parse
from engine.advisors.context import ContextWindow
from engine.advisors.hostile import one_line
from engine.advisors.ollama_client import ChatReply, ChatRequest, ModelCard, OllamaClient, OllamaFault
from engine.advisors.plots import BEST, HERE, EvidencePanel, PanelCurve, compose, draw

LETTERS = "ABCD"
SCHEMA: dict[str, Any] = {
    "type": "object", "properties": {"answer": {"type": "string", "enum": list(LETTERS)}}, "required": ["answer"],
}  # fmt: skip
SYSTEM = (
    "You read a diagram or a table of a GRPO training run (reinforcement learning of a language model) and answer a "
    'question with four choices. Answer with one JSON object and nothing else: {"answer": "A"}, "B", "C" or "D".'
)
ANSWER_TOKENS = 200
STEPS = 60
"""Of a drawn curve."""
UNIT = PanelCurve("", [(1, 0.0), (STEPS, 1.0)], "#ffffff", 0.0)
"""Draws nothing and makes the axis run from 0 to 1."""


class RiddleChoice(ModelAnswer):
    answer: str


@dataclass(frozen=True, slots=True)
class Riddle:
    """A diagram or none, a question, four choices, the right one's letter."""

    name: str
    panel: EvidencePanel | None
    question: str
    choices: tuple[str, str, str, str]
    right: str

    @property
    def images(self) -> tuple[bytes, ...]:
        return () if self.panel is None else (compose(self.name, [draw(self.panel, 1024, 640)], 1),)

    @property
    def text(self) -> str:
        options = "\n".join(f"{letter}: {choice}" for letter, choice in zip(LETTERS, self.choices, strict=True))
        return f"{self.question}\n{options}"


@dataclass(frozen=True, slots=True)
class RiddleResult:
    """What a model said to a riddle; `given` is "" when it gave no usable answer, and `error` says why; `lost` is a
    call that failed, which says nothing of the model."""

    riddle: Riddle
    given: str
    error: str = ""
    lost: bool = False
    reply: ChatReply = field(default_factory=lambda: ChatReply(""))

    @property
    def right(self) -> bool:
        return self.given == self.riddle.right


def riddles(seed: int) -> tuple[Riddle, ...]:
    """Five of them: a trend, a spike, which curve is higher, a level, a crossing. The seed moves the answers about."""
    rng = random.Random(seed)
    return tuple(make(rng) for make in (_trend, _spike, _higher, _level, _crossing))


CASES = (
    ("Collapse",
     "entropy | start 1.52 | end 0.21\nvalidation | start 0.34 | end 0.29\nreward | start 0.40 | end 0.41\n"
     "learning_rate 2e-4, temperature 0.7",
     ("lower the learning rate and raise the temperature", "raise the learning rate", "lower the temperature",
      "shorten the completions")),
    ("Truncation",
     "truncated completions | start 0.08 | end 0.61\ncompletion length | start 41 | end 63 of at most 64\n"
     "validation | start 0.22 | end 0.31\nentropy | start 1.31 | end 1.27",
     ("allow longer completions", "allow shorter completions only", "raise the KL coefficient",
      "lower the temperature to 0")),
    ("Explosion",
     "gradient norm | start 0.6 | end 48\nKL | start 0.01 | end 3.9\nvalidation | start 0.37 | end 0.05\n"
     "entropy | start 1.42 | end 1.38",
     ("go back to an earlier checkpoint with a lower learning rate", "continue unchanged", "raise the learning rate",
      "turn gradient clipping off")),
)  # fmt: skip
"""Name, table, and what may help, of which the first is right."""


def cases(seed: int) -> tuple[Riddle, ...]:
    """Three decisions that no textbook leaves open, as tables without a diagram."""
    rng, made = random.Random(seed), []
    for name, table, remedies in CASES:
        order = rng.sample(range(4), 4)
        choices = _four(remedies[i] for i in order)
        made.append(Riddle(name, None, f"{table}\nWhat helps most?", choices, LETTERS[order.index(0)]))
    return tuple(made)


def probe(
    client: OllamaClient, card: ModelCard, asked: Sequence[Riddle], options: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[RiddleResult]:
    """Ask riddles, with the context length of a run: another would load the model anew.

    Args:
        options: of the server, as a run would send them.
    """
    window = ContextWindow(card.context, thinks=card.thinking)
    tokens = window.answer if card.thinking else ANSWER_TOKENS
    for riddle in asked:
        question = ChatRequest(
            model=card.name, system=SYSTEM, text=riddle.text, images=riddle.images, schema=SCHEMA,
            think=False if card.thinking else None,
            options={"num_ctx": window.length, **options, "num_predict": tokens, "temperature": 0.0, "seed": 0},
        )  # fmt: skip
        try:
            with client.turn(0):
                reply = client.chat(question)
            given = parse(reply.text if reply.text.strip() else reply.thinking, RiddleChoice).answer.strip().upper()
        except OllamaFault as fault:
            yield RiddleResult(riddle, "", one_line(str(fault), 160), lost=True)
        except BadAnswer as problem:
            yield RiddleResult(riddle, "", one_line(str(problem), 160), reply=reply)
        else:
            yield RiddleResult(riddle, given if given in LETTERS and len(given) == 1 else "", reply=reply)


def _noisy(rng: random.Random, shape: Callable[[float], float], noise: float) -> list[tuple[int, float]]:
    return [(i + 1, shape(i / (STEPS - 1)) + rng.uniform(-noise, noise)) for i in range(STEPS)]


def _trend(rng: random.Random) -> Riddle:
    shapes: dict[str, Callable[[float], float]] = {
        "it rises all the time": lambda x: 0.2 + 0.5 * x,
        "it falls all the time": lambda x: 0.7 - 0.5 * x,
        "it stays flat": lambda x: 0.45,
        "it rises, then falls": lambda x: 0.2 + 1.8 * x * (1 - x),
    }
    names = rng.sample(sorted(shapes), 4)
    right = rng.randrange(4)
    panel = EvidencePanel("reward", (PanelCurve("", _noisy(rng, shapes[names[right]], 0.02)), UNIT))
    return Riddle("Trend", panel, "What does the reward do?", _four(names), LETTERS[right])


def _spike(rng: random.Random) -> Riddle:
    steps = [8, 22, 38, 53]
    right = rng.randrange(4)
    points = [(s, v + (1.2 if s == steps[right] else 0)) for s, v in _noisy(rng, lambda _: 0.3, 0.05)]
    panel = EvidencePanel("gradient norm", (PanelCurve("", points),))
    return Riddle(
        "Spike", panel, "Near which step does the gradient norm spike?", _four(map(str, steps)), LETTERS[right]
    )


def _higher(rng: random.Random) -> Riddle:
    red_wins = rng.random() < 0.5
    low, high = (lambda x: 0.2 + 0.15 * x), (lambda x: 0.25 + 0.4 * x)
    red, blue = (high, low) if red_wins else (low, high)
    lines = (PanelCurve("red", _noisy(rng, red, 0.01), HERE), PanelCurve("blue", _noisy(rng, blue, 0.01), BEST))
    choices = ["red ends higher", "blue ends higher", "both end equal", "there is one curve only"]
    right = 0 if red_wins else 1
    order = rng.sample(range(4), 4)
    panel = EvidencePanel("validation score", lines, legend=True)
    return Riddle(
        "Compare", panel, "Which curve ends higher?", _four(choices[i] for i in order), LETTERS[order.index(right)]
    )


def _level(rng: random.Random) -> Riddle:
    levels = [0.1, 0.35, 0.6, 0.85]
    right = rng.randrange(4)
    points = _noisy(rng, lambda x: levels[right] + (0.5 - levels[right]) * (1 - x) ** 3, 0.01)
    panel = EvidencePanel("truncated completions", (PanelCurve("", points), UNIT))
    return Riddle("Level", panel, "At about which value does the curve end?", _four(map(str, levels)), LETTERS[right])


def _crossing(rng: random.Random) -> Riddle:
    steps = [12, 24, 36, 48]
    right = rng.randrange(4)
    at = steps[right] / STEPS
    lines = (
        PanelCurve("red", _noisy(rng, lambda x: 0.4 + 0.4 * (x - at), 0.004), HERE),
        PanelCurve("blue", _noisy(rng, lambda x: 0.4 - 0.3 * (x - at), 0.004), BEST),
    )
    panel = EvidencePanel("entropy", lines, legend=True)
    return Riddle("Crossing", panel, "Near which step do the two curves cross?", _four(map(str, steps)), LETTERS[right])


def _four(choices: Any) -> tuple[str, str, str, str]:
    a, b, c, d = choices
    return str(a), str(b), str(c), str(d)

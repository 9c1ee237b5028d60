"""Can a model read our plots? Five diagrams with known answers, drawn like those of the evidence.

`llmzero doctor --probe-vision` asks and counts; nothing is logged in a run. Chance is one in four.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.advisors.answers import BadAnswer, ModelAnswer, parse
from engine.advisors.context import ContextWindow
from engine.advisors.hostile import one_line
from engine.advisors.ollama_client import ChatRequest, ModelCard, OllamaClient, OllamaFault
from engine.advisors.plots import BEST, HERE, EvidencePanel, PanelCurve, compose, draw

LETTERS = "ABCD"
SCHEMA: dict[str, Any] = {
    "type": "object", "properties": {"answer": {"type": "string", "enum": list(LETTERS)}}, "required": ["answer"],
}  # fmt: skip
SYSTEM = (
    "You read a diagram of a training run and answer a question with four choices. Answer with one JSON object and "
    'nothing else: {"answer": "A"}, "B", "C" or "D".'
)
UNIT = PanelCurve("", [(1, 0.0), (60, 1.0)], "#ffffff", 0.0)
"""Draws nothing and makes the axis run from 0 to 1."""


class RiddleChoice(ModelAnswer):
    answer: str


@dataclass(frozen=True, slots=True)
class Riddle:
    """A diagram, a question about it, four choices, the right one's letter."""

    name: str
    panel: EvidencePanel
    question: str
    choices: tuple[str, str, str, str]
    right: str

    @property
    def png(self) -> bytes:
        return compose(self.name, [draw(self.panel, 1024, 640)], 1)

    @property
    def text(self) -> str:
        options = "\n".join(f"{letter}: {choice}" for letter, choice in zip(LETTERS, self.choices, strict=True))
        return f"{self.question}\n{options}"


@dataclass(frozen=True, slots=True)
class RiddleResult:
    """What a model said to a riddle; `given` is "" when it gave no usable answer, and `error` says why."""

    riddle: Riddle
    given: str
    error: str = ""

    @property
    def right(self) -> bool:
        return self.given == self.riddle.right


def riddles(seed: int) -> tuple[Riddle, ...]:
    """Five of them: a trend, a spike, which curve is higher, a level, a crossing. The seed moves the answers about."""
    rng = random.Random(seed)
    return tuple(make(rng) for make in (_trend, _spike, _higher, _level, _crossing))


def probe(client: OllamaClient, card: ModelCard, seed: int = 0) -> Iterator[RiddleResult]:
    """Ask every riddle, with the context length of a run: another would load the model anew. A call that fails counts
    as not read."""
    window = ContextWindow(card.context, thinks=card.thinking)
    for riddle in riddles(seed):
        question = ChatRequest(
            model=card.name, system=SYSTEM, text=riddle.text, images=(riddle.png,), schema=SCHEMA,
            options={"num_ctx": window.length, "num_predict": window.answer, "temperature": 0.0, "seed": seed},
        )  # fmt: skip
        try:
            reply = client.chat(question)
            given = parse(reply.text or reply.thinking, RiddleChoice).answer.strip().upper()
        except (OllamaFault, BadAnswer) as problem:
            yield RiddleResult(riddle, "", one_line(str(problem), 160))
            continue
        yield RiddleResult(riddle, given if given in LETTERS and len(given) == 1 else "", "")


def report(answers: Sequence[RiddleResult], model: str) -> dict[str, str]:
    """The outcome as a level and a line. Below three of five the plots are noise to the model."""
    right = sum(answered.right for answered in answers)
    each = ", ".join(
        f"{a.riddle.name.lower()} {'right' if a.right else a.error or f'wrong ({a.given} for {a.riddle.right})'}"
        for a in answers
    )
    return {
        "level": "ok" if right >= 3 else "warning",
        "text": f"{model} reads {right} of {len(answers)} plots: {each}",
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """`python -m engine.advisors.probe HOST MODEL`: the report as JSON on stdout."""
    parser = argparse.ArgumentParser(prog="engine.advisors.probe", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one answer")
    asked = parser.parse_args(arguments)
    client = OllamaClient(asked.host, timeout=asked.timeout, stall=min(60.0, asked.timeout))
    try:
        card = client.card(asked.model)
    except OllamaFault as fault:
        found = {"level": "warning", "text": f"{asked.model} cannot be asked: {fault}"}
    else:
        found = {"level": "warning", "text": f"{asked.model} has no vision"}
        if card.vision:
            found = report(list(probe(client, card, asked.seed)), asked.model)
    sys.stdout.write(json.dumps(found) + "\n")
    return 0


def _noisy(rng: random.Random, shape: Callable[[float], float], noise: float, n: int = 60) -> list[tuple[int, float]]:
    return [(i + 1, shape(i / (n - 1)) + rng.uniform(-noise, noise)) for i in range(n)]


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
    at = steps[right] / 60
    lines = (
        PanelCurve("red", _noisy(rng, lambda x: 0.4 + 0.4 * (x - at), 0.004), HERE),
        PanelCurve("blue", _noisy(rng, lambda x: 0.4 - 0.3 * (x - at), 0.004), BEST),
    )
    panel = EvidencePanel("entropy", lines, legend=True)
    return Riddle("Crossing", panel, "Near which step do the two curves cross?", _four(map(str, steps)), LETTERS[right])


def _four(choices: Any) -> tuple[str, str, str, str]:
    a, b, c, d = choices
    return str(a), str(b), str(c), str(d)


if __name__ == "__main__":
    raise SystemExit(main())

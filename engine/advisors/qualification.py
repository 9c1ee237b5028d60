"""Whether a model is worth asking: five plots and three decisions with known answers, and how fast it is.

A run tests a model before it first asks it, `llmzero doctor --probe-vision` does so at any time (`python -m
engine.advisors.qualification HOST MODEL` prints a finding as JSON). The outcome is kept by the model's digest among
what the program remembers, and holds until the weights or the test change.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from platformdirs import user_state_path

from engine.advisors.context import PROMPT_TOKENS
from engine.advisors.hostile import one_line
from engine.advisors.ollama_client import ModelCard, OllamaClient, OllamaFault
from engine.advisors.probe import RiddleResult, cases, probe, riddles
from engine.errors import Fault
from engine.files import whole

_log = logging.getLogger(__name__)

VERSION = 1
"""Of the test: who changes a riddle, the mark or what is kept raises it."""
PLOTS_NEEDED, CASES_NEEDED = 3, 2
"""The mark: of five plots (chance is 1.25) and of three decisions (chance is 0.75)."""
ANSWER_TOKENS = 400
"""Of a usual answer, for the time that one takes."""
SEED = 0


@dataclass(frozen=True, slots=True)
class Qualification:
    """How a model did. `plots` is 0 for one that does not see; rates are tokens a second, 0 when unknown."""

    plots_right: int
    plots: int
    cases_right: int
    cases: int
    reading_rate: float
    writing_rate: float

    @property
    def passed(self) -> bool:
        """Whether it reached the mark."""
        return self.cases_right >= CASES_NEEDED and (not self.plots or self.plots_right >= PLOTS_NEEDED)

    @property
    def answer_seconds(self) -> float:
        """What an answer to a prompt of full length takes, about; 0 when unknown."""
        if not self.reading_rate or not self.writing_rate:
            return 0.0
        return PROMPT_TOKENS / self.reading_rate + ANSWER_TOKENS / self.writing_rate

    @property
    def text(self) -> str:
        """ "reads 4 of 5 plots, decides 3 of 3 cases"."""
        reads = f"reads {self.plots_right} of {self.plots} plots, " if self.plots else ""
        return f"{reads}decides {self.cases_right} of {self.cases} cases"

    def speed(self, timeout: float) -> str:
        """What an answer takes beside `timeout`, in seconds; "" when unknown."""
        if not self.answer_seconds:
            return ""
        return (
            f"reads {self.reading_rate:.0f} and writes {self.writing_rate:.0f} tokens a second: an answer takes about "
            f"{self.answer_seconds:.0f} s, timeout_seconds is {timeout:g}"
        )


class TestFault(Fault):
    """A call of the test failed, which says nothing of the model; `error` is that of the call, with its kind."""

    def __init__(self, model: str, error: str) -> None:
        super().__init__(f"{model} could not be tested: {error}")
        self.error = error


MARK = f"the mark is {PLOTS_NEEDED} of 5 plots and {CASES_NEEDED} of 3 cases"


def examine(
    client: OllamaClient,
    card: ModelCard,
    options: Mapping[str, Any] = MappingProxyType({}),
    heard: Callable[[RiddleResult], None] = lambda _: None,
) -> Qualification:
    """Test a model, and keep the outcome. `heard` is told every answer.

    Raises:
        TestFault: a call failed; nothing is kept.
    """
    results: list[RiddleResult] = []
    for result in probe(client, card, [*(riddles(SEED) if card.vision else ()), *cases(SEED)], options):
        if result.lost:
            raise TestFault(card.name, result.error)
        results.append(result)
        heard(result)
    qualification = summarize(results)
    keep(card.digest, qualification)
    return qualification


def summarize(results: Sequence[RiddleResult]) -> Qualification:
    """Counts and rates of a whole test."""
    plots = [result for result in results if result.riddle.panel is not None]
    decided = [result for result in results if result.riddle.panel is None]
    replies = [result.reply for result in results]
    return Qualification(
        sum(r.right for r in plots), len(plots), sum(r.right for r in decided), len(decided),
        _rate(sum(r.prompt_tokens for r in replies), sum(r.prompt_seconds for r in replies)),
        _rate(sum(r.completion_tokens for r in replies), sum(r.answer_seconds for r in replies)),
    )  # fmt: skip


def _rate(tokens: int, seconds: float) -> float:
    return tokens / seconds if seconds > 0 else 0.0


# ---- what is kept --------------------------------------------------------------------------------------------------


def keep(digest: str, qualification: Qualification) -> None:
    """Remember an outcome; a place that cannot be written costs another test."""
    if (path := _file(digest)) is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as file:
            file.write(json.dumps(asdict(qualification)).encode())
    except OSError as error:
        _log.info("the outcome of a model's test is not kept: %s", error)


def kept(digest: str) -> Qualification | None:
    """The outcome of an earlier test of these weights; None where there is none that can be read."""
    if (path := _file(digest)) is None:
        return None
    try:
        return Qualification(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _file(digest: str) -> Path | None:
    """None for a model without a digest, or a user without a home."""
    name = "".join(c for c in digest if c.isalnum())
    try:
        directory = user_state_path("llmzero", appauthor=False)
    except RuntimeError:
        return None
    return directory / "models" / f"{name}-{VERSION}.json" if name and directory.is_absolute() else None


# ---- doctor --------------------------------------------------------------------------------------------------------


def main(arguments: Sequence[str] | None = None) -> int:
    """Test one model and print the finding as JSON on stdout."""
    parser = argparse.ArgumentParser(prog="engine.advisors.qualification", description=__doc__)
    parser.add_argument("host")
    parser.add_argument("model")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one answer")
    asked = parser.parse_args(arguments)
    client = OllamaClient(asked.host, timeout=asked.timeout, stall=min(60.0, asked.timeout))
    sys.stdout.write(json.dumps(_finding(client, asked.model, asked.timeout)) + "\n")
    return 0


def _finding(client: OllamaClient, model: str, timeout: float) -> dict[str, str]:
    answers: list[RiddleResult] = []
    try:
        card = replace(client.card(model), digest=client.digest(model))
        qualification = examine(client, card, heard=answers.append)
    except (OllamaFault, Fault) as fault:
        return {"level": "warning", "text": one_line(str(fault), 300)}
    sight = "" if card.vision else "has no vision, "
    each = ", ".join(
        f"{a.riddle.name.lower()} {'right' if a.right else a.error or f'wrong ({a.given} for {a.riddle.right})'}"
        for a in answers
    )
    below = "" if qualification.passed else f"; {MARK}"
    quick = qualification.answer_seconds <= timeout
    return {
        "level": "ok" if qualification.passed and card.vision and quick else "warning",
        "text": "; ".join(
            filter(None, [f"{model} {sight}{qualification.text}: {each}{below}", qualification.speed(timeout)])
        ),
    }


if __name__ == "__main__":
    raise SystemExit(main())

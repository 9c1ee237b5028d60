"""Asks an advisor at decision points as a run would, and keeps what it answered as JSON lines.

An answer that breaks a rule is refused and asked for once more, with the reason. A fresh advisor is made for each
point, because one remembers what it said of a segment.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from engine.advisors.base import AdviceFailed, Advisor, AdvisorCall, Evidence, PlotImage, canonical, violations
from engine.advisors.dialogue import UnusableAnswers
from engine.advisors.rules import RulesAdvisor
from engine.compare.records import append, lines_of
from engine.decisions.bank import DecisionPoint
from engine.decisions.record import transition_from_json, transition_to_json
from engine.domain.space import Transition
from engine.errors import Fault, UserError

ANSWER = "answer"
ANSWERS = "the answers that advisor-bench kept"
TRIES = 2
MOST_FAULTS = 3
"""Points in a row at which the server may fail before no more is asked."""


@dataclass(frozen=True, slots=True)
class RoleCost:
    """What the calls of one role of a model took at a point; `seconds` are those of the calls themselves."""

    role: str
    calls: int
    prompt_tokens: int
    completion_tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What an advisor answered at a point.

    Attributes:
        advisor: "rules", or "ollama MODEL" with how it was asked: "shown the rules", "without plots".
        proposal: None where nothing usable came; a run then goes by the rules.
        refusals: why proposals were refused. repairs: answers that had to be asked for again because they were not what
            the schema says.
        fault: why nothing came.
        roles: what each role took, in the order in which they were first asked; empty for the rules.
        seconds: until the answer was there.
    """

    advisor: str
    point: str
    proposal: Transition | None
    refusals: tuple[str, ...] = ()
    repairs: int = 0
    fault: str = ""
    roles: tuple[RoleCost, ...] = ()
    seconds: float = 0.0


class ServerFailed(Fault):
    """The server gave no answer at a point."""


def ask(advisor: Advisor, name: str, point: DecisionPoint, *, shows_rules: bool = False) -> Answer:
    """One decision; `shows_rules` as in a run file. Raises ServerFailed where the advisor's server gave no answer."""
    began = time.perf_counter()
    evidence = _with_plots(point.evidence) if advisor.sees else point.evidence
    if shows_rules:
        evidence = replace(evidence, suggested=RulesAdvisor().advise(evidence).proposals)
    calls: list[AdvisorCall] = []
    refusals: list[str] = []
    proposal, fault = None, ""
    for _ in range(TRIES):
        try:
            advice = advisor.advise(replace(evidence, feedback="; ".join(refusals)))
        except UnusableAnswers as useless:
            calls += useless.calls
            fault = str(useless)
            break
        except AdviceFailed as failure:
            raise ServerFailed(str(failure)) from failure
        calls += advice.calls
        proposal = _first_valid(advice.proposals, evidence, refusals)
        if proposal is not None:
            break
    asked = [call for call in calls if call.role != "rules"]
    roles = tuple(_cost(role, asked) for role in dict.fromkeys(call.role for call in asked))
    seconds = round(time.perf_counter() - began, 3)
    return Answer(name, point.name, proposal, tuple(refusals), _repairs(asked), fault, roles, seconds)


def _cost(role: str, calls: Iterable[AdvisorCall]) -> RoleCost:
    own = [call for call in calls if call.role == role]
    return RoleCost(
        role, len(own), sum(call.prompt_tokens for call in own), sum(call.completion_tokens for call in own),
        round(sum(call.milliseconds for call in own) / 1000, 3),
    )  # fmt: skip


def _first_valid(proposals: Iterable[Transition], evidence: Evidence, refusals: list[str]) -> Transition | None:
    """The first proposal that breaks no rule; why others are refused is added to `refusals`."""
    for given in proposals:
        proposal = canonical(given, evidence.tree, evidence.space)
        wrong = violations(proposal, evidence)
        if not wrong:
            return proposal
        refusals.append(f"{proposal.label or 'proposal'}: {'; '.join(wrong)}")
    return None


def _repairs(calls: Sequence[AdvisorCall]) -> int:
    """Calls of a role that follow one whose answer was no use."""
    return sum(bool(before.error) and before.role == after.role for before, after in pairwise(calls))


def _with_plots(evidence: Evidence) -> Evidence:
    from engine.advisors import plots

    pictures = (PlotImage(f"plot-{n}.png", png) for n, png in enumerate(plots.sheets(evidence), 1))
    return replace(evidence, pictures=tuple(pictures))


def ask_all(
    make: Callable[[], Advisor],
    name: str,
    points: Sequence[DecisionPoint],
    kept: Path | None,
    tell: Callable[[str], None] = lambda _: None,
    *,
    shows_rules: bool = False,
) -> list[Answer]:
    """The answers of an advisor at every point; those that `kept` holds are not asked for again, others are added.

    Raises:
        Fault: the server failed at several points in a row.
    """
    known = {each.point: each for each in recorded(kept) if each.advisor == name} if kept and kept.exists() else {}
    answers, faults = [], 0
    for number, point in enumerate(points, 1):
        if (answer := known.get(point.name)) is None:
            try:
                answer, faults = ask(make(), name, point, shows_rules=shows_rules), 0
            except ServerFailed as fault:
                faults += 1
                tell(f"{number} of {len(points)} {point.name}: {fault}")
                if faults == MOST_FAULTS:
                    raise Fault(f"{name}: no answer at {faults} points in a row, the last: {fault}") from fault
                continue
            if kept is not None:
                append(kept, _to_json(answer))
            tell(f"{number} of {len(points)} {point.name}: {_told(answer)}, {answer.seconds:.1f} s")
        answers.append(held(answer, point))
    return answers


def recorded(path: Path) -> Iterator[Answer]:
    """The answers of a file, of any advisor. Raises UserError where it cannot be read, or holds anything else."""
    for number, line in enumerate(lines_of(path, (ANSWER,), ANSWERS), 1):
        del line["kind"]
        try:
            yield _from_json(line)
        except (KeyError, TypeError, ValueError) as error:
            why = f"{type(error).__name__}: {error}"
            raise UserError(f"{path}, answer {number}: is none of {ANSWERS}: {why}") from error


def held(answer: Answer, point: DecisionPoint) -> Answer:
    """The answer as it counts at a point of this bank: without a proposal that breaks a rule there."""
    if answer.proposal is None or not violations(answer.proposal, point.evidence):
        return answer
    return replace(answer, proposal=None)


def _from_json(line: dict[str, Any]) -> Answer:
    proposal = None if line["proposal"] is None else transition_from_json(line["proposal"])
    roles = tuple(RoleCost(**each) for each in line["roles"])
    return Answer(**{**line, "proposal": proposal, "refusals": tuple(line["refusals"]), "roles": roles})


def _to_json(answer: Answer) -> dict[str, Any]:
    proposal = None if answer.proposal is None else transition_to_json(answer.proposal)
    return {"kind": ANSWER, **asdict(answer), "proposal": proposal}


def _told(answer: Answer) -> str:
    return answer.proposal.label if answer.proposal else answer.fault or f"refused: {answer.refusals[-1]}"

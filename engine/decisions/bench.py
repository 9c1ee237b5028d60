"""How well an advisor decides on the bank, beside the rules, continuing always, and changes drawn at random.

Run by `llmzero advisor-bench` as `python -m engine.decisions.bench QUESTION`, a process of its own because the face
imports no advisors. It prints the result as JSON on stdout, and says on stderr how far it is.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from engine.advisors.base import Advisor
from engine.advisors.rules import RulesAdvisor
from engine.compare.statistics import SeedMean, mean
from engine.decisions import ablation, bank, payoff, scoring
from engine.decisions.asking import Answer, ask_all, held, recorded
from engine.decisions.bank import DecisionPoint
from engine.decisions.scoring import Outcome
from engine.domain.space import Intent, Transition
from engine.errors import Fault, UserError, short_path
from engine.search.nulls import random_changes
from engine.words import counted

RULES, CONTINUE, RANDOM, BEST = "rules", "continue always", "random changes", "best by one seed"
CORRECTED = "rules corrected by other tasks"
COMPARED = (RULES, CONTINUE, RANDOM, CORRECTED)
"""What every advisor is held against, point by point."""
DRAWS = 32
"""Random changes that are scored at a point."""


@dataclass(frozen=True, slots=True)
class BenchQuestion:
    """What is asked for: see `llmzero advisor-bench --help`. `advisor` "" asks none and scores what `answers` holds."""

    advisor: str = RULES
    model: str = ""
    host: str = ""
    timeout: float = 120.0
    points: int = 40
    bank: str = ""
    answers: str = ""
    shows_rules: bool = False
    without: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Of the advisor that is asked, in tables and answers."""
        shown = " shown the rules" if self.shows_rules else ""
        less = ablation.WITHOUT + ", ".join(sorted(self.without)) if self.without else ""
        return f"{self.advisor} {self.model}{shown}{less}"


@dataclass(frozen=True, slots=True)
class BenchRow:
    """One advisor: for every point the gain after each horizon, and how its answers were.

    `outcomes` are by point; several where a point is scored by draws. `answers` is empty for what is no advisor.
    """

    advisor: str
    outcomes: Mapping[str, Sequence[Outcome]]
    answers: Sequence[Answer] = field(default=())

    def gains(self, horizon: int) -> dict[str, float]:
        """Point → gain over continuing."""
        gains_by_point = {}
        for point, outcomes in self.outcomes.items():
            known = [each.gains[horizon] for each in outcomes if horizon in each.gains]
            if known:
                gains_by_point[point] = fmean(known)
        return gains_by_point


def bench(question: BenchQuestion, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """The result as JSON values.

    Raises:
        UserError: no such bank, an empty one, no model, or `answers` holds something else. Fault: the model's server
            fails.
    """
    path = Path(question.bank) if question.bank else bank.FILE
    known = bank.load(path)
    points = [p for p in known if p.whole][: question.points]
    if not points:
        raise UserError(
            f"{path} holds no decision point{' whose transitions are all measured' if known else '; it is empty'}"
        )
    kept = Path(question.answers) if question.answers else None
    rules = ask_all(RulesAdvisor, RULES, points, None)
    answered = {RULES: rules, **_asked(question, points, kept, tell)}
    unchanged = {p.name: [Outcome(bank.CONTINUE, 0.0, dict.fromkeys(p.horizons, 0.0))] for p in points}
    drawn = {p.name: [scoring.outcome(p, each) for each in _drawn(p)] for p in points}
    rows = [_scored(name, answers, points, rules) for name, answers in answered.items()]
    return _result(points, [*rows, BenchRow(CONTINUE, unchanged), BenchRow(RANDOM, drawn), *_corrected(points)])


def _asked(
    question: BenchQuestion, points: Sequence[DecisionPoint], kept: Path | None, tell: Callable[[str], None]
) -> dict[str, list[Answer]]:
    """The answers of the advisor that is asked, and whatever else the answers' file holds at these points, but for what
    it says that the rules answered: they are asked anew."""
    answers_of: dict[str, dict[str, Answer]] = {}
    before = [each for each in recorded(kept) if each.advisor != RULES] if kept and kept.exists() else []
    if question.advisor not in ("", RULES):
        name = question.name
        answers = ask_all(_maker(question), name, points, kept, tell, shows_rules=question.shows_rules)
        answers_of[name] = {each.point: each for each in answers}
    wanted = {p.name: p for p in points}
    for answer in before:
        if answer.point in wanted:
            answers_of.setdefault(answer.advisor, {})[answer.point] = held(answer, wanted[answer.point])
    if unknown := {answer.point for answer in before} - wanted.keys():
        tell(f"left out are answers at {counted(len(unknown), 'point')} that are not asked about, or not in this bank")
    if kept:
        others = ", ".join(answers_of) or f"no other advisor, since {short_path(kept)} holds no answer at these points"
        tell(f"scored are the answers of the rules and of {others}")
    return {name: list(answers.values()) for name, answers in answers_of.items()}


def _maker(question: BenchQuestion) -> Callable[[], Advisor]:
    """How the advisor is made for each point. Raises UserError where there is no such model."""
    from engine.advisors.ollama import connect
    from engine.host import ollama_host

    where = ollama_host.asked(question.host)
    ablation.check_parts(question.without)
    roles = () if ablation.ANALYST in question.without else (ablation.ANALYST,)

    def made() -> Advisor:
        return connect(where, question.model, timeout=question.timeout, roles=roles, without=question.without)

    try:
        made()
    except Fault as fault:
        raise UserError(str(fault)) from fault
    return made


def _scored(name: str, answers: Sequence[Answer], points: Sequence[DecisionPoint], rules: Sequence[Answer]) -> BenchRow:
    """What an advisor's proposals came to; where nothing usable was answered, the rules' count, as in a run."""
    by_name, instead = {p.name: p for p in points}, {a.point: a.proposal for a in rules}
    proposals = {a.point: a.proposal or instead[a.point] for a in answers}
    outcomes = {point: [scoring.outcome(by_name[point], p)] for point, p in proposals.items() if p is not None}
    return BenchRow(name, outcomes, answers)


def _drawn(point: DecisionPoint) -> list[Transition]:
    """Changes as the null `random-changes` draws them, which is what knowledge is worth against."""
    evidence, rng = point.evidence, random.Random(f"bench/{point.name}")
    here = evidence.parent.configuration
    return [
        Transition(evidence.parent.id, evidence.step, Intent.CHANGE, random_changes(evidence.space, here, rng))
        for _ in range(DRAWS)
    ]


def _corrected(points: Sequence[DecisionPoint]) -> list[BenchRow]:
    """The rules as what paid on the other tasks would correct them; none where all points are of one task."""
    by_name, horizon = {p.name: p for p in points}, max(horizon for p in points for horizon in p.horizons)
    chosen = payoff.chosen_elsewhere(points, horizon)
    outcomes = {name: [scoring.outcome(by_name[name], each.transition)] for name, each in chosen.items()}
    return [BenchRow(CORRECTED, outcomes)] if outcomes else []


# ---- the result ---------------------------------------------------------------------------------------------------


def _result(points: Sequence[DecisionPoint], rows: Sequence[BenchRow]) -> dict[str, Any]:
    horizons = sorted({horizon for point in points for horizon in point.horizons})
    return {
        "bank": _bank(points),
        "horizons": horizons,
        "rows": [*(_row(row, points, horizons) for row in rows), *_bounds(points, horizons)],
        "differences": [
            _against(ours, other, horizons)
            for ours in rows for other in rows
            if ours.answers and other.advisor in COMPARED and ours.advisor != other.advisor
        ],
        "diagnoses": _by_diagnosis(points, rows, horizons[-1]),
        "shares": _shares(rows, horizons[-1]),
        "parts": _parts(points, rows, horizons[-1]),
        "payoffs": [_payoff(each) for each in payoff.payoffs(points, horizons[-1])],
        "points": [_point(point, rows) for point in points],
    }  # fmt: skip


def _bank(points: Sequence[DecisionPoint]) -> dict[str, Any]:
    measured = [m for point in points for m in point.measured]
    return {
        "points": len(points),
        "transitions": len(measured),
        "trained": sum(len(m.scores) for m in measured),
        "seeds": dict(sorted(Counter(len(m.scores) for m in measured).items())),
        "tasks": dict(Counter(p.task for p in points)),
        "states": dict(Counter(p.state for p in points)),
    }


def _row(row: BenchRow, points: Sequence[DecisionPoint], horizons: Sequence[int]) -> dict[str, Any]:
    by_name = {p.name: p for p in points}
    every = [each for outcomes in row.outcomes.values() for each in outcomes]
    near = [each.distance for each in every if not each.exact]
    columns: dict[str, Any] = {
        "advisor": row.advisor,
        "points": len(row.outcomes),
        "gain": {str(h): _mean(list(row.gains(h).values())) for h in horizons},
        "regret": {
            str(h): _mean([scoring.best(by_name[p], h) - gain for p, gain in row.gains(h).items()]) for h in horizons
        },
        "measured": fmean([each.exact for each in every]) if every else None,
        "distance": fmean(near) if near else None,
    }
    return columns | (_answers(row.answers, by_name) if row.answers else {})


def _answers(answers: Sequence[Answer], points: Mapping[str, DecisionPoint]) -> dict[str, Any]:
    """How an advisor answered. `idle`: seconds of a decision as a share of what a segment trains."""
    segments = [seconds for a in answers if (seconds := _segment_seconds(points[a.point]))]
    return {
        "valid": fmean(a.proposal is not None for a in answers),
        "repaired": fmean(a.repairs > 0 for a in answers),
        "refused": fmean(bool(a.refusals) for a in answers),
        "roles": _roles(answers),
        "seconds": fmean(a.seconds for a in answers),
        "idle": fmean(a.seconds for a in answers) / fmean(segments) if segments else None,
    }


def _roles(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """What each role takes at a decision: means over all of them, asked or not."""
    costs = [cost for answer in answers for cost in answer.roles]
    names = ("calls", "prompt_tokens", "completion_tokens", "seconds")
    return [
        {"role": role, **{n: sum(getattr(c, n) for c in costs if c.role == role) / len(answers) for n in names}}
        for role in dict.fromkeys(cost.role for cost in costs)
    ]


def _segment_seconds(point: DecisionPoint) -> float:
    """What a segment from here trains, by the seconds of the steps before; 0 where they are not known."""
    seconds = [value for _, value in point.evidence.metrics.get("step_seconds", ())]
    return fmean(seconds) * point.evidence.steps if seconds else 0.0


def _bounds(points: Sequence[DecisionPoint], horizons: Sequence[int]) -> list[dict[str, Any]]:
    """What could be known, where enough is measured."""
    known = {h: _attainable(points, h) for h in horizons}
    most = max(map(len, known.values()))
    return [{"advisor": BEST, "points": most, "gain": {str(h): _mean(known[h]) for h in horizons}}] if most else []


def _by_diagnosis(points: Sequence[DecisionPoint], rows: Sequence[BenchRow], horizon: int) -> list[dict[str, Any]]:
    """Where the gain of each advisor comes from, the most frequent diagnosis first."""
    names = Counter(payoff.worst_of(point) for point in points)
    gains = {row.advisor: row.gains(horizon) for row in rows if row.advisor != CONTINUE}
    of = {point.name: payoff.worst_of(point) for point in points}
    return [
        {
            "diagnosis": name, "points": n,
            "gain": {a: _mean(here) for a, g in gains.items() if (here := [v for p, v in g.items() if of[p] == name])},
        }
        for name, n in names.most_common()
    ]  # fmt: skip


def _shares(rows: Sequence[BenchRow], horizon: int) -> list[dict[str, Any]]:
    """Of every model: what a run gains with it at each share of the decisions."""
    gains = {row.advisor: row.gains(horizon) for row in rows if row.answers}
    rules = gains.pop(RULES)
    return [
        {"advisor": name, "gains": [{"share": s, "gain": _mean(each)} for s, each in found.items()]}
        for name, model in gains.items()
        if any((found := ablation.at_shares(model, rules)).values())
    ]


def _parts(points: Sequence[DecisionPoint], rows: Sequence[BenchRow], horizon: int) -> list[dict[str, Any]]:
    """What each part of a prompt takes, and what it is worth to the models that were asked without it."""
    tokens = ablation.tokens(points)
    worth = ablation.worth({row.advisor: row.gains(horizon) for row in rows if row.answers})
    return [
        {
            "part": part, "points": len(tokens.get(part, ())),
            "tokens": fmean(tokens[part]) if part in tokens else None, "most": max(tokens.get(part, (0,))),
            "worth": {advisor: _mean(each) for advisor, each in worth.get(part, {}).items()},
        }
        for part in ablation.EVERY_PART if part in tokens or part in worth
    ]  # fmt: skip


def _payoff(given: payoff.Payoff) -> dict[str, Any]:
    low, high = given.without or (None, None)
    return {
        "diagnosis": given.diagnosis, "kind": given.kind, "tasks": given.tasks, "gain": _told(given.gain),
        "without": {"low": low, "high": high}, "verdict": given.verdict,
    }  # fmt: skip


def _attainable(points: Sequence[DecisionPoint], horizon: int) -> list[float]:
    gains = (scoring.attainable(p, horizon) for p in points if horizon in p.horizons)
    return [gain for gain in gains if gain is not None]


def _mean(values: Sequence[float]) -> dict[str, Any] | None:
    """Mean over points with the 95% t interval, which needs two."""
    return _told(mean(values)) if values else None


def _told(average: SeedMean) -> dict[str, Any]:
    low, high = average.interval or (None, None)
    return {"n": average.n, "value": average.value, "low": low, "high": high}


def _against(ours: BenchRow, other: BenchRow, horizons: Sequence[int]) -> dict[str, Any]:
    """What one advisor gained more than another, point by point."""
    gains = {}
    for horizon in horizons:
        a, b = ours.gains(horizon), other.gains(horizon)
        gains[str(horizon)] = _mean([a[name] - b[name] for name in a if name in b])
    return {"advisor": ours.advisor, "against": other.advisor, "gain": gains}


def _point(point: DecisionPoint, rows: Sequence[BenchRow]) -> dict[str, Any]:
    chosen = {row.advisor: outcomes[0] for row in rows if len(outcomes := row.outcomes.get(point.name, ())) == 1}
    return {
        "name": point.name,
        "task": point.task,
        "state": point.state,
        "best": {str(h): scoring.best(point, h) for h in point.horizons},
        "advisors": {
            name: {"origin": o.origin, "distance": o.distance, "gains": {str(h): gain for h, gain in o.gains.items()}}
            for name, o in chosen.items()
        },
    }


def main() -> int:
    """Print the result; {"error": …} for a user's mistake, {"fault": …} for a server that failed."""
    try:
        result = bench(BenchQuestion(**json.loads(sys.argv[1])), _say)
    except UserError as mistake:
        result = {"error": str(mistake)}
    except Fault as fault:
        result = {"fault": str(fault)}
    except OSError as error:  # the answers cannot be kept
        result = {"error": f"{error.filename}: {error.strerror}"}
    sys.stdout.write(json.dumps(result) + "\n")
    return 0


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    raise SystemExit(main())

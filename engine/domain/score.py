"""What a policy scores on a set of prompts, how sure that is, and how it differs from what another policy scores.

The only statistic of the project: search, comparator, advisors, reports and screens all ask it, and SQL gives the same
intervals from the stored `effective_n` (views.sql). Pure arithmetic without numpy: the terminal imports it.

The unit of observation is the prompt. A prompt is answered twice, greedily and once at temperature 1, and scores
x = (greedy + 2 sampled) / 3; the two answers are not independent, so errors are clustered by prompt. Two policies asked
the same prompts are compared prompt by prompt (E. Miller, "Adding Error Bars to Evals", arXiv 2411.00640).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import hypot, lcm, sqrt
from operator import mul
from struct import unpack
from typing import Any, NamedTuple

Z_95 = 1.959963984540054
"""Standard normal quantile of a two-sided 95% interval."""
BOTH = "3"
"""Outcome of a prompt that was answered correctly both times."""


class PromptSet(NamedTuple):
    """Which prompts were asked: `task.items(split, n, seed)`, of which fewer are the first of more. Scores can be
    compared prompt by prompt on what two sets of one split and seed share."""

    split: str
    seed: int
    n: int


@dataclass(frozen=True, slots=True)
class Score:
    """Correct completions out of `n` prompts: greedy decoding, and one sample per prompt.

    Attributes:
        outcomes: a digit for each prompt in order, greedy + 2 sampled: 0 neither answer is correct, 1 the greedy one, 2
            the sampled one, 3 both. "" where it was not recorded (runs of schema 1 and 2).
        prompts: which prompts, set after set; empty where that is not known.

    Raises:
        ValueError: no prompt, more correct answers than prompts, or outcomes that do not fit the counts.
    """

    n: int
    greedy: int
    sampled: int
    outcomes: str = ""
    prompts: tuple[PromptSet, ...] = ()

    def __post_init__(self) -> None:
        if self.n < 1 or not 0 <= self.greedy <= self.n or not 0 <= self.sampled <= self.n:
            raise ValueError(f"{self.greedy} and {self.sampled} correct answers to {self.n} prompts cannot be")
        if self.outcomes:
            check_outcomes(self.outcomes, self.n, self.greedy, self.sampled)

    @property
    def value(self) -> float:
        """The score that steers the search, in [0, 1]: (greedy + 2 sampled) / 3n."""
        return (self.greedy + 2 * self.sampled) / (3 * self.n)

    @property
    def standard_error(self) -> float:
        """Standard error of `value`, clustered by prompt; never 0.

        Two prompts are added, one scored 0 and one scored 1 (the Laplace estimate of a share). Without outcomes it is
        the conservative form: the largest that the counts allow, as if both answers to a prompt were always the same,
        so that the prompts count as n observations and not as 2n.
        """
        return sqrt(self._moments()[1] / self.n)

    @property
    def interval(self) -> tuple[float, float]:
        """95% interval: Wilson's for `value` on the effective number of prompts.

        Over accuracies, correlations and n it holds what it says, where Wald's fails near 0 and 1, two independent
        answers fail between, and n observations are too wide: tests/unit/test_score_coverage.py has the numbers. The
        method: C. Franco et al., "Comparative study of confidence intervals for proportions in complex sample surveys",
        J. Survey Stat. Methodol. 7, 2019.
        """
        return wilson(self.value * self.effective_n, self.effective_n)

    @property
    def effective_n(self) -> float:
        """How many prompts scored 0 or 1 would be as sure, p(1−p)/standard_error²: n where both answers are always the
        same or outcomes are unknown, up to 1.8 n where they are independent."""
        centre, variance = self._moments()
        return self.n * centre * (1 - centre) / variance

    def minus(self, other: Score) -> ScoreDifference:
        """This score less the other, prompt by prompt where both were asked the same ones."""
        return difference((self,), (other,))

    def trails(self, other: Score, errors: float = 2.0) -> bool:
        """Whether this score is below `other` by more than `errors` (at least 0) standard errors of the difference."""
        return other.minus(self).errors > errors

    def first(self, n: int) -> Score:
        """The same policy on the first `n` of its prompts. Raises ValueError where outcomes or prompts are not known,
        or where they are fewer or of several sets."""
        if n == self.n:
            return self
        if not self.outcomes or len(self.prompts) != 1 or n > self.n:
            raise ValueError(f"the first {n} of {self.n} prompts are not known")
        return of_outcomes(self.outcomes[:n], self.prompts[0]._replace(n=n))

    def as_dict(self) -> dict[str, float | int]:
        """For JSON and TOML: accuracies and interval to six digits, and n."""
        low, high = self.interval
        return {
            "value": round(self.value, 6),
            "low": round(low, 6),
            "high": round(high, 6),
            "n": self.n,
            "greedy_accuracy": round(self.greedy / self.n, 6),
            "sampled_accuracy": round(self.sampled / self.n, 6),
        }

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} [{low:.3f}, {high:.3f}] n={self.n}"

    def _moments(self) -> tuple[float, float]:
        """Mean and variance of a prompt's x, the two added prompts among them."""
        centre = (self.value * self.n + 1) / (self.n + 2)
        if not self.outcomes:
            return centre, centre * (1 - centre)
        squares = (self.greedy + 4 * self.sampled + 4 * self.outcomes.count(BOTH)) / 9
        return centre, (squares + 1) / (self.n + 2) - centre * centre


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """A difference of scores, in [−1, 1]; `paired`: prompt by prompt, on `n` prompts (else the smaller n of the two).

    `interval` is the 95% one; it is not symmetric about `value` near the ends. `standard_error` is never 0.
    """

    value: float
    standard_error: float
    interval: tuple[float, float]
    paired: bool
    n: int

    @property
    def errors(self) -> float:
        """The difference in standard errors."""
        return self.value / self.standard_error

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:+.3f} [{low:+.3f}, {high:+.3f}] {'paired, ' if self.paired else ''}n={self.n}"


def difference(ours: Sequence[Score], theirs: Sequence[Score]) -> ScoreDifference:
    """The mean of some scores less the mean of others; several of one side are checkpoints of one line, in their order.

    Where they were asked more and fewer of one set of prompts, it is the difference on those that the last scores of
    both sides share, without the scores on fewer.
    Paired where outcomes are known and the prompts are the same: d = mean x − mean x for each prompt,
    with two prompts added, one that only the one side solves and one that only the other does (D. Bonett and R. Price,
    "Adjusted Wald confidence interval for a difference of binomial proportions based on paired data", J. Educ. Behav.
    Stat. 37, 2012). Otherwise the sides are taken as independent, and the interval is Newcombe's hybrid one (Stat. Med.
    17, 1998). Checkpoints on the same prompts are never taken as more prompts.

    Raises:
        ValueError: a side without a score.
    """
    if not ours or not theirs:
        raise ValueError("a difference needs a score on both sides")
    return _difference(tuple(ours), tuple(theirs))


@lru_cache(maxsize=16_384)  # a search asks for the same ones again at every decision
def _difference(ours: tuple[Score, ...], theirs: tuple[Score, ...]) -> ScoreDifference:
    ours, theirs = _on_shared(ours, theirs)
    value = mean(ours) - mean(theirs)
    if _comparable((*ours, *theirs)):
        return _paired(value, ours, theirs)
    (low, high), (their_low, their_high) = _interval(ours), _interval(theirs)
    a, b = mean(ours), mean(theirs)
    return ScoreDifference(
        value,
        hypot(_error(ours), _error(theirs)),
        (value - hypot(a - low, their_high - b), value + hypot(high - a, b - their_low)),
        paired=False,
        n=min(s.n for s in (*ours, *theirs)),
    )


def mean(scores: Sequence[Score]) -> float:
    """Mean value of some scores."""
    return sum(s.value for s in scores) / len(scores)


def _comparable(scores: Iterable[Score]) -> bool:
    """Whether all were asked the same known prompts, with known outcomes."""
    first, *rest = scores
    prompts = first.prompts
    return bool(prompts) and all(s.outcomes and s.prompts == prompts for s in (first, *rest))


def _on_shared(ours: tuple[Score, ...], theirs: tuple[Score, ...]) -> tuple[tuple[Score, ...], tuple[Score, ...]]:
    """Both sides on the prompts that their last scores share, without the scores on fewer; as they are where nothing
    is shared or all of them were asked the same."""
    sets = {s.prompts for s in (*ours, *theirs)}
    of_one = all(len(prompts) == 1 for prompts in sets) and len({prompts[0][:2] for prompts in sets}) == 1
    if len(sets) == 1 or not of_one or not all(s.outcomes for s in (*ours, *theirs)):
        return ours, theirs
    n = min(ours[-1].n, theirs[-1].n)
    cut = [tuple(s.first(n) for s in scores if s.n >= n) for scores in (ours, theirs)]
    return cut[0], cut[1]


def _paired(value: float, ours: Sequence[Score], theirs: Sequence[Score]) -> ScoreDifference:
    n, most = ours[0].n, 3 * lcm(len(ours), len(theirs))
    sums = _sums(ours) * (most // len(ours) // 3) - _sums(theirs) * (most // len(theirs) // 3)
    # d as whole numbers of 1/most, moved up by `most`: digits of the long number must not be negative
    squares = _squares(sums + most * _ones(n), n) - 2 * most * round(value * n * most) - n * most * most
    centre = value * n / (n + 2)
    error = sqrt(((squares / most**2 + 2) / (n + 2) - centre * centre) / (n + 2))
    low, high = max(-1.0, centre - Z_95 * error), min(1.0, centre + Z_95 * error)
    return ScoreDifference(value, error, (low, high), paired=True, n=n)


# A row of small numbers, one for each prompt, is kept as the digits (base 2**32) of one long number: rows are added and
# multiplied in C, which numpy, that the terminal would have to wait for, does no faster at these lengths.


@lru_cache(maxsize=64)
def _ones(n: int) -> int:
    return int.from_bytes((1).to_bytes(4, "little") * n, "little")


def _sums(scores: Sequence[Score]) -> int:
    """3x of every prompt, added up over the scores, as a row."""
    rows = sum(int.from_bytes(s.outcomes.encode("utf-32-le"), "little") for s in scores)
    return rows - ord("0") * len(scores) * _ones(scores[0].n)


def _squares(row: int, n: int) -> int:
    """The sum of the squares of a row."""
    digits = unpack(f"<{n}I", row.to_bytes(4 * n, "little"))
    return sum(map(mul, digits, digits))


def _error(scores: Sequence[Score]) -> float:
    """Standard error of the mean of scores: clustered by prompt, or as if they all erred together."""
    if len(scores) == 1 or not _comparable(scores):
        return sum(s.standard_error for s in scores) / len(scores)
    n, squares = scores[0].n, _squares(_sums(scores), scores[0].n) / (3 * len(scores)) ** 2
    centre = (mean(scores) * n + 1) / (n + 2)
    return sqrt(((squares + 1) / (n + 2) - centre * centre) / n)


def _interval(scores: Sequence[Score]) -> tuple[float, float]:
    """Mean of the intervals: those of checkpoints of one line err together."""
    ends = [s.interval for s in scores]
    return sum(low for low, _ in ends) / len(ends), sum(high for _, high in ends) / len(ends)


def check_outcomes(outcomes: str, n: int, greedy: int, sampled: int) -> None:
    """Raises ValueError unless the outcomes are of `n` prompts and give these counts."""
    none, one, two, both = (outcomes.count(digit) for digit in "0123")
    if len(outcomes) != n or none + one + two + both != n:
        raise ValueError(f"outcomes must be {n} digits of 0 to 3, but got {len(outcomes)} characters {outcomes[:40]!r}")
    if (one + both, two + both) != (greedy, sampled):
        raise ValueError(f"outcomes hold {one + both} greedy and {two + both} sampled, but got {greedy} and {sampled}")


def outcomes_of(greedy: Iterable[bool], sampled: Iterable[bool]) -> str:
    """The outcomes of prompts in order."""
    return "".join(str(g + 2 * s) for g, s in zip(map(bool, greedy), map(bool, sampled), strict=True))


def of_outcomes(outcomes: str, *prompts: PromptSet) -> Score:
    """The score with these outcomes. Raises ValueError where they are none."""
    both = outcomes.count(BOTH)
    return Score(len(outcomes), outcomes.count("1") + both, outcomes.count("2") + both, outcomes, prompts)


def joined(first: Score, second: Score) -> Score:
    """What a policy scores on two prompt sets that share no prompt, as one score."""
    known = bool(first.outcomes and second.outcomes)
    return Score(
        first.n + second.n,
        first.greedy + second.greedy,
        first.sampled + second.sampled,
        first.outcomes + second.outcomes if known else "",
        (*first.prompts, *second.prompts) if known else (),
    )


def score_of(row: Any, prefix: str = "", *prompts: PromptSet) -> Score | None:
    """From a row's columns n, greedy, sampled and outcomes under a prefix; None where there is no measurement.

    Outcomes that contradict the counts (a file that another hand changed) are taken as unknown: the interval is then
    the wider one of a score without outcomes.
    """
    if row is None or not row[f"{prefix}n"]:
        return None
    n, greedy, sampled, outcomes = (row[f"{prefix}{name}"] for name in ("n", "greedy", "sampled", "outcomes"))
    try:
        return Score(n, greedy, sampled, outcomes or "", prompts)
    except ValueError:
        return Score(n, greedy, sampled)


def wilson(k: float, n: float) -> tuple[float, float]:
    """95% Wilson score interval of a share: k successes of n trials.

    Args:
        k: successes, 0 ≤ k ≤ n; may be fractional for a mean of several scores in [0, 1].
        n: trials, ≥ 0, effective ones where they are not independent. With n = 0 nothing is known: (0, 1).

    Returns:
        (low, high), both within [0, 1] and low ≤ k/n ≤ high.

    Raises:
        ValueError: n < 0 or k outside 0 … n.
    """
    if n < 0:
        raise ValueError(f"n must be at least 0, but got n={n}")
    if not 0 <= k <= n:
        raise ValueError(f"k must be between 0 and n={n} inclusive, but got k={k}")
    if n == 0:
        return 0.0, 1.0
    share, z = k / n, Z_95
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    # At the ends the exact value is 0 or 1; rounding must not put the share outside its own interval.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))

"""One measured accuracy with its uncertainty, as every report shows it. Pure values, made by the summary and the
strategy.

It must never be shown without its n and interval: that is what the properties are for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from engine.analysis.statistics import wilson
from engine.errors import UserError

Rows = Callable[..., list[dict[str, Any]]]
"""`Reader.rows` or `Writer.rows`: SQL and parameters to a dictionary per row."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Correct completions out of n prompts: `greedy` decoding, and `sampled` once per prompt at temperature 1."""

    n: int
    greedy: int
    sampled: int

    @property
    def value(self) -> float:
        """The score that steers the search, in [0, 1]: (greedy + 2 sampled) / 3n."""
        return (self.greedy + 2 * self.sampled) / (3 * self.n)

    @property
    def interval(self) -> tuple[float, float]:
        """95% Wilson interval of `value` on n prompts. The two decodings share prompts, so they do not count as 2n."""
        return wilson(min(self.value * self.n, self.n), self.n)

    def as_dict(self) -> dict[str, float | int]:
        """For JSON and TOML: counts, accuracies and interval, accuracies to six digits."""
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


def only_row(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The one row of a question about the run. Raises UserError where the engine has not written the run's row yet."""
    if not found:
        raise UserError("the run has not begun: its engine has not written anything about it yet")
    return found[0]


def measured(row: Mapping[str, Any] | None, prefix: str = "") -> Measured | None:
    """From a row's columns n, greedy and sampled under a prefix; None where there is no measurement."""
    if row is None or not row.get(f"{prefix}n"):
        return None
    return Measured(row[f"{prefix}n"], row[f"{prefix}greedy"], row[f"{prefix}sampled"])

"""Intervals for the scores that are shown and compared. Pure arithmetic, called by the search, the store's readers and
the face.

It must never import a store, a clock or torch: every room may import it.
"""

from __future__ import annotations

from math import sqrt

Z_95 = 1.959963984540054
"""Standard normal quantile of a two-sided 95% interval."""


def wilson(k: float, n: int, z: float = Z_95) -> tuple[float, float]:
    """Wilson score interval of a share: k successes of n trials.

    Args:
        k: successes, 0 ≤ k ≤ n; may be fractional for a mean of several scores in [0, 1].
        n: trials, ≥ 0. With n = 0 nothing is known and the interval is (0, 1).
        z: standard normal quantile; the default gives 95%.

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
    share = k / n
    scale = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / scale
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / scale
    # At the ends the exact value is 0 or 1; rounding must not put the share outside its own interval.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))

"""How many CPU threads a worker gets, and how they wait for each other.

Asked by the controller when it builds a job, by the executor's environment and by `check`. A model of less than
SMALL_PARAMETERS gains nothing from a second thread and loses much where another process wants the core
(docs/benchmark-threads.md).
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.words import counted

SMALL_PARAMETERS = 20_000_000
"""Models with fewer weights get one thread."""

SETTINGS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
"""Environment variables by which a user says how OpenMP's threads wait."""

ENVIRONMENT: Mapping[str, str] = {"GOMP_SPINCOUNT": "10000", "KMP_BLOCKTIME": "1"}
"""A bound on spinning for GNU's and Intel's OpenMP: microseconds instead of all the time until the others are there."""


def of_worker(asked: int, workers: int, parameters: int, cores: int) -> int:
    """CPU threads of one worker.

    Args:
        asked: `training.threads`; 0 leaves the choice.
        parameters: weights of the model; 0 where they are not known, which is taken for a large one.
        cores: that the workers share.
    """
    if asked:
        return asked
    return 1 if 0 < parameters < SMALL_PARAMETERS else max(1, cores // workers)


def waiting(inherited: Mapping[str, str]) -> Mapping[str, str]:
    """Environment variables that bound spinning; none where the user has said how threads wait."""
    return {} if any(name in inherited for name in SETTINGS) else ENVIRONMENT


def oversubscribed(threads: int, workers: int, cores: int) -> str:
    """One line where the workers' threads are more than the cores, else ""."""
    if threads * workers <= cores:
        return ""
    share = max(1, cores // workers)
    return (
        f"{counted(workers, 'worker')} of {threads} threads share {counted(cores, 'core')}: "
        f"steps take longer than with {share}; 0 chooses by the model's size"
    )

"""How many CPU threads a worker gets, and what `check` says of a setting that is too many."""

from __future__ import annotations

import pytest

from engine.host import threads


@pytest.mark.parametrize(
    ("asked", "workers", "parameters", "cores", "given"),
    [
        (0, 1, 314_000, 8, 1),  # tiny: more threads only wait for each other
        (0, 1, 135_000_000, 8, 8),
        (0, 3, 135_000_000, 8, 2),
        (0, 4, 135_000_000, 2, 1),
        (0, 1, 0, 8, 8),  # size unknown
        (5, 1, 314_000, 2, 5),  # what the run file says holds
    ],
)
def test_threads_follow_the_size_of_the_model(
    asked: int, workers: int, parameters: int, cores: int, given: int
) -> None:
    assert threads.of_worker(asked, workers, parameters, cores) == given


def test_spinning_is_bounded_unless_the_user_has_said_how_threads_wait() -> None:
    assert threads.waiting({"PATH": "/bin"}) == threads.ENVIRONMENT
    assert threads.waiting({"OMP_WAIT_POLICY": "active"}) == {}


@pytest.mark.parametrize(("count", "workers", "cores"), [(2, 1, 2), (1, 2, 2), (0, 9, 2), (4, 2, 8)])
def test_what_fits_is_no_warning(count: int, workers: int, cores: int) -> None:
    assert threads.oversubscribed(count, workers, cores) == ""


def test_more_threads_than_cores_are_one_line_that_says_what_fits() -> None:
    line = threads.oversubscribed(4, 2, 4)
    assert line.startswith("2 workers of 4 threads share 4 cores: steps take longer than with 2")
    assert "\n" not in line

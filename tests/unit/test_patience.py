"""How long a free worker waits for an advice."""

from __future__ import annotations

import pytest

from engine.controller.proposal_queue import patience
from engine.run.advisor_section import AdvisorSection


@pytest.mark.parametrize(
    ("wait", "segment", "expected"), [(0, 0, 1.0), (0, 20, 1.0), (0, 1000, 30.0), (5, 1000, 5.0), (0.5, 0, 0.5)]
)
def test_a_worker_waits_a_small_share_of_a_segment_or_what_was_asked_for(
    wait: float, segment: float, expected: float
) -> None:
    assert patience(AdvisorSection(wait_seconds=wait), segment) == pytest.approx(expected)

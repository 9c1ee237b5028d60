"""The gate: auto never waits, timeout waits so long, manual waits for the human."""

from datetime import datetime, timedelta

from engine.domain.proposals import Proposal, ProposalGate
from engine.domain.space import Intent, Transition

NOON = datetime(2026, 1, 1, 12)


def proposal(gate: ProposalGate) -> Proposal:
    return Proposal(1, 1, 1, Transition(0, 0, Intent.ROOT), "rules", gate.deadline(NOON))


def test_auto_opens_at_once() -> None:
    gate = ProposalGate("auto", 120)
    assert gate.deadline(NOON) is None
    assert gate.opens(proposal(gate), NOON)


def test_timeout_opens_after_its_seconds() -> None:
    gate = ProposalGate("timeout", 120)
    waiting = proposal(gate)
    assert not gate.opens(waiting, NOON + timedelta(seconds=119))
    assert gate.opens(waiting, NOON + timedelta(seconds=120))


def test_manual_never_opens_by_itself() -> None:
    gate = ProposalGate("manual", 120)
    assert not gate.opens(proposal(gate), NOON + timedelta(days=3))

"""A run under `nice` gives way to other sessions as well, where Linux weighs those."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from engine.host.priority import AUTOGROUP

PROGRAM = f"""
from pathlib import Path
from engine.host.priority import lower_session
lower_session()
print(Path({str(AUTOGROUP)!r}).read_text())
"""

needs_autogroups = pytest.mark.skipif(not AUTOGROUP.exists(), reason="this kernel has no autogroups")


def session_of(nice: int, *, leads: bool = True) -> str:
    """The autogroup of a process under `nice` after it lowered its session's priority."""
    command = ["nice", "-n", str(nice), sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, start_new_session=leads)
    return done.stdout.strip()


@needs_autogroups
def test_a_session_has_the_nice_value_of_the_process_that_leads_it() -> None:
    nice = psutil.Process().nice()
    assert session_of(7).endswith(f" nice {nice + 7}")


@needs_autogroups
def test_a_session_of_others_keeps_its_priority() -> None:
    before = Path(AUTOGROUP).read_text(encoding="ascii").strip()
    assert session_of(7, leads=False) == before


@needs_autogroups
def test_without_nice_nothing_changes() -> None:
    nice = psutil.Process().nice()
    assert session_of(0).endswith(f" nice {max(0, nice)}")

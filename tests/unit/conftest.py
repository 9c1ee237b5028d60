"""A fixture for checks of a run file on a model directory, without a process of its own that imports torch for each.

test_preflight.py and tests/engine/test_model_fit.py have checks that ask that process.
"""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from engine.run import model_check


@pytest.fixture
def compared_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a check asks `engine.training.compare` of a model directory is asked in this process, of the same code."""
    from engine.training import compare  # imports torch: only where a test needs it

    def answer(module: str, directory: str, *, seconds: float) -> dict[str, Any]:
        assert module == compare.__name__
        assert seconds > 0
        return asdict(compare.outcome(Path(directory)))

    monkeypatch.setattr(model_check, "child_answer", answer)

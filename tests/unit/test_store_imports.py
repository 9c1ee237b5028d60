"""A viewer starts fast: the reader brings in neither torch nor, before the first question, DuckDB and Arrow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.engine.store_engine import ROOT

HEAVY = ("torch", "duckdb", "pyarrow", "asyncio", "numpy", "pandas")


@pytest.mark.parametrize("module", ["engine.store.reader", "engine.store.queries", "engine.analysis.summary"])
def test_the_reading_side_imports_nothing_heavy(module: str) -> None:
    program = f"import {module}, sys; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_whole_store_never_imports_torch() -> None:
    names = sorted(path.stem for path in (Path(ROOT) / "engine" / "store").glob("*.py") if path.stem != "__init__")
    program = "import sys\n" + "".join(f"import engine.store.{name}\n" for name in names)
    program += "print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

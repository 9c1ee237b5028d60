"""What the face must never import, and what it must not import before it is on screen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "trl", "transformers", "datasets", "accelerate", "pandas", "ray"}
LATER = {"duckdb", "pyarrow", "numpy", "plotext", "textual_plotext", "pydantic"}

PAINTED = """
import asyncio, json, sys
from pathlib import Path
from llmzero_tui.app import LLMZeroApp

async def main():
    app = LLMZeroApp(Path(sys.argv[1]))
    async with app.run_test(size=(120, 40)) as pilot:
        painted = sorted(sys.modules)
        app.open_run(Path(sys.argv[1]) / "knights-01")
        while not getattr(app.screen, "snapshot", None) or app.screen.query_one("#plot").axis is None:
            await pilot.pause(0.02)
        print(json.dumps([painted, sorted(sys.modules)]))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def modules(built: Path) -> tuple[set[str], set[str]]:
    """Top-level modules once the list is on screen, and once a run is."""
    done = subprocess.run(
        [sys.executable, "-c", PAINTED, str(built)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    first, full = json.loads(done.stdout.splitlines()[-1])
    return {m.partition(".")[0] for m in first}, {m.partition(".")[0] for m in full}


def test_the_app_never_imports_torch_or_its_friends(modules: tuple[set[str], set[str]]) -> None:
    assert not HEAVY & modules[1]


def test_importing_the_app_waits_with_what_is_slow() -> None:
    script = "import json, sys, llmzero_tui.app; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not (HEAVY | LATER) & {m.partition(".")[0] for m in json.loads(done.stdout)}

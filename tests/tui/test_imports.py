"""What the face must never import, and what it must not import before it is on screen."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "trl", "transformers", "datasets", "accelerate", "pandas", "ray"}
LATER = {"duckdb", "pyarrow", "numpy", "plotext", "textual_plotext", "pydantic", "psutil", "urllib.request", "tomli_w"}
LATER_ENGINE = {"engine.run.config", "engine.run.preflight", "engine.host.machine", "engine.domain.space", "tasks"}
LATER_OURS = {
    "llmzero_tui.commands.start", "llmzero_tui.commands.control", "llmzero_tui.commands.runfile", "llmzero_tui.text",
    "llmzero_tui.files", "llmzero_tui.feeds.news", "llmzero_tui.feeds.compare", "llmzero_tui.feeds.decision",
    "llmzero_tui.feeds.samples", "llmzero_tui.feeds.agents", "llmzero_tui.feeds.trajectory", "llmzero_tui.feeds.sql",
    "llmzero_tui.values.comparison", "llmzero_tui.values.proposal_detail", "llmzero_tui.values.samples",
    "llmzero_tui.user.notify", "llmzero_tui.user.clipboard", "llmzero_tui.screens.dialogs", "llmzero_tui.screens.edit",
    "llmzero_tui.screens.help", "llmzero_tui.screens.palette", "llmzero_tui.screens.settings",
    "llmzero_tui.screens.sql", "llmzero_tui.screens.samples", "llmzero_tui.screens.decision",
    "llmzero_tui.widgets.node_texts", "llmzero_tui.widgets.call_texts", "llmzero_tui.widgets.sample_texts",
}  # fmt: skip
OF_A_RUN = {
    "llmzero_tui.screens.run", "llmzero_tui.feeds.run", "llmzero_tui.widgets.tree", "llmzero_tui.widgets.plot",
    "llmzero_tui.values.calls",
}  # fmt: skip
"""What the list of runs does without."""

PAINTED = """
import json, os, sys
from textual.drivers.linux_driver import LinuxDriver
from llmzero_tui.cli import main

def write(driver, data, before=LinuxDriver.write):
    before(driver, data)
    if "LLMZero" in data and not os.path.exists(os.environ["FOUND"]):
        with open(os.environ["FOUND"], "w") as file:
            json.dump(sorted(sys.modules), file)
        driver._app.exit(0)

LinuxDriver.write = write
sys.exit(main(sys.argv[1:]))
"""

FULL = """
import asyncio, json, sys
from pathlib import Path
from llmzero_tui.app import LLMZeroApp

async def main():
    app = LLMZeroApp(Path(sys.argv[1]))
    async with app.run_test(size=(120, 40)) as pilot:
        app.open_run(Path(sys.argv[1]) / "knights-01")
        while not getattr(app.screen, "snapshot", None) or app.screen.query_one("#plot").axis is None:
            await pilot.pause(0.02)
        print(json.dumps(sorted(sys.modules)))

asyncio.run(main())
"""


def painted(runs: Path, home: Path, *words: str) -> set[str]:
    """The modules of the real command when the first line of its screen goes to the terminal."""
    home.mkdir()
    (home / "config.toml").write_text('theme = "light"\n[keys]\nruns.sort = "z"\n', encoding="utf-8")
    environment = {
        **os.environ, "TERM": "xterm-256color", "LLMZERO_RUNS": str(runs), "LLMZERO_CONFIG": str(home / "config.toml"),
        "XDG_STATE_HOME": str(home), "FOUND": str(home / "modules"),
    }  # fmt: skip
    child = pexpect.spawn(
        sys.executable, ["-c", PAINTED, *words], cwd=str(ROOT), env=environment, dimensions=(40, 120), timeout=60
    )
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    return set(json.loads((home / "modules").read_text(encoding="utf-8")))


def loaded(modules: set[str], unwanted: set[str]) -> set[str]:
    """Those that are there, as themselves or by a module of theirs."""
    return {name for name in unwanted if any(m == name or m.startswith(f"{name}.") for m in modules)}


def test_the_app_never_imports_torch_or_its_friends(built: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(built)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    modules = set(json.loads(done.stdout.splitlines()[-1]))
    assert loaded(modules, {"duckdb", "llmzero_tui"}) == {"duckdb", "llmzero_tui"}
    assert not loaded(modules, HEAVY)


@pytest.mark.parametrize("words", [(), ("attach", "knights-01")], ids=["list", "run"])
def test_the_first_paint_waits_with_what_is_slow(built: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    """Also with a settings file, and whatever the screen is."""
    modules = painted(built, tmp_path / "home", *words)
    own = OF_A_RUN if words else {"llmzero_tui.screens.runs"}
    assert loaded(modules, own) == own
    assert not loaded(modules, HEAVY | LATER | LATER_ENGINE | LATER_OURS | (set() if words else OF_A_RUN))

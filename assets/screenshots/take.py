"""Takes the picture of the README: one run in the terminal, as SVG. `python assets/screenshots/take.py RUN_DIR OUT.svg`

Opens the real app on a real run directory, without a terminal, waits until its data is on the screen, and saves what a
terminal of 120×40 would show.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from llmzero_tui.app import LLMZeroApp
from llmzero_tui.screens.run import RunScreen


async def take(run: Path, out: Path) -> None:
    """Save the run screen of `run` to `out`."""
    app = LLMZeroApp(run.parent, run)
    async with app.run_test(size=(120, 40)) as pilot:
        async with asyncio.timeout(30):
            while not (isinstance(app.screen, RunScreen) and app.screen.snapshot and app.screen.snapshot.detail):
                await pilot.pause(0.1)
        app.screen.action_best()
        await pilot.pause(1.5)
        svg = app.export_screenshot(title="LLMZero", simplify=True)
    out.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    asyncio.run(take(Path(sys.argv[1]).resolve(), Path(sys.argv[2])))

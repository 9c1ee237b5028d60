"""`llmzero snapshot`, `export` and `report`: a copy of a run's database, its best policy as a model directory, and a
document about it.

All read only, from a live run too, and write what they make whole or not at all; none overwrites anything.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from engine.run import launch
from engine.words import counted
from llmzero_tui.files.policy import save_policy
from llmzero_tui.text.output import note


def snapshot(options: argparse.Namespace) -> int:
    """Copy all tables of a run as of one moment into a DuckDB file of its own."""
    from engine.store.snapshot import READ_BY_MOST
    from engine.store.snapshot import snapshot as copy

    run = launch.find_run(options.runs_dir, options.name)
    copied = copy(run.path, options.file, options.storage_version or READ_BY_MOST)
    note(f"wrote {options.file}: {counted(copied.rows, 'row')}, storage version {copied.storage_version}")
    return 0


def report(options: argparse.Namespace) -> int:
    """Write one document about one or several runs."""
    from llmzero_tui.files.report.writing import save_reports

    names = list(dict.fromkeys(options.names))
    output = options.to or Path(f"{names[0]}-report")
    written = save_reports([launch.find_run(options.runs_dir, name) for name in names], output)
    note(str(written))
    return 0


def export(options: argparse.Namespace) -> int:
    """Copy the best policy with its strategy and a model card."""
    directory = launch.find_run(options.runs_dir, options.name)
    save_policy(directory, options.to)
    note(f"wrote {options.to}: the policy of {directory.name}, its strategy.toml and README.md")
    return 0

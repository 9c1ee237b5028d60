"""`llmzero snapshot` and `llmzero export`: a copy of a run's database, and its best policy as a model directory.

Both read only, from a live run too, and write what they make whole or not at all; neither overwrites anything.
"""

from __future__ import annotations

import argparse

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


def export(options: argparse.Namespace) -> int:
    """Copy the best policy with its strategy and a model card."""
    directory = launch.find_run(options.runs_dir, options.name)
    save_policy(directory, options.to)
    note(f"wrote {options.to}: the policy of {directory.name}, its strategy.toml and README.md")
    return 0

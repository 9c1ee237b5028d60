"""`llmzero dynamics`: whether hyperparameters accumulate, oscillate or stay, over the transitions of many runs."""

from __future__ import annotations

import argparse

from engine.analysis.dynamics import RunMoves, dynamics, read_moves
from engine.run import launch
from engine.store.reader import ask_run
from engine.words import counted
from llmzero_tui.format import plain
from llmzero_tui.text.dynamics import NOTE, dynamics_lines
from llmzero_tui.text.output import emit
from llmzero_tui.values.answers import to_json


def parameter_dynamics(options: argparse.Namespace) -> int:
    """One table a search strategy: runs of `random-changes` are the null beside ours."""
    groups: dict[str, list[RunMoves]] = {}
    for name in dict.fromkeys(options.names):
        moves = ask_run(launch.find_run(options.runs_dir, name).path, lambda reader: read_moves(reader.rows))
        groups.setdefault(moves.strategy, []).append(moves)
    by_strategy = {strategy: dynamics(runs) for strategy, runs in groups.items()}
    if options.json:
        emit(to_json({strategy: [each.as_dict() for each in rows] for strategy, rows in by_strategy.items()}))
        return 0
    for strategy, rows in by_strategy.items():
        runs = groups[strategy]
        changes = sum(run.transitions for run in runs)
        emit(f"strategy {plain(strategy)}: {counted(len(runs), 'run')}, {counted(changes, 'transition')}")
        emit(*dynamics_lines(rows), "")
    emit(NOTE)
    return 0

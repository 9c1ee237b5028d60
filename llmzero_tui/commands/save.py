"""`llmzero snapshot` and `llmzero export`: a copy of a run's database, and its best policy as a model directory.

Both read only, from a live run too, and write what they make whole or not at all; neither overwrites anything.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from engine import launch
from engine.analysis.strategy import Strategy, read_strategy, to_toml
from engine.analysis.summary import summarise
from engine.errors import UserError
from engine.rundir import RunDirectory
from engine.store.reader import Reader, open_run
from llmzero_tui.format import plain
from llmzero_tui.summary_text import Labels, parameter_labels, result_lines, strategy_lines
from llmzero_tui.text import note

NOT_EXPORTED = ("optimizer.pt", "manifest.json", "README.md")
BEST = "SELECT path, kept FROM best_checkpoint"


def snapshot(options: argparse.Namespace) -> int:
    """Copy all tables of a run as of one moment into a DuckDB file of its own."""
    from engine.store.snapshot import snapshot as copy

    rows = copy(launch.find_run(options.runs_dir, options.name).path, options.file)
    note(f"wrote {options.file}: {rows} rows")
    return 0


def export(options: argparse.Namespace) -> int:
    """Copy the best policy with its strategy and a model card."""
    directory = launch.find_run(options.runs_dir, options.name)
    reader = open_run(directory.path)
    try:
        strategy = read_strategy(reader.rows)
        source = _best_policy(directory, reader, strategy)
        card = _card(strategy, parameter_labels(reader), list(result_lines(summarise(reader), strategy)))
    finally:
        reader.close()
    with _fresh(options.to) as place:
        made = place / options.to.name
        shutil.copytree(source, made, ignore=shutil.ignore_patterns(*NOT_EXPORTED))
        (made / "strategy.toml").write_text(to_toml(strategy), encoding="utf-8")
        (made / "README.md").write_text(card, encoding="utf-8")
    note(f"wrote {options.to}: the policy of {directory.name}, its strategy.toml and README.md")
    return 0


def _best_policy(directory: RunDirectory, reader: Reader, strategy: Strategy) -> Path:
    """The model directory to copy: the winner of a finished run, else the best checkpoint so far."""
    if not strategy.stages:
        raise UserError(f"run {directory.name} has nothing better than its base, {plain(strategy.base)}")
    relative = strategy.path or str(reader.rows(BEST)[0]["path"])
    path = (directory.path / relative).resolve()
    if not path.is_relative_to(directory.path.resolve()) or not (path / "config.json").is_file():
        raise UserError(f"run {directory.name}: the files of its best policy ({plain(relative)}) are not there")
    return path


def _card(strategy: Strategy, labels: Labels, scores: list[str]) -> str:
    """The model card. Only names and numbers: nothing that an advisor or a model wrote."""
    stages = list(strategy_lines(strategy, labels))
    base = plain(Path(strategy.base).name if Path(strategy.base).is_absolute() else strategy.base)
    return "\n".join(
        [
            "---", "library_name: transformers", "tags: [grpo, llmzero]", "---", "",
            f"# {strategy.run}", "",
            f"The policy of the LLMZero run `{strategy.run}`: `{base}` trained by GRPO on the task "
            f"`{plain(strategy.task)}` in {strategy.steps} steps.", "",
            "Scores are (greedy + 2 · T=1) / 3 of the accuracies, with 95% Wilson intervals; the test prompts were "
            "used once, for this table.", "",
            *("    " + line for line in scores), "", "## Strategy", "",
            *("    " + line for line in stages), "",
            "`strategy.toml` holds every value, to be replayed.", "",
        ]
    )  # fmt: skip


@contextmanager
def _fresh(target: Path) -> Iterator[Path]:
    """A directory to make `target` in; what stands there at the end, under its name, is moved into its place."""
    if target.exists():
        raise UserError(f"{target} exists and is not overwritten; choose another name")
    if not target.name:
        raise UserError(f"{target} is no name for a file")
    place: Path | None = None
    try:
        place = Path(tempfile.mkdtemp(dir=target.parent, prefix=".llmzero-"))
        yield place
        (place / target.name).rename(target)
    except OSError as error:
        raise UserError(f"{target}: cannot be written: {error.strerror or error}") from error
    finally:
        if place is not None:
            shutil.rmtree(place, ignore_errors=True)

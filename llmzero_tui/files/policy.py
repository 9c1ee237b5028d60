"""The best policy of a run as a model directory: its weights, its strategy as TOML, and a model card.

Called by `llmzero export` and by the run screen's worker. It reads the run and copies; the card holds only names and
numbers, nothing that an advisor or a model wrote.
"""

from __future__ import annotations

from pathlib import Path

from engine.analysis.strategy import TrainingStrategy, read_strategy, to_toml
from engine.errors import UserError
from engine.run.rundir import RunDirectory
from engine.store.reader import Reader, open_run
from engine.words import counted
from llmzero_tui.files.exporting import Progress, WrittenFile, copy_directory, whole_directory, whole_file
from llmzero_tui.format import plain
from llmzero_tui.text.summary import RunResult, read_result, result_lines, strategy_lines

NOT_EXPORTED = ("optimizer.pt", "manifest.json", "README.md")


def save_policy(directory: RunDirectory, output: Path, progress: Progress | None = None) -> WrittenFile:
    """Copy the best policy to `output`, a directory that must not exist.

    Raises:
        UserError: nothing to export, its files are gone, or the place cannot be written. Stopped: by `progress`.
    """
    reader = open_run(directory.path)
    try:
        result = read_result(reader)
    finally:
        reader.close()
    strategy = result.strategy
    source = _files_of(directory, strategy)
    with whole_directory(output) as made:
        size = copy_directory(source, made, NOT_EXPORTED, progress)
        (made / "strategy.toml").write_text(to_toml(strategy), encoding="utf-8")
        (made / "README.md").write_text(_card(result), encoding="utf-8")
    return WrittenFile(output, f"the policy of {directory.name}, its strategy.toml and README.md", size)


def save_strategy(reader: Reader, output: Path, *, overwrite: bool) -> WrittenFile:
    """The best trajectory so far as TOML, to be replayed.

    Raises:
        UserError: there is none yet, or the place cannot be written.
    """
    strategy = read_strategy(reader.rows)
    if not strategy.stages:
        raise UserError(f"run {plain(strategy.run)} has nothing better than its base yet: no strategy to write")
    text, count = to_toml(strategy).encode("utf-8", "replace"), len(strategy.stages)
    with whole_file(output, overwrite=overwrite) as file:
        file.write(text)
    return WrittenFile(output, "the strategy, 1 stage" if count == 1 else f"the strategy, {count} stages", len(text))


def _files_of(directory: RunDirectory, strategy: TrainingStrategy) -> Path:
    """The model directory of the policy that the run reports."""
    best = strategy.reported
    if not strategy.stages:
        raise UserError(f"run {directory.name} has nothing better than its base, {plain(strategy.base)}")
    path = (directory.path / best.path).resolve()
    if not path.is_relative_to(directory.path.resolve()) or not (path / "config.json").is_file():
        raise UserError(f"run {directory.name}: the files of {plain(best.policy, 200)} ({plain(best.path)}) are gone")
    return path


def _card(result: RunResult) -> str:
    """The model card. Only names and numbers: nothing that an advisor or a model wrote."""
    strategy = result.strategy
    scores, stages = list(result_lines(strategy.reported)), list(strategy_lines(result))
    base = plain(Path(strategy.base).name if Path(strategy.base).is_absolute() else strategy.base)
    return "\n".join(
        [
            "---", "library_name: transformers", "tags: [grpo, llmzero]", "---", "",
            f"# {strategy.run}", "",
            f"The policy of the LLMZero run `{strategy.run}`, {plain(strategy.reported.policy, 200)}: `{base}` trained "
            f"by GRPO on the task `{plain(strategy.task)}` in {counted(strategy.steps, 'step')}.", "",
            "Scores are (greedy + 2 · T=1) / 3 of the accuracies, with 95% intervals clustered by prompt. "
            "Validation scores steered the search, so the best of them is optimistic.", "",
            *("    " + line for line in scores), "", "## Strategy", "",
            *("    " + line for line in stages), "",
            "`strategy.toml` holds every value, to be replayed.", "",
        ]
    )  # fmt: skip

"""The best policy of a run as a model directory: its weights, its strategy as TOML, and a model card.

Called by `llmzero export` and by the run screen's worker. It reads the run and copies; the card holds only names and
numbers, nothing that an advisor or a model wrote.
"""

from __future__ import annotations

from pathlib import Path

from engine.analysis.strategy import Strategy, read_strategy, to_toml
from engine.analysis.summary import summarise
from engine.errors import UserError
from engine.rundir import RunDirectory
from engine.store.reader import Reader, open_run
from llmzero_tui.files.exporting import Progress, Written, copy_directory, whole_directory, whole_file
from llmzero_tui.format import plain
from llmzero_tui.text.summary import Labels, parameter_labels, result_lines, strategy_lines

NOT_EXPORTED = ("optimizer.pt", "manifest.json", "README.md")
BEST = "SELECT path, kept FROM best_checkpoint"


def save_policy(directory: RunDirectory, output: Path, progress: Progress | None = None) -> Written:
    """Copy the best policy to `output`, a directory that must not exist.

    Raises:
        UserError: nothing to export, its files are gone, or the place cannot be written. Stopped: by `progress`.
    """
    reader = open_run(directory.path)
    try:
        strategy = read_strategy(reader.rows)
        source = _best_policy(directory, reader, strategy)
        card = _card(strategy, parameter_labels(reader), list(result_lines(summarise(reader), strategy)))
    finally:
        reader.close()
    with whole_directory(output) as made:
        size = copy_directory(source, made, NOT_EXPORTED, progress)
        (made / "strategy.toml").write_text(to_toml(strategy), encoding="utf-8")
        (made / "README.md").write_text(card, encoding="utf-8")
    return Written(output, f"the policy of {directory.name}, its strategy.toml and README.md", size)


def save_strategy(reader: Reader, output: Path, *, overwrite: bool) -> Written:
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
    return Written(output, "the strategy, 1 stage" if count == 1 else f"the strategy, {count} stages", len(text))


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

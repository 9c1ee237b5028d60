"""The best policy of a run as a model directory: its weights, its strategy as TOML, and a model card.

Called by `llmzero export` and by the run screen's worker. It reads the run and copies; the card holds only names and
numbers, nothing that an advisor or a model wrote.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from engine import own_packages
from engine.analysis.strategy import TrainingStrategy, read_strategy, to_toml
from engine.errors import UserError, last_line
from engine.host.weight_files import is_adapter
from engine.run.rundir import RunDirectory
from engine.store.reader import Reader, ask_run
from engine.words import counted
from llmzero_tui.files.exporting import CopyStopped, Progress, WrittenFile, copy_directory, whole_directory, whole_file
from llmzero_tui.format import plain
from llmzero_tui.text.summary import RunResult, plain_grpo_line, read_result, result_lines, strategy_lines

NOT_EXPORTED = ("optimizer.pt", "manifest.json", "README.md")
POLL_SECONDS = 0.2


def save_policy(directory: RunDirectory, output: Path, progress: Progress | None = None) -> WrittenFile:
    """Write the best policy to `output`, a directory that must not exist. An adapter is merged into its base, and
    stands beside the merged model in `adapter/`.

    Raises:
        UserError: nothing to export, its files (or the base's) are gone, or the place cannot be written.
        CopyStopped: by `progress`.
    """
    result = ask_run(directory.path, read_result)
    strategy = result.strategy
    source = _files_of(directory, strategy)
    with whole_directory(output) as made:
        size = copy_directory(source, made / "adapter", NOT_EXPORTED, progress) if is_adapter(source) else 0
        size += copy_policy(source, strategy.base, made, progress)
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


def copy_policy(source: Path, base: str, output: Path, progress: Progress | None = None) -> int:
    """The files of a policy in a directory, an adapter merged into its base; returns the bytes. Raises as
    `save_policy`."""
    if is_adapter(source):
        return _merge(base, source, output, progress)
    return copy_directory(source, output, NOT_EXPORTED, progress)


def _files_of(directory: RunDirectory, strategy: TrainingStrategy) -> Path:
    """The model directory of the policy that the run reports."""
    best = strategy.reported
    if not strategy.stages:
        raise UserError(f"run {directory.name} has nothing better than its base, {plain(strategy.base)}")
    path = (directory.path / best.path).resolve()
    there = (path / "config.json").is_file() or is_adapter(path)
    if not path.is_relative_to(directory.path.resolve()) or not there:
        raise UserError(f"run {directory.name}: the files of {plain(best.policy, 200)} ({plain(best.path)}) are gone")
    return path


def _merge(base: str, adapter: Path, output: Path, progress: Progress | None) -> int:
    """Let a process of its own write the merged model; returns its bytes. `progress` can stop it."""
    command = [*own_packages.command("engine.training.merge"), base, str(adapter), str(output)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        while True:
            try:
                said = process.communicate(timeout=POLL_SECONDS)[1]
                break
            except subprocess.TimeoutExpired:
                if progress is not None and progress(0, 0):
                    process.kill()
                    process.communicate()
                    raise CopyStopped("the export was stopped and removed") from None
    if process.returncode:
        why = last_line(said)[:300] or f"it ended with {process.returncode}"
        raise UserError(f"the adapter cannot be merged into {plain(base, 200)}: {why}")
    return sum(each.stat().st_size for each in output.iterdir() if each.is_file())


def _card(result: RunResult) -> str:
    """The model card. Only names and numbers: nothing that an advisor or a model wrote."""
    strategy = result.strategy
    scores, stages = [*result_lines(strategy.reported), plain_grpo_line(result)], list(strategy_lines(result))
    base = plain(Path(strategy.base).name if Path(strategy.base).is_absolute() else strategy.base)
    return "\n".join(
        [
            "---", "library_name: transformers", "tags: [grpo, llmzero]", "---", "",
            f"# {strategy.run}", "",
            f"The policy of the LLMZero run `{strategy.run}`, {plain(strategy.reported.policy, 200)}: `{base}` trained "
            f"by GRPO on the task `{plain(strategy.task)}` in {counted(strategy.steps, 'step')}.", "",
            "Scores are (greedy + 2 · sampled) / 3 of the accuracies, with 95% intervals clustered by prompt. "
            "Validation scores steered the search, so the best of them is optimistic.", "",
            *("    " + line for line in scores), "", "## Strategy", "",
            *("    " + line for line in stages), "",
            "`strategy.toml` holds every value, to be replayed.", "",
        ]
    )  # fmt: skip

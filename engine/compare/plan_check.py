"""What is wrong with the cells of a comparison, in one line and before anything runs.

Asked by `llmzero compare` and `replay`. What a plan says is held against the run file's own rules cell by cell; what
needs model and machine is looked at once for each task. Trains nothing, writes nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from engine.compare.plan import ComparisonCell
from engine.errors import UserError, one_line
from engine.run import preflight, task_loading
from engine.run.findings import CheckFinding
from engine.run.strategies import check_packages
from tasks import registry
from tasks.base import Task, TaskError, TaskNotFound


def check_settings(cells: Iterable[ComparisonCell], *, run_code: bool) -> None:
    """Hold the run file of every cell against its rules, its task's space and the sizes of its budget.

    Args:
        run_code: whether tasks in files of the user's are loaded, which executes them, and tasks that lack a package
            are refused; otherwise their spaces are not looked at.

    Raises:
        UserError: one line with the first cell that could not run, the key and what is allowed.
    """
    tasks: dict[str, Task | None] = {}
    for cell in cells:
        config = cell.config()
        if cell.task not in tasks:
            tasks[cell.task] = _task(cell, run_code=run_code)
        if (task := tasks[cell.task]) is not None:
            _refuse(cell, preflight.of_settings(config, task))


def check_runs(cells: Sequence[ComparisonCell], runs_dir: Path) -> None:
    """The same, and what the runs need of this machine. Raises UserError: one line with the cell."""
    check_settings(cells, run_code=True)
    for cell in {cell.settings["search"]["strategy"]: cell for cell in reversed(cells)}.values():
        try:
            check_packages(cell.config().search.strategy)
        except UserError as error:
            raise UserError(f"{cell.title}: {error}") from error
    for cell in {cell.task: cell for cell in reversed(cells)}.values():
        report = preflight.check(preflight.resolve(cell.config()), runs_dir, new=False)  # it may exist, to be resumed
        _refuse(cell, report.errors)


def _task(cell: ComparisonCell, *, run_code: bool) -> Task | None:
    if registry.is_file(cell.task) and not run_code:
        return None
    try:
        return task_loading.load(cell.task)
    except TaskNotFound as error:
        raise UserError(f"{cell.title}: {one_line(str(error))}") from error
    except TaskError as error:
        if run_code:
            raise UserError(f"{cell.title}: {one_line(str(error))}") from error
        return None


def _refuse(cell: ComparisonCell, findings: Iterable[CheckFinding]) -> None:
    """Raises UserError for the first error."""
    if error := next((each for each in findings if each.level == "error"), None):
        raise UserError(f"{cell.title}: {error.subject}: {error.text}")

"""What `engine.run.preflight` finds of a task: it loads, it has the prompts of the run, its verifier scores them.

A task file of the user's is looked at in a process of its own, `python -m engine.run.task_check` with the run file on
stdin: code that ends its process, by `os._exit` or a crash in C, or stays there, must not take the command with it.
Only what came to its end there is loaded here.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict

from engine.errors import one_line, short_name
from engine.run import prompt_check
from engine.run.config import RunConfig, parse
from engine.run.findings import CheckFinding
from engine.run.user_code_process import Tell, ask, serve
from tasks import registry
from tasks.base import Split, Task, TaskError, TaskNotFound
from tasks.user_code import time_limit

SUBJECT = "task.name"
PROMPTS_SECONDS = 600.0
"""How long a task may take for the prompts that are looked at."""

Prompts = tuple[prompt_check.PromptUse, ...]


def look(
    config: RunConfig, findings: list[CheckFinding], say: Callable[[str], None]
) -> tuple[Task, Prompts] | tuple[None, Prompts]:
    """The task and the prompts that the run will use, once its verifier was tried on them; None if it cannot be used.

    Args:
        findings: gets what is found. say: hears how far the scoring is.
    """
    if not registry.is_file(config.task.name):
        with _faults(config, findings):
            task, prompts = _load(config)
            findings += _judge(config, task, prompts, say)
            return task, prompts
        return None, ()
    said = _judge_apart(config, say)
    findings += said
    if all(each.level != "error" for each in said):
        with _faults(config, findings):
            return _load(config)
    return None, ()


def _load(config: RunConfig) -> tuple[Task, Prompts]:
    task = registry.get(config.task.name)
    with time_limit(PROMPTS_SECONDS, f"task {task.name}: its prompts"):
        return task, prompt_check.used(config, task)


def _judge(config: RunConfig, task: Task, prompts: Prompts, say: Callable[[str], None]) -> list[CheckFinding]:
    said = [*prompt_check.verifier(config, task, prompts, say)]
    findings = [CheckFinding("ok", SUBJECT, f"{task.name}: {task.summary}"), *said]
    if task.rows(Split.TRAIN) is not None:
        counts = ", ".join(f"{len(task.rows(split) or ())} {split}" for split in Split)
        findings.append(CheckFinding("ok", "rows", counts))
    return findings + [CheckFinding("warning", "rows", one_line(note)) for note in task.notes()]


@contextlib.contextmanager
def _faults(config: RunConfig, findings: list[CheckFinding]) -> Iterator[None]:
    """What the task's code raises becomes a finding: its author's."""
    try:
        yield
    except (TaskNotFound, TaskError) as error:
        findings.append(CheckFinding("error", SUBJECT, one_line(str(error))))
    except Exception as error:  # noqa: BLE001 - the task's own code may raise anything
        text = f"{short_name(config.task.name)} fails: {one_line(repr(error))[:300]}"
        findings.append(CheckFinding("error", SUBJECT, text))


def _judge_apart(config: RunConfig, say: Callable[[str], None]) -> list[CheckFinding]:
    """What a child process finds; how it ended, where it gave no answer."""
    try:
        answer = ask("engine.run.task_check", config.to_toml(), config.task.name, say)
    except TaskError as error:
        return [CheckFinding("error", SUBJECT, str(error))]
    return [CheckFinding(**each) for each in answer]


def _judged(run_file: str, tell: Tell) -> list[dict[str, str]]:
    """The child's findings."""
    config = parse(run_file, default_name="check")
    findings: list[CheckFinding] = []
    with _faults(config, findings):
        task, prompts = _load(config)
        task.space()
        findings += _judge(config, task, prompts, tell)
    return [asdict(each) for each in findings]


def main() -> int:
    """The child."""
    return serve(_judged)


if __name__ == "__main__":
    sys.exit(main())

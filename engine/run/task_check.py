"""What `engine.run.preflight` finds of a task: it loads, it has the prompts of the run, its verifier scores them.

A task file of the user's is looked at in a process of its own, `python -m engine.run.task_check` with the run file on
stdin: code that ends its process, by `os._exit` or a crash in C, must not take the command with it. Only what came to
its end there is loaded here. The child answers in lines of JSON: a text is progress, the list of findings is the last.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict

from engine import own_packages
from engine.errors import one_line, short_name
from engine.run import prompt_check
from engine.run.config import RunConfig, parse
from engine.run.findings import CheckFinding
from tasks import registry
from tasks.base import Split, Task, TaskError, TaskNotFound

SUBJECT = "task.name"
END_SECONDS = 10.0
"""How long the child may take to end after its answer; threads of the user's may keep it."""

Prompts = tuple[prompt_check.PromptUse, ...]


def look(
    config: RunConfig, found: list[CheckFinding], say: Callable[[str], None]
) -> tuple[Task, Prompts] | tuple[None, Prompts]:
    """The task and the prompts that the run will use, once its verifier was tried on them; None if it cannot be used.

    Args:
        found: gets what is found. say: hears how far the scoring is.
    """
    if not registry.is_file(config.task.name):
        with _faults(config, found):
            task, prompts = _load(config)
            found += _judge(config, task, prompts, say)
            return task, prompts
        return None, ()
    said = _judge_apart(config, say)
    found += said
    if all(each.level != "error" for each in said):
        with _faults(config, found):
            return _load(config)
    return None, ()


def _load(config: RunConfig) -> tuple[Task, Prompts]:
    task = registry.get(config.task.name)
    return task, prompt_check.used(config, task)


def _judge(config: RunConfig, task: Task, prompts: Prompts, say: Callable[[str], None]) -> list[CheckFinding]:
    said = [*prompt_check.verifier(config, task, prompts, say)]
    found = [CheckFinding("ok", SUBJECT, f"{task.name}: {task.summary}"), *said]
    if task.rows(Split.TRAIN) is not None:
        counts = ", ".join(f"{len(task.rows(split) or ())} {split}" for split in Split)
        found.append(CheckFinding("ok", "rows", counts))
    return found + [CheckFinding("warning", "rows", one_line(note)) for note in task.notes()]


@contextlib.contextmanager
def _faults(config: RunConfig, found: list[CheckFinding]) -> Iterator[None]:
    """What the task's code raises becomes a finding: its author's."""
    try:
        yield
    except (TaskNotFound, TaskError) as error:
        found.append(CheckFinding("error", SUBJECT, one_line(str(error))))
    except Exception as error:  # noqa: BLE001 - the task's own code may raise anything
        text = f"{short_name(config.task.name)} fails: {one_line(repr(error))[:300]}"
        found.append(CheckFinding("error", SUBJECT, text))


def _judge_apart(config: RunConfig, say: Callable[[str], None]) -> list[CheckFinding]:
    """What a child process finds; how it ended, where it gave no answer."""
    child = subprocess.Popen(
        own_packages.command("engine.run.task_check"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        encoding="utf-8",
    )  # fmt: skip
    with child:
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(config.to_toml())
            child.stdin.close()
            for line in child.stdout:
                answer = json.loads(line)
                if isinstance(answer, list):
                    return [CheckFinding(**each) for each in answer]
                say(answer)
            code = child.wait()
        finally:
            _end(child)
    how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
    text = f"{short_name(config.task.name)}: its code ends the process that runs it ({how}); it must return or raise"
    return [CheckFinding("error", SUBJECT, text)]


def _end(child: subprocess.Popen[str]) -> None:
    try:
        child.wait(END_SECONDS if sys.exc_info()[0] is None else 0.0)
    except subprocess.TimeoutExpired:
        child.kill()


def main() -> int:
    """The child: findings on what was stdout, which the task's code does not get."""
    config = parse(sys.stdin.read(), default_name="check")
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
        os.dup2(2, 1)

        def tell(answer: object) -> None:
            print(json.dumps(answer), file=answers, flush=True)

        found: list[CheckFinding] = []
        with _faults(config, found):
            task, prompts = _load(config)
            task.space()
            found += _judge(config, task, prompts, tell)
        tell([asdict(each) for each in found])
    return 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl+C reaches the whole group: the parent says it
        sys.exit(main())
    sys.exit(130)

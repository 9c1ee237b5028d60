"""What `engine.run.preflight` finds of a base model: it is there, its weights fit, its tokens have a row.

Loading proper needs torch and is the worker's; here a process of its own asks the worker's code what a load would give:
from the headers of the files, and of a small model from its weights too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from engine.errors import Fault, UserError, short
from engine.host.model_files import ModelFiles, find_model, is_shipped, note_on, read_model
from engine.run.child_answer import child_answer
from engine.run.config import RunConfig
from engine.run.findings import CheckFinding
from tasks.base import Task

SUBJECT = "model.path"
COMPARE_SECONDS = 300.0
"""For a process that imports torch and reads headers; some seconds on a quiet machine."""

_UNREAD = "; too large to be loaded here: a start or --dry-run checks whether its weights are finite"


def look(config: RunConfig, task: Task | None, findings: list[CheckFinding]) -> ModelFiles | None:
    """The base of a run with what is wrong with it; None when it cannot be used, or is not on this machine yet."""
    try:
        where = find_model(config.model.path, task)
        model, unread = read_model(where), ""
        if model.directory is not None and not is_shipped(model.directory):
            parameters, read = _compare(model.directory)
            model, unread = replace(model, parameters=parameters or model.parameters), "" if read else _UNREAD
    except UserError as error:
        findings.append(CheckFinding("error", SUBJECT, str(error)))
        return None
    except Fault as error:
        findings.append(CheckFinding("warning", SUBJECT, str(error)))
        return None
    size = f"{model.parameters / 1e6:,.1f}M parameters" if model.parameters else "size unknown"
    findings.append(
        CheckFinding("ok", SUBJECT, f"{where}: {model.architecture}, {size}, {model.positions} positions{unread}")
    )
    findings += _remarks(config, where, model)
    return model


def _remarks(config: RunConfig, where: str, model: ModelFiles) -> Iterator[CheckFinding]:
    if note := note_on(config.model.path, where):
        yield CheckFinding("warning", SUBJECT, note)
    if beyond := model.tokens_beyond():
        count = "1 token" if len(beyond) == 1 else f"{len(beyond)} tokens"
        text = f"its tokenizer knows {count} without a row in the embedding of {model.vocabulary}: {short(beyond[0])}"
        yield CheckFinding("warning", SUBJECT, f"{text}{' …' if len(beyond) > 1 else ''}; a prompt with one is refused")


def _compare(directory: Path) -> tuple[int, bool]:
    """The number of parameters, when the weights fit, and whether they were read.

    Raises:
        UserError: they do not. Fault: the comparison itself failed.
    """
    try:
        answer = child_answer("engine.training.compare", str(directory), seconds=COMPARE_SECONDS)
    except TimeoutError as error:
        raise Fault(
            f"{directory}: its weights were not compared in {COMPARE_SECONDS:g} s; the start of a run compares them"
        ) from error
    except Fault as error:
        raise Fault(
            f"{directory}: its weights could not be compared ({error}); the start of a run loads them"
        ) from error
    if answer["problem"]:
        raise UserError(answer["problem"])
    return int(answer["parameters"]), bool(answer["read"])

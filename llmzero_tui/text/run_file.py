"""The text of a new run file: every key with its meaning, its range and its default, taken from `engine.run.config`.

Called by `llmzero new`. The meaning of a key is the docstring under its field; the hyperparameters come from the
space of the task, so that neither can fall behind.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from engine.domain.hyperparameters import OPTIONAL
from engine.domain.parameters import Parameter, Value, format_value
from engine.domain.space import Space
from engine.errors import UserError, one_line
from engine.run import advisor_section, config, task_loading, tracking_section, training_section
from engine.run.config import RunConfig
from engine.run.section import RunFileSection
from engine.run.training_section import TrainingSection
from llmzero_tui.format import toml_value
from tasks.base import TaskError, TaskNotFound

WIDTH = 110
Docs = dict[str, dict[str, str]]


def run_file_text(task: str, model: str) -> str:
    """A run file for a task; `check` accepts it where the task ships a base, or `model` names one.

    Raises:
        UserError: no such task.
    """
    try:
        suggested = task_loading.load(task).space()
    except (TaskNotFound, TaskError) as error:
        raise UserError(one_line(str(error))) from error
    sections = (config, advisor_section, training_section, tracking_section)
    docs = {name: texts for module in sections for name, texts in docstrings(module).items()}
    given = {"task.name": task, "model.path": model}
    lines = [
        "# A run of LLMZero. Every key is listed with its meaning and its default; leave out those you do not change.",
        "# `llmzero check FILE` says what is wrong with it, `llmzero run FILE` starts it.",
        "",
        *_comment(docs["RunConfig"]["name"]),
        '# name = "my-run"',
    ]
    for name, field in RunConfig.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, RunFileSection):
            lines += ["", *_section(name, section, docs, given)]
    lines += ["", *_comment(docs["RunConfig"]["trl"]), "[trl]"]
    lines += ["", *_space(Space.build({}, suggested, batch_size=TrainingSection().batch_size))]
    return "\n".join(lines) + "\n"


def docstrings(module: ModuleType) -> Docs:
    """Class name → field name → the docstring under the field; the class's own docstring is under ""."""
    documented: Docs = {}
    for node in ast.parse(inspect.getsource(module)).body:
        if not isinstance(node, ast.ClassDef):
            continue
        docs = {"": ast.get_docstring(node) or ""}
        for field, after in zip(node.body, node.body[1:], strict=False):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(after, ast.Expr):
                docs[field.target.id] = inspect.cleandoc(str(ast.literal_eval(after.value)))
        documented[node.name] = docs
    return documented


def _section(name: str, section: type[RunFileSection], docs: Docs, given: dict[str, str]) -> Iterator[str]:
    meaning = docs[section.__name__][""].partition(": ")[2]
    yield from _comment(meaning[:1].upper() + meaning[1:])
    yield f"[{name}]"
    inner: list[tuple[str, type[RunFileSection]]] = []
    for key, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, RunFileSection):
            inner.append((f"{name}.{key}", field.annotation))
            continue
        yield from _comment(docs[section.__name__][key])
        value = given.get(f"{name}.{key}", field.get_default(call_default_factory=True))
        allowed = _allowed(field)
        yield f"{key} = {toml_value(value)}" + (f"  # {allowed}" if allowed else "")
    for inner_name, inner_section in inner:
        yield ""
        yield from _section(inner_name, inner_section, docs, given)


def _allowed(field: FieldInfo) -> str:
    """The range of a key in words, or nothing."""
    if get_origin(field.annotation) is Literal:
        return f"one of {', '.join(map(str, get_args(field.annotation)))}"
    signs = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    parts = [
        f"{sign} {_number(bound)}"
        for limit in field.metadata
        for attribute, sign in signs.items()
        if (bound := getattr(limit, attribute, None)) is not None
    ]
    return " ".join(parts)


def _number(bound: Any) -> str:
    return str(int(bound)) if float(bound).is_integer() else str(bound)


def _space(space: Space) -> Iterator[str]:
    yield from _comment(
        "What the search may change. These are the ranges in force for this task; uncomment a table to change it. "
        "`fixed = VALUE` removes a hyperparameter from the search."
    )
    for parameter in space:
        yield from _parameter(parameter)
    yield ""
    yield from _comment(
        "More hyperparameters, each TRL's own default until its table is here. A table, even an empty one, adds the "
        "hyperparameter to the search; `fixed = VALUE` sets it."
    )
    for name, parameter in OPTIONAL.items():
        if name not in space:
            yield from _parameter(parameter)


def _parameter(parameter: Parameter) -> Iterator[str]:
    source = f" ({parameter.source})" if parameter.source else ""
    yield f"# [space.{parameter.name}]  # {parameter.doc}; {parameter.kind.value}{source}"
    if parameter.choices:
        yield f"# choices = [{', '.join(map(_value, parameter.choices))}]"
    else:
        low = 0 if parameter.zero else parameter.low
        yield f"# low = {_value(low)}"
        yield f"# high = {_value(parameter.high)}"
    yield f"# default = {_value(parameter.default)}"
    if parameter.rising:
        yield "# rising = true"


def _value(value: Value) -> str:
    return toml_value(value) if isinstance(value, bool | str) else format_value(value)


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(one_line(text), WIDTH)]

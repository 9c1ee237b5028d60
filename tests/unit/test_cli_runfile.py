"""`llmzero new` and `check`: the file has every key, `check` accepts it, and findings are lines or JSON."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from engine.domain.hyperparameters import OPTIONAL
from engine.domain.space import Space
from engine.run import advisor_section, config, tracking_section, training_section
from engine.run.config import RunConfig
from llmzero_tui import cli
from llmzero_tui.text.run_file import docstrings, run_file_text
from tasks import registry


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def models() -> list[type[BaseModel]]:
    sections = [field.annotation for field in RunConfig.model_fields.values()]
    return [RunConfig, *(each for each in sections if isinstance(each, type) and issubclass(each, BaseModel))]


def commented(text: str) -> dict[str, Any]:
    """The tables of [space] in a part of a run file, the # taken away."""
    space: dict[str, Any] = tomllib.loads("\n".join(line.removeprefix("# ") for line in text.splitlines()))["space"]
    return space


def test_every_key_of_the_run_file_has_a_docstring() -> None:
    docs = docstrings(config) | docstrings(training_section)
    docs |= docstrings(tracking_section) | docstrings(advisor_section)
    sections = {
        "task",
        "model",
        "budget",
        "search",
        "evaluation",
        "advisor",
        "gate",
        "training",
        "executor",
        "tracking",
    }
    for model in models():
        assert docs[model.__name__][""]
        for key in model.model_fields:
            if model is not RunConfig or key not in sections:
                assert docs[model.__name__].get(key), f"{model.__name__}.{key}"


def test_a_new_file_writes_every_key_with_its_default() -> None:
    data = tomllib.loads(run_file_text("knights", ""))
    defaults = RunConfig.model_validate({"name": "x", "task": {"name": "knights"}}).model_dump(mode="json")
    del defaults["name"], defaults["space"]
    assert data == defaults


def test_a_new_file_explains_every_hyperparameter_of_the_task_and_its_tables_are_accepted() -> None:
    text = run_file_text("knights", "")
    suggested = registry.get("knights").space()
    space = Space.build({}, suggested, batch_size=32)
    tables = commented(text[text.index("# [space.") : text.index("# More hyperparameters")])
    assert set(tables) == {parameter.name for parameter in space}
    assert Space.build(tables, suggested, batch_size=32) == space


def test_a_new_file_explains_every_hyperparameter_that_is_off_and_its_tables_are_accepted() -> None:
    text = run_file_text("knights", "")
    more = text[text.index("# More hyperparameters") :]
    tables = commented(more[more.index("# [space.") :])
    assert set(tables) == set(OPTIONAL)
    for name, parameter in OPTIONAL.items():
        assert parameter.source, f"{name} says where it comes from"
        assert f"# [space.{name}]  # {parameter.doc}; {parameter.kind} ({parameter.source})" in more
        assert Space.build({name: tables[name]}, {}, batch_size=32)[name] == parameter
        assert name not in Space.build({}, {}, batch_size=32)


@pytest.mark.parametrize("task", registry.names())
def test_check_accepts_a_new_file_of_every_task(task: str, capsys: pytest.CaptureFixture[str]) -> None:
    base = registry.get(task).default_model()
    shipped = base is not None and (Path(__file__).parents[2] / base).is_dir()
    assert cli.main(["new", "mine.toml", "--task", task]) == 0
    capsys.readouterr()
    code = cli.main(["check", "mine.toml", "--json"])
    findings = json.loads(capsys.readouterr().out)
    wrong = {finding["subject"] for finding in findings if finding["level"] == "error"}
    assert wrong == (set() if shipped else {"model.path"})
    assert code == (0 if shipped else 2)


def test_a_model_with_odd_characters_is_quoted_in_a_new_file() -> None:
    model = 'a "quoted" \\ path\n\x7f é'
    assert tomllib.loads(run_file_text("knights", model))["model"]["path"] == model


def test_check_prints_a_line_for_each_finding(capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(["new", "mine.toml"])
    capsys.readouterr()
    assert cli.main(["check", "mine.toml"]) == 0
    lines = capsys.readouterr().out.splitlines()
    subjects = [line.split()[1] for line in lines]
    assert {"task.name", "model.path", "space", "max_completion_length", "memory", "disk", "advisor"} <= set(subjects)
    assert all(line.split()[0] in ("ok", "warning") for line in lines)


def test_check_makes_no_directory(tmp_path: Path) -> None:
    cli.main(["new", "mine.toml"])
    cli.main(["check", "mine.toml"])
    assert {path.name for path in tmp_path.iterdir()} == {"mine.toml"}

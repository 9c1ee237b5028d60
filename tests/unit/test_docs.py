"""What README.md and docs/ show is true: the SQL runs, the task works, the run files and commands are accepted."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

from engine.compare.plan import cells, load
from engine.run import preflight
from engine.run.config import parse
from engine.run.rundir import RunDirectory
from engine.store.reader import open_run
from llmzero_tui import arguments
from tests.unit.cli_process import ROOT, finished_run

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES.append(ROOT / "engine" / "search" / "README.md")


def blocks(language: str) -> list[tuple[str, str]]:
    """(page, text) of every fenced block in a language."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        found += [(page.name, block) for block in re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)]
    assert found
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    return finished_run(tmp_path_factory.mktemp("runs"), "one")


OTHER_TOML = ("terminal.md", "compare.md")
"""Pages whose TOML is no run file."""


@pytest.mark.parametrize(("page", "text"), blocks("sql"))
def test_every_query_runs(run: RunDirectory, page: str, text: str) -> None:
    reader = open_run(run.path)
    try:
        assert reader.query(text, lane="adhoc").column_names
    finally:
        reader.close()


def test_the_plan_of_the_page_about_comparisons_is_accepted(tmp_path: Path) -> None:
    ((_, text),) = [block for block in blocks("toml") if block[0] == "compare.md"]
    (tmp_path / "plan.toml").write_text(text)
    configs = [cell.config() for cell in cells(load(tmp_path / "plan.toml"))]
    assert {(config.task.name, config.search.strategy) for config in configs} >= {("chain", "llmzero")}


@pytest.mark.parametrize(("page", "text"), [block for block in blocks("toml") if block[0] not in OTHER_TOML])
def test_every_run_file_is_accepted(page: str, text: str) -> None:
    assert parse(text, default_name="x").task.name


def test_the_task_of_the_guide_passes_the_check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ((_, text),) = [block for block in blocks("python") if block[0] == "getting-started.md"]
    (tmp_path / "my_task.py").write_text(text)
    base = ROOT / "assets" / "tiny" / "knights"
    config = parse(f'[task]\nname = "my_task.py:Reversed"\n[model]\npath = "{base}"\n', default_name="x")
    findings = {each.subject: each.level for each in preflight.check(config, tmp_path / "runs").findings}
    assert findings["task.name"] == "ok"


def test_every_command_named_in_the_pages_exists() -> None:
    parser = arguments.build_parser()
    known = next(action.choices for action in parser._actions if action.dest == "==SUPPRESS==" and action.choices)
    assert known is not None
    for page in PAGES:
        for words in re.findall(r"`llmzero ([a-z][a-z|-]*)|^llmzero ([a-z][a-z|-]*)", page.read_text(), re.MULTILINE):
            for word in "".join(words).split("|"):
                assert word in known, f"{page.name}: llmzero {word}"


def test_the_worked_tree_of_the_search_is_computed() -> None:
    page = ROOT / "engine" / "search" / "README.md"
    failed, tried = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert (failed, tried > 15) == (0, True)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_every_make_target_named_in_the_pages_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for page in PAGES:
        for target in re.findall(r"(?:`|^|CPU )make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert target in targets, f"{page.name}: make {target}"

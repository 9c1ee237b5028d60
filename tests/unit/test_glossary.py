"""docs/glossary.md explains every table, view, class of the domain and screen, in alphabetical order."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from types import ModuleType

import pytest
from textual.screen import Screen

import engine.domain
import llmzero_tui.screens
from tests.unit.cli_process import ROOT

PAGE = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
STORE = ROOT / "engine" / "store"


def modules(package: ModuleType) -> list[ModuleType]:
    names = [each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [importlib.import_module(name) for name in names]


def classes(package: ModuleType) -> set[type]:
    """Public classes defined in a package."""
    return {
        each
        for module in modules(package)
        for name, each in inspect.getmembers(module, inspect.isclass)
        if each.__module__ == module.__name__ and not name.startswith("_")
    }


def screens() -> set[type]:
    """Screens that a user meets: those that no other screen of ours extends."""
    found = {each for each in classes(llmzero_tui.screens) if issubclass(each, Screen)}
    return {each for each in found if not any(other is not each and issubclass(other, each) for other in found)}


def tables_and_views() -> set[str]:
    sql = (STORE / "schema.sql").read_text(encoding="utf-8") + (STORE / "views.sql").read_text(encoding="utf-8")
    return set(re.findall(r"^CREATE (?:TABLE|OR REPLACE VIEW) (\w+)", sql, re.MULTILINE))


NAMES = sorted(tables_and_views() | {each.__name__ for each in classes(engine.domain) | screens()})
UNEXPLAINED = {"AskText", "Choose"}
"""Plain questions: a line of text, one of a list."""


@pytest.mark.parametrize("name", NAMES)
def test_every_table_view_domain_class_and_screen_is_explained(name: str) -> None:
    assert (f"`{name}`" in PAGE) != (name in UNEXPLAINED)


def test_terms_stand_once_and_in_alphabetical_order() -> None:
    for section in PAGE.split("\n## ")[1:]:
        terms = [term.lower() for term in re.findall(r"^- \*\*(.+?)\*\*: \S.*\.$", section, re.MULTILINE)]
        assert len(terms) == section.count("\n- ") > 10
        assert terms == sorted(set(terms))


def test_readme_and_contributing_name_the_glossary() -> None:
    for page in ("README.md", "CONTRIBUTING.md"):
        assert "docs/glossary.md" in (ROOT / page).read_text(encoding="utf-8")

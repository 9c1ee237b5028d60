"""What of Textual is not public and used all the same. A version of it where one of these changed fails here, by name:
then the place that uses it is looked at, and the range in pyproject.toml moved."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from functools import cache
from typing import Any

from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.app import App
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import TextArea

import llmzero_tui

INTERNALS = {
    ("App", "_display"),  # base_app: writes only what the terminal does not show already
    ("App", "_driver"),  # base_app: the clipboard's sequence goes to the terminal
    ("App", "_clipboard"),
    ("App", "_refresh_truecolor_filter"),  # base_app: the theme before any style sheet is read
    ("Screen", "_update_timer"),  # screens.base: paints sooner than after a sixtieth of a second
    ("Screen", "_on_timer_update"),
    ("TextArea", "_line_cache"),  # widgets.sql_editor: lines are drawn anew when the database answers
    ("Widget", "_scroll_update"),  # widgets.tree: says which lines came on screen
    ("textual._compositor", "ChopsUpdate"),  # repaint
    ("textual._compositor", "CompositorUpdate"),
    ("textual._compositor", "LayoutUpdate"),
}


def test_no_other_internals_are_used_and_no_private_name_hides_one() -> None:
    assert set(_used()) == INTERNALS


def test_the_internals_are_as_they_are_used() -> None:
    assert _parameters(App._display) == ["self", "screen", "renderable"]
    assert _parameters(App._refresh_truecolor_filter) == ["self", "theme"]
    assert _parameters(Screen._on_timer_update) == ["self"]
    assert isinstance(inspect.getattr_static(Screen, "_update_timer"), property)
    assert _parameters(CompositorUpdate.render_segments) == ["self", "console"]
    assert _parameters(ChopsUpdate.__init__)[1:] == ["chops", "spans", "chop_ends"]
    assert _parameters(LayoutUpdate.__init__)[1:] == ["strips", "region"]
    assert _parameters(Widget._scroll_update) == ["self", "virtual_size"]
    assert hasattr(TextArea("SELECT 1"), "_line_cache")


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def _used() -> Iterator[tuple[str, str]]:
    """Whose internal it is, and its name: imports from Textual's private modules, and private names of classes of ours
    that a class of Textual below them has as well."""
    for info in pkgutil.walk_packages(llmzero_tui.__path__, "llmzero_tui."):
        module = importlib.import_module(info.name)
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("textual._"):
                yield from ((node.module, alias.name) for alias in node.names)
            elif isinstance(node, ast.ClassDef) and isinstance(kind := getattr(module, node.name, None), type):
                below = [base for base in reversed(kind.__mro__) if base.__module__.startswith("textual.")]
                for name in _private_names(node):
                    yield from ((base.__name__, name) for base in below if _has(base, name))


def _private_names(kind: ast.ClassDef) -> set[str]:
    names = {each.attr for each in ast.walk(kind) if isinstance(each, ast.Attribute)}
    names |= {each.name for each in ast.walk(kind) if isinstance(each, ast.FunctionDef)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def _has(base: type, name: str) -> bool:
    return name in vars(base) or name in _set_in_methods(base)


@cache
def _set_in_methods(kind: type) -> frozenset[str]:
    source = ast.parse(textwrap.dedent(inspect.getsource(kind)))
    stored = (each for each in ast.walk(source) if isinstance(each, ast.Attribute))
    return frozenset(each.attr for each in stored if isinstance(each.ctx, ast.Store))

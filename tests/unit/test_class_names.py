"""A class name says one thing: none is defined twice in the packages."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_class_name_is_defined_twice() -> None:
    """Messages within a widget are named by the widget (`Inbox.Picked`), as Textual names its own (`Input.Changed`)."""
    places: dict[str, list[str]] = defaultdict(list)
    for package in ("engine", "llmzero_tui", "tasks"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef):
                    places[node.name].append(str(path.relative_to(ROOT)))
    assert len(places) > 300
    assert {name: where for name, where in places.items() if len(where) > 1} == {}

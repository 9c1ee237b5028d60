"""Files are about one idea, functions are short: what CONTRIBUTING.md asks for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = {
    path.relative_to(ROOT): path.read_text(encoding="utf-8")
    for package in ("engine", "llmzero_tui", "tasks")
    for path in (ROOT / package).rglob("*.py")
}


def lengths(text: str) -> Iterator[tuple[str, int]]:
    """Name and lines of every function, its docstring left out."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
            docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - docstring


def test_no_file_has_more_than_400_lines() -> None:
    assert len(FILES) > 300
    assert [str(path) for path, text in FILES.items() if text.count("\n") > 400] == []


def test_no_function_has_more_than_40_lines() -> None:
    long = [f"{path}: {name}" for path, text in FILES.items() for name, lines in lengths(text) if lines > 40]
    assert long == []

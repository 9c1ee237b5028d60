"""A run's rows are written in one place: RunState and the recorders it owns."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import engine

ROOT = Path(engine.__file__).parent
WRITING = {"insert", "update", "update_run", "delete", "next_id"}
FORK = ("run", "forking.py")
"""Makes a run out of another's rows, before it has an engine."""
RECORDERS = {"run_state.py", "run_record.py", "advisor_calls.py"}


def written(path: Path) -> Iterator[str]:
    """Calls that change rows, whatever the name of the writer: `….writer.insert(…)`, `self._writer.update(…)`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WRITING:
            owner = ast.unparse(node.func.value)
            if "writer" in owner.rpartition(".")[2]:
                yield f"{path.relative_to(ROOT)}:{node.lineno} {owner}.{node.func.attr}"


def test_only_run_state_and_its_recorders_change_rows() -> None:
    rooms = [p for p in ROOT.rglob("*.py") if p.parent.name != "store"]
    elsewhere = [p for p in rooms if p.parent.name != "controller" or p.name not in RECORDERS]
    elsewhere = [p for p in elsewhere if p.parts[-2:] != FORK]
    assert [line for path in elsewhere for line in written(path)] == []
    assert all(any(written(ROOT / "controller" / name)) for name in RECORDERS)  # the search finds what it looks for


def test_the_controller_cannot_reach_the_writer_past_run_state() -> None:
    others = [p for p in (ROOT / "controller").glob("*.py") if p.name not in {*RECORDERS, "node_rows.py"}]
    assert [p.name for p in others if "_writer" in p.read_text(encoding="utf-8")] == []
    assert [p.name for p in others if "engine.store.writer" in p.read_text(encoding="utf-8")] == []

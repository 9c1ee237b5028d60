"""Headers of runs at rest, remembered from one start to the next: a list of hundreds is there at once.

Used by the feed of the list. A header counts only for the very file it was read from (time and size); a file of headers
that is missing, broken or of another version is forgotten without a word, because everything in it can be read again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.errors import UserError
from llmzero_tui.user.places import state_dir, write_private
from llmzero_tui.values.nodes import ShownScore
from llmzero_tui.values.snapshot import RunRow

Print = tuple[int, ...]
Headers = dict[Path, tuple[Print, RunRow]]
TIMES = ("created", "ended")
SCORES = ("best", "test")
SHAPE = [f"{f.name}: {f.type}" for kind in (RunRow, ShownScore) for f in fields(kind)]
"""What a header is made of: headers of another shape are of another version."""
MOST = 5000


def _file() -> Path:
    return state_dir() / "runs.json"


def recall(directory: Path) -> Headers:
    """The headers of the runs of a directory, as far as they are remembered."""
    try:
        known = json.loads(_file().read_text(encoding="utf-8"))
        if known["shape"] != SHAPE:
            return {}
        headers = {Path(path): (tuple(map(int, stamp)), _run(Path(path), row)) for path, stamp, row in known["runs"]}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {path: header for path, header in headers.items() if path.parent == directory.absolute()}


def remember(directory: Path, headers: Mapping[Path, tuple[Print, RunRow]]) -> None:
    """Keep the headers of a directory, in place of what was known of it; a place that cannot be written is none."""
    rows = [[str(path.absolute()), stamp, _row(run)] for path, (stamp, run) in headers.items()]
    try:
        known = json.loads(_file().read_text(encoding="utf-8"))
        others = known["runs"] if known["shape"] == SHAPE else []
        rows += [row for row in others if Path(row[0]).parent != directory.absolute()]
    except (OSError, ValueError, KeyError, TypeError):
        pass  # the first time, or one to be forgotten
    try:
        write_private(_file(), json.dumps({"shape": SHAPE, "runs": rows[:MOST]}))
    except UserError:
        return


def _row(run: RunRow) -> dict[str, Any]:
    row = asdict(run)
    del row["path"]
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _run(path: Path, row: dict[str, Any]) -> RunRow:
    times = {name: datetime.fromisoformat(row[name]) for name in TIMES if row[name]}
    scores = {name: ShownScore(**row[name]) for name in SCORES if row[name]}
    return RunRow(**{**row, **times, **scores, "path": path, "live": False, "activity": ()})

"""A policy of an old run as the base of a new one: `[model] run = "RUN"`, "RUN#7" or "RUN#7 step 50".

`llmzero run` finds it and copies it into the new run, so that nothing becomes of the new run when the old one goes on,
moves or is deleted. The engine finds the copy again by the same key of the run file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.analysis.reported import read_header, reported
from engine.domain.policy import Policy
from engine.errors import UserError, short, short_path
from engine.host.weight_files import is_adapter
from engine.run import launch
from engine.run.config import RunConfig
from engine.run.rundir import RunDirectory
from engine.store.reader import Reader, ask_run

_NAMED = re.compile(r"(?P<run>[^#]+)(?:#(?P<node>\d{1,9})(?: step (?P<step>\d{1,9}))?)?")
BEST = """
SELECT path, step, kept FROM checkpoints WHERE node_id = ? AND (? IS NULL OR step = ?)
ORDER BY kept DESC, n DESC, value DESC, step DESC LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """A policy of a run: how it is called ("RUN#7 step 50"), its files, and the base that an adapter belongs to."""

    name: str
    path: Path
    base: str

    @property
    def readable(self) -> str:
        """The model that says the same of tokenizer and sizes: an adapter's base, else the policy itself."""
        return self.base if is_adapter(self.path) else str(self.path)


def find(runs_dir: Path, asked: str) -> SourcePolicy:
    """The policy that `model.run` means: the one that a run reports, or the best kept checkpoint of a node.

    Raises:
        UserError: no such run, node or checkpoint, nothing better than its base, or its files are gone; one line.
    """
    named = _NAMED.fullmatch(asked.strip())
    if named is None:
        raise UserError(f'model.run = {short(asked)} names no policy; give "RUN", "RUN#7" or "RUN#7 step 50"')
    try:
        directory = launch.find_run(runs_dir, named["run"])
    except UserError as error:
        raise UserError(f"model.run = {short(asked)}: {error}") from error
    node, step = (None if named[part] is None else int(named[part]) for part in ("node", "step"))
    row: dict[str, Any] = ask_run(directory.path, lambda reader: _row(reader, directory.name, node, step))
    path = (directory.path / row["path"]).resolve()
    if not row["kept"] or not ((path / "config.json").is_file() or is_adapter(path)):
        raise UserError(f"model.run = {short(asked)}: the files of {directory.name}{row['name']} are gone")
    return SourcePolicy(f"{directory.name}{row['name']}", path, row["base"])


def _row(reader: Reader, run: str, node: int | None, step: int | None) -> dict[str, Any]:
    header = read_header(reader.rows)
    if node is None:
        best = reported(header)
        if best.kind in ("", "base"):
            raise UserError(f"model.run = {run}: it has nothing better than its base, {header['model']}")
        name = "" if best.kind == "soup" else best.policy
        return {"path": best.path, "kept": True, "base": header["model"], "name": name}
    rows = reader.rows(BEST, (node, step, step))
    if not rows or node == 0:
        what = f"#{node}" if step is None else f"#{node} step {step}"
        raise UserError(f"model.run = {run}{what}: there is no such checkpoint; `llmzero show {run}` lists the nodes")
    return {**rows[0], "base": header["model"], "name": Policy(((node, rows[0]["step"]),)).name}


def place(config: RunConfig, directory: RunDirectory) -> Path:
    """Where the copy of the policy lies in the new run."""
    return directory.base / re.sub(r"[^A-Za-z0-9._-]+", "-", config.model.run).strip("-.")


def settled(config: RunConfig, directory: RunDirectory) -> RunConfig:
    """The run file with the path of its base where that is a policy of an old run; unchanged otherwise.

    Raises:
        UserError: the copy is gone.
    """
    if not config.model.run:
        return config
    path = place(config, directory)
    if not path.is_dir():
        raise UserError(
            f"run.toml: model.run = {short(config.model.run)}: there is no copy of it at {short_path(path)}; "
            "restore the key, or start a new run"
        )
    return with_path(config, str(path))


def with_path(config: RunConfig, path: str) -> RunConfig:
    """The run file with a path in place of the name of a policy."""
    return config.model_copy(update={"model": config.model.model_copy(update={"path": path, "run": ""})})

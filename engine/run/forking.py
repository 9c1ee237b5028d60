"""A fork: a new run that has the tree of another up to now, under a run file with some keys changed.

Called by `llmzero fork`. Rows are copied as of one moment, of a live run too; files of checkpoints are linked, not
copied, where the file system can, since nobody writes into a checkpoint once it is there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.errors import UserError, short, short_path
from engine.run import launch, source_policy
from engine.run.config import RunConfig
from engine.run.edits import edited, why_fixed
from engine.run.evaluation_sizes import in_force, settled
from engine.run.rundir import RunDirectory
from engine.run.section import explain
from engine.store.reader import ask_run
from engine.store.snapshot import snapshot
from engine.store.writer import Writer
from engine.words import counted

FILES = """
SELECT path FROM checkpoints WHERE kept AND node_id > 0
UNION SELECT path FROM evaluations WHERE node_id > 0
UNION SELECT best_path FROM runs WHERE best_node > 0
"""
"""Directories of policies, relative to the run."""


def changed(config: RunConfig, name: str, settings: Mapping[str, Any]) -> RunConfig:
    """A run file under another name with other values; `settings` by dotted key, e.g. "budget.steps".

    Raises:
        UserError: a key that is not there or stays for the life of a tree, or a value that is not allowed; one line.
    """
    if "name" in settings:
        raise UserError("--set name: the name of a fork is given with --to NAME")
    data: dict[str, Any] = {**config.model_dump(mode="json"), "name": name}
    for key, value in settings.items():
        *tables, last = key.split(".")
        place = data
        for table in tables:
            place = place.setdefault(table, {})
            if not isinstance(place, dict):
                raise UserError(f"--set {key}: {table} is no table of the run file")
        place[last] = value
    try:
        forked = RunConfig.model_validate(data)
    except ValidationError as error:
        raise UserError(f"--set {explain(error, RunConfig)}") from error
    for key, (old, new) in edited(config.model_dump(mode="json"), forked).items():
        if why := why_fixed(key):
            raise UserError(
                f"--set {key} = {short(new)}: stays {short(old)} in a fork: {why}; for another value start a new run"
            )
    return forked


def fork(source: RunDirectory, config: RunConfig, runs_dir: Path) -> RunDirectory:
    """Make the new run, ready for an engine; nothing is left where it cannot be made.

    Args:
        config: its run file; what may differ from that of the source is what a resume takes over (docs/resume.md), and
            the engine says so when it starts.

    Raises:
        UserError: the name is taken, the source cannot be read, or the place cannot be written.
    """
    directory = launch.create_run(settled(config, _sizes(source)), runs_dir)
    try:
        _copy_rows(source, directory)
        _copy_files(source, directory)
        _make_its_own(source, directory, config)
    except BaseException as error:
        launch.remove_run(directory)
        if isinstance(error, OSError):
            raise UserError(
                f"{short_path(directory.path)}: cannot be written: {error.strerror or 'files of its tree'}"
            ) from error
        raise
    return directory


def _sizes(source: RunDirectory) -> dict[str, Any]:
    """[evaluation] as it is in force in the source: its scores are those of the fork."""
    return ask_run(source.path, lambda reader: in_force(reader.rows))


def _copy_rows(source: RunDirectory, directory: RunDirectory) -> None:
    beside = directory.path.with_name(f".{directory.name}.duckdb")  # outside, where a copy may be written
    try:
        snapshot(source.path, beside, "latest")
        beside.rename(directory.database)
    finally:
        beside.unlink(missing_ok=True)


def _copy_files(source: RunDirectory, directory: RunDirectory) -> None:
    rows = ask_run(directory.path, lambda reader: reader.rows(FILES))
    for path in [*(str(row["path"]) for row in rows if row["path"]), source.base.name]:
        origin = source.path / path
        if not Path(path).is_absolute() and origin.is_dir():
            shutil.copytree(origin, directory.path / path, copy_function=_link, dirs_exist_ok=True)


def _link(origin: str, target: str) -> None:
    """A second name for the same file; a copy where there can be none. Several rows may name a directory."""
    try:
        os.link(origin, target)
    except FileExistsError:
        return
    except OSError:
        shutil.copy2(origin, target)


def _make_its_own(source: RunDirectory, directory: RunDirectory, config: RunConfig) -> None:
    writer = Writer(directory.database)
    try:
        [run] = writer.rows("SELECT config FROM runs") or [{"config": "{}"}]
        known = {**json.loads(run["config"]), "name": directory.name}  # an engine tells what differs from it
        base = {"model": str(source_policy.place(config, directory))} if config.model.run else {}
        [tree] = writer.rows("SELECT count(*) AS nodes FROM nodes WHERE node_id > 0 AND state <> 'rejected'")
        line = f"forked from {source.name} with {counted(tree['nodes'], 'node')}"
        at = datetime.now(UTC).replace(tzinfo=None)
        writer.update_run(
            name=directory.name,
            config=json.dumps(known),
            state="stopped",
            reason=line,
            ended=at,
            activity=None,
            forecasts=None,
            **base,
        )
        writer.insert("events", level="info", kind="forked", node_id=None, message=line, detail="{}")
        writer.flush()
    finally:
        writer.close()

"""The space of a live run, narrowed or widened by a human: checked as an edit of the run file is, and written into it,
so that a resume goes on with the same.

Called by the command handler. Segments that have begun keep their values; what waits at the gate and has a value that
is not allowed any more is withdrawn.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import tomlkit

from engine.controller.commands import SpaceCommand
from engine.controller.proposal_queue import ProposalQueue
from engine.controller.run_file_edits import check_length, range_changes
from engine.controller.run_state import RunState
from engine.domain.parameters import nearest_names
from engine.domain.space import Space
from engine.errors import UserError, short_name, short_path
from engine.files import whole
from engine.run.config import RunConfig


class SpaceChanges:
    """Keeps the run file and the space of now; `build` makes the space that a run file describes."""

    def __init__(
        self, config: RunConfig, run: RunState, space: Space, proposals: ProposalQueue,
        build: Callable[[RunConfig], Space],
    ) -> None:  # fmt: skip
        self._config = config
        self._run = run
        self._space = space
        self._proposals = proposals
        self._build = build

    def change(self, command: SpaceCommand, author: str) -> str:
        """From now on choose within other values; the answer is one line.

        Raises:
            UserError: no such hyperparameter, a range that is not allowed or leaves out what a segment has, or nothing
            changes.
        """
        name = command.name
        if name not in self._space:
            known = nearest_names(name, [parameter.name for parameter in self._space])
            raise UserError(f"{short_name(name)} is no hyperparameter of this run; nearest: {known}")
        config = self._with(name, command.given)
        space = self._build(config)
        try:
            lines = list(range_changes(self._run.rows, self._space, space, without=("rejected", "proposed")))
            check_length(self._config.model_dump(), self._space, config, space, 0)
        except UserError as error:
            raise UserError(str(error).removeprefix("run.toml: ")) from error
        if not lines:
            raise UserError(f"{name} is unchanged: {self._space[name].allowed}")
        self._write(name, config)
        self._config = config
        self._space.become(space)
        self._run.record.space(json.dumps(space.to_json()), config.model_dump_json())
        line = lines[0].removeprefix("space.")
        self._run.event("info", "space", f"{line} (by {author})", author=author)
        gone = self._withdraw(author)
        return f"space {line}" + (f"; {gone} waiting proposals are withdrawn" if gone else "")

    def _with(self, name: str, given: dict[str, Any]) -> RunConfig:
        other = ("low", "high") if "choices" in given else ("choices",)
        table = {key: value for key, value in self._config.space.get(name, {}).items() if key not in (*other, "fixed")}
        return self._config.model_copy(update={"space": {**self._config.space, name: {**table, **given}}})

    def _write(self, name: str, config: RunConfig) -> None:
        """The table of one hyperparameter in run.toml; all else stays as it was written."""
        path = self._run.directory.config
        try:
            document = tomlkit.parse(path.read_text(encoding="utf-8"))
            if "space" not in document:
                document["space"] = tomlkit.table(is_super_table=True)
            document["space"][name] = config.space[name]
            with whole(path) as file:
                file.write(tomlkit.dumps(document).encode())
        except OSError as error:
            raise UserError(f"{short_path(path)} cannot be written: {error.strerror or error}") from error

    def _withdraw(self, author: str) -> int:
        """Proposals that wait with a value that is not allowed any more."""
        waiting = [
            proposal for proposal in self._run.proposals.values()
            if any(not self._space[name].allows(value) for name, value in proposal.transition.changes.items())
        ]  # fmt: skip
        for proposal in waiting:
            self._proposals.close(proposal, "superseded", "engine", f"{author} narrowed the space")
        return len(waiting)

"""What was edited in the run file between two engines of a run: taken over with an event that says what changed, or
refused with one line that names the key. Nothing is ignored.

Called by the daemon before a run is loaded. Pure but for the rows it reads; `docs/resume.md` has the same as a table.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine.domain.space import Parameter, Space, format_value
from engine.errors import UserError, short
from engine.run.config import RunConfig
from engine.run.edits import edited, why_fixed

Ask = Callable[[str], list[dict[str, Any]]]

MEASURED = "evaluation.test_prompts"
"""Stays as it was once the test split has been looked at."""


@dataclass(frozen=True, slots=True)
class RunFileEdits:
    """What a resume takes over: the keys, and a line for each."""

    keys: frozenset[str] = frozenset()
    lines: tuple[str, ...] = ()


def edits(ask: Ask, config: RunConfig, space: Space, name: str, longest: int) -> RunFileEdits:
    """Hold the run file against what the last engine read.

    Args:
        ask: reads rows of the run. name: of the run's directory, which the run is called after.
        longest: the task's own max_completion_length, by which runs of older versions were scored.

    Raises:
        UserError: a key that cannot change in a run was changed; one line.
    """
    [run] = ask("SELECT config, space FROM runs")
    before, ranges_before = json.loads(run["config"]), Space.from_json(json.loads(run["space"]))
    differing = edited(before, config)
    changed = {key: values for key, values in differing.items() if not key.startswith("space.")}
    for key, (old, new) in changed.items():
        _refuse(ask, key, old, new, name)
    check_length(before, ranges_before, config, space, longest)
    lines = [f"{key} {_value(old)} → {_value(new)}" for key, (old, new) in changed.items()]
    ranges = list(range_changes(ask, ranges_before, space))
    return RunFileEdits(frozenset(changed), (*lines, *ranges))


def _refuse(ask: Ask, key: str, old: Any, new: Any, name: str) -> None:
    if key == "name" and new != name:
        raise UserError(
            f"run.toml: name = {short(new)}: a run has the name of its directory, {name}; rename the directory instead"
        )
    why = why_fixed(key)
    if key == MEASURED and ask("SELECT 1 FROM evaluations WHERE split = 'test' LIMIT 1"):
        why = "the base was measured on them already"
    if why:
        raise UserError(
            f"run.toml: {key} = {short(new)} cannot change during a run, where it is {short(old)}: {why}; "
            "restore it, or start a new run"
        )


def check_length(before: dict[str, Any], ranges: Space, config: RunConfig, space: Space, longest: int) -> None:
    """Raises UserError where answers would be scored at another length than before: scores could not be compared."""
    known = before.get("evaluation", {}).get("max_completion_length")
    old = longest if known is None else known or ranges.longest_completion(longest)
    new = config.evaluation_length(space, longest)
    if old != new:
        raise UserError(
            f"run.toml: evaluation.max_completion_length = {config.evaluation.max_completion_length}: answers would be "
            f"scored with up to {new} tokens instead of {old}, and scores could not be compared; set it to {old}"
        )


def range_changes(ask: Ask, old: Space, new: Space, without: Sequence[str] = ("rejected",)) -> Iterator[str]:
    """A line for each hyperparameter whose range is another one; nodes in the states `without` do not count.

    Raises:
        UserError: the tree does not allow it.
    """
    names, known = {p.name for p in new}, {p.name for p in old}
    for name in sorted(names ^ known):
        what = "cannot be added during a run" if name in names else "cannot be removed during a run"
        raise UserError(f"run.toml: [space.{name}] {what}, whose segments all have the same hyperparameters")
    tree = [
        (row["node_id"], json.loads(row["configuration"]))
        for row in ask("SELECT node_id, configuration, state FROM nodes ORDER BY node_id")
        if row["state"] not in without
    ]
    for parameter in new:
        before = old[parameter.name]
        for node_id, configuration in tree:
            if not parameter.allows(value := configuration.get(parameter.name)):
                raise UserError(
                    f"run.toml: [space.{parameter.name}] excludes {short(value)}, which #{node_id} has; "
                    f"it allows {parameter.allowed}; widen it, or start a new run"
                )
        if parameter.default != before.default:
            raise UserError(
                f"run.toml: [space.{parameter.name}] default = {format_value(parameter.default)} cannot change in a "
                f"run, where it is {format_value(before.default)}: the first segments started from it"
            )
        if _rule(parameter) != _rule(before):
            yield f"space.{parameter.name} {_rule(before)} → {_rule(parameter)}"


def _rule(parameter: Parameter) -> str:
    """What may be chosen, in words."""
    return parameter.allowed + (", only rising" if parameter.rising else "")


def _value(value: Any) -> str:
    return "none" if value is None else short(value) if isinstance(value, str) else str(value)

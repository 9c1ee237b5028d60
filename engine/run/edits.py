"""What was edited in a run file since a run began, key by dotted key.

Asked when a run is resumed and by whoever tells the user. Reads tables only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from engine.run.config import RunConfig
from engine.run.executor_section import with_todays_names


def edited(before: Mapping[str, Any], now: RunConfig) -> dict[str, tuple[Any, Any]]:
    """The dotted keys whose values differ, with the one before (a run file as JSON) and the one of now; None: not set.

    A key that an older version did not know had its default; one that only an older version knew is no edit.
    """
    told = flat(with_todays_names(before))
    old = {_KEYS_OF_OLD.get(key, key): value for key, value in told.items() if _is_known(key)}
    new = flat(now.model_dump(mode="json"))
    default = flat(RunConfig(name=now.name, task=now.task).model_dump(mode="json"))
    pairs = {key: (old.get(key, default.get(key)), new.get(key, default.get(key))) for key in sorted(old | new)}
    return {key: pair for key, pair in pairs.items() if pair[0] != pair[1]}


_KEYS_OF_OLD = {"training.vllm": "training.vllm.mode"}
"""Keys that earlier versions had by another name."""


def _is_known(key: str) -> bool:
    """Whether a dotted key may stand in a run file today. What follows a table of free names is not looked at."""
    model: Any = RunConfig
    for part in key.split("."):
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return True
        if part not in model.model_fields:
            return model.model_config.get("extra") == "allow"
        model = model.model_fields[part].annotation
    return True


def flat(table: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Every value of nested tables by its dotted key."""
    found: dict[str, Any] = {}
    for name, value in table.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found

"""What was edited in a run file since a run began, key by dotted key, and which keys stay for the life of a tree.

Asked when a run is resumed or forked and by whoever tells the user. Reads tables only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from engine.run.config import RunConfig
from engine.run.training_section import with_todays_names

FIXED = {
    "task.name": "the tree was grown on that task",
    "model.path": "the tree starts from that model; if it was moved, put a link at its old place",
    "model.run": "the tree starts from that policy",
    "model.chat": "the tree was trained on prompts of that form",
    "model.system_prompt": "the tree was trained on prompts of that form",
    "model.chat_template_kwargs": "the tree was trained on prompts of that form",
    "search.strategy": "the tree was grown by that strategy",
    "search.seed": "the prompts and the first segments follow from it",
    "search.roots": "the first segments were chosen by it",
    "evaluation.validation_prompts": "scores on other prompts could not be compared",
    "evaluation.batch_size": "sampled answers depend on it: scores could not be compared",
    "evaluation.temperature": "scores of answers sampled in another way could not be compared",
    "evaluation.top_p": "scores of answers sampled in another way could not be compared",
    "evaluation.top_k": "scores of answers sampled in another way could not be compared",
    "training.batch_size": "a step would mean something else",
    "training.optimizer": "the optimizer's state in the checkpoints is of that one",
    "training.lora.rank": "checkpoints of the tree would not fit",
    "training.lora.alpha": "checkpoints of the tree would mean another policy",
    "training.lora.base": "checkpoints of the tree were trained on the other one",
    "training.lora.target": "checkpoints of the tree would not fit",
}
"""Key → why it stays as it was for the life of a run. All others are taken over, `name` and `space` by rules of their
own (`engine.controller.run_file_edits`)."""


def why_fixed(key: str) -> str:
    """Why a key stays as it was while a tree grows; "" for one that may change."""
    return next((why for fixed, why in FIXED.items() if key == fixed or key.startswith(f"{fixed}.")), "")


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
    values: dict[str, Any] = {}
    for name, value in table.items():
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return values

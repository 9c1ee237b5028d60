"""Finds a search strategy by the name in a run file. Asked once, by the daemon."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from engine.domain.space import Space
from engine.errors import UserError, short
from engine.run.section import explain
from engine.run.strategies import SETTINGS
from engine.search.base import SearchStrategy
from engine.search.baselines import FixedConfiguration, GridSearch, RandomSearch
from engine.search.constants import ContinuedConstant
from engine.search.halving import ASHA, Hyperband, TopK
from engine.search.llmzero import LLMZero
from engine.search.nulls import KeepOnly, RandomChanges
from engine.search.optimizers import CMAES, TPE
from engine.search.pbt import PBT
from engine.search.replay import Replay
from engine.search.single_branch import AdaRFT, SkillOptimization

OURS = ("llmzero", "keep-only", "random-changes")
"""Strategies that grow our tree, with our settings."""


Make = Callable[[int, Space, int, Any], SearchStrategy]
"""From steps of a segment, space, seed, and settings: the strategy's model of `engine.run.strategies`."""

PEERS: Mapping[str, Make] = {
    "continue": lambda steps, space, seed, settings: ContinuedConstant(steps, space, settings),
    "random": lambda steps, space, seed, settings: RandomSearch(steps, space, seed, settings.segments),
    "grid": lambda steps, space, seed, settings: GridSearch(steps, space, settings.segments),
    "topk": TopK,
    "tpe": TPE,
    "cmaes": CMAES,
    "asha": ASHA,
    "hyperband": Hyperband,
    "pbt": PBT,
    "adarft": lambda steps, space, seed, settings: AdaRFT(steps, space, settings),
    "skill": lambda steps, space, seed, settings: SkillOptimization(steps),
    "fixed": lambda steps, space, seed, settings: FixedConfiguration(steps),
    "replay": lambda steps, space, seed, settings: Replay(steps, space, settings),
}
NAMES = (*OURS, *PEERS)


def make(
    name: str,
    *,
    seed: int,
    segment_steps: int,
    roots: int = 4,
    space: Space | None = None,
    **settings: Any,
) -> SearchStrategy:
    """The strategy called `name`.

    Args:
        space: what all but llmzero and keep-only draw from.
        settings: the fields of the strategy's model in `engine.run.strategies`.

    Raises:
        UserError: an unknown strategy or setting.
    """
    if name not in NAMES:
        near = ", ".join(difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5) or NAMES)
        raise UserError(f"search.strategy = {short(name)} is unknown; nearest: {near}")
    checked = _checked(name, settings)
    if name not in OURS:
        return PEERS[name](segment_steps, _needed(space, name), seed, checked)
    ours = LLMZero(segment_steps, checked, roots=roots, space=space if name == "llmzero" else None)
    if name == "llmzero":
        return ours
    return KeepOnly(ours) if name == "keep-only" else RandomChanges(ours, _needed(space, name), seed)


def _checked(name: str, settings: Mapping[str, Any]) -> Any:
    """The strategy's settings. Raises UserError for one that is unknown or not allowed."""
    try:
        return SETTINGS[name](**settings)
    except ValidationError as error:
        raise UserError(f"search.settings of {name}: {explain(error, SETTINGS[name])}") from error


def _needed(space: Space | None, name: str) -> Space:
    if space is None:
        raise ValueError(f"strategy {name} needs the space")
    return space

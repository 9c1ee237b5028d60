"""Finds a search strategy by the name in a run file. Asked once, by the daemon."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class StrategyRequest:
    """What a strategy is made from; `settings` is the strategy's model of `engine.run.strategies`."""

    segment_steps: int
    seed: int
    space: Space
    settings: Any


PEERS: Mapping[str, Callable[[StrategyRequest], SearchStrategy]] = {
    "continue": lambda a: ContinuedConstant(a.segment_steps, a.space, a.settings),
    "random": lambda a: RandomSearch(a.segment_steps, a.space, a.seed, a.settings.segments),
    "grid": lambda a: GridSearch(a.segment_steps, a.space, a.settings.segments),
    "topk": lambda a: TopK(a.segment_steps, a.space, a.seed, a.settings),
    "tpe": lambda a: TPE(a.segment_steps, a.space, a.seed, a.settings),
    "cmaes": lambda a: CMAES(a.segment_steps, a.space, a.seed, a.settings),
    "asha": lambda a: ASHA(a.segment_steps, a.space, a.seed, a.settings),
    "hyperband": lambda a: Hyperband(a.segment_steps, a.space, a.seed, a.settings),
    "pbt": lambda a: PBT(a.segment_steps, a.space, a.seed, a.settings),
    "adarft": lambda a: AdaRFT(a.segment_steps, a.space, a.settings),
    "skill": lambda a: SkillOptimization(a.segment_steps),
    "fixed": lambda a: FixedConfiguration(a.segment_steps),
    "replay": lambda a: Replay(a.segment_steps, a.space, a.settings),
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
        return PEERS[name](StrategyRequest(segment_steps, seed, _needed(space, name), checked))
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

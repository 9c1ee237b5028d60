"""Finds a search strategy by the name in a run file. Asked once, by the daemon and by `llmzero check`."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from engine.errors import UserError
from engine.search.base import Strategy
from engine.search.baselines import Fixed, GridSearch, RandomSearch
from engine.search.llmzero import LLMZero, Settings
from engine.space import Space

NAMES = ("llmzero", "random", "grid", "fixed")


def make(
    name: str,
    *,
    seed: int,
    segment_steps: int,
    roots: int = 4,
    space: Space | None = None,
    **settings: Any,
) -> Strategy:
    """The strategy called `name`.

    Args:
        space: what random and grid draw from; the others do without.
        settings: for llmzero the fields of `engine.search.llmzero.Settings`, for random and grid `segments`.

    Raises:
        UserError: an unknown strategy or setting.
    """
    if name not in NAMES:
        near = ", ".join(difflib.get_close_matches(name, NAMES, n=1, cutoff=0.5) or NAMES)
        raise UserError(f"search.strategy = {name!r} is unknown; nearest: {near}")
    if name == "llmzero":
        _check(settings, [f.name for f in fields(Settings)])
        return LLMZero(Settings(segment_steps=segment_steps, roots=roots, **settings))
    if name == "fixed":
        _check(settings, [])
        return Fixed(segment_steps)
    _check(settings, ["segments"])
    if space is None:
        raise ValueError(f"strategy {name} needs the space")
    if name == "grid":
        return GridSearch(segment_steps, space, **settings)
    return RandomSearch(segment_steps, space, seed, **settings)


def _check(settings: Mapping[str, Any], known: list[str]) -> None:
    for key in settings:
        if key not in known:
            near = ", ".join(difflib.get_close_matches(key, known, n=1) or known) or "none"
            raise UserError(f"search setting {key!r} is unknown; nearest: {near}")

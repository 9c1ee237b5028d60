"""The settings of every search strategy but ours as pydantic models, a docstring under each field.

The run file holds its `search.settings` against them, so that a wrong value is one line before anything runs; the
strategies take them as they are. Knows no room of the engine.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Base of every strategy's settings: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class NoSettings(Settings):
    """A strategy without settings."""


class LaneSettings(Settings):
    """random, grid."""

    segments: int = Field(default=4, ge=0, le=10_000)
    """Segments that each configuration is trained for; 0 trains the first one to the end of the budget."""


class ContinueSettings(Settings):
    """continue: a race of constants, the winner trained on and annealed late."""

    constants: int = Field(default=4, ge=1, le=64)
    """Configurations that race; fewer when the budget is under two segments for each."""
    race_share: float = Field(default=2 / 3, gt=0, lt=1)
    """Share of the budget that the race takes, in equal parts."""
    anneal_share: float = Field(default=1 / 12, ge=0, le=0.5)
    """Share of the budget at the end that is trained with a lower learning rate."""
    anneal_factor: float = Field(default=0.3, gt=0, le=1)
    """Factor on the learning rate for the annealed end."""


SETTINGS: Mapping[str, type[Settings]] = {
    "fixed": NoSettings,
    "random": LaneSettings,
    "grid": LaneSettings,
    "continue": ContinueSettings,
}
"""By the strategy's name in the run file; llmzero and its nulls have those of `engine.search.llmzero.Settings`."""

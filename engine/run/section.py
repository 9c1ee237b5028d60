"""The base of every table of the run file. Imported by what describes one; knows no key."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class RunFileSection(BaseModel):
    """Base of every table of the run file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

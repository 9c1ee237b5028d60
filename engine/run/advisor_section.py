"""[advisor] of the run file: who diagnoses and proposes, and how a model is asked."""

from __future__ import annotations

from math import isfinite
from typing import Any, Literal

from pydantic import Field, field_validator

from engine.errors import UserError, short, short_name
from engine.host import ollama_host
from engine.run.section import RunFileSection

LEAST_CONTEXT = 2048
"""Tokens below which no question of an advisor fits."""


class AdvisorSection(RunFileSection):
    """[advisor]: who diagnoses and proposes."""

    kind: Literal["auto", "ollama", "rules"] = "auto"
    """auto takes ollama if it answers and has a vision model, else rules; the screen says which."""
    model: str = "qwen3-vl:8b"
    """The Ollama model to ask; it must see images."""
    host: str = ""
    """Address of the Ollama server, e.g. "127.0.0.1:11434"; empty: the environment's OLLAMA_HOST, else this machine."""
    timeout_seconds: float = Field(default=120, gt=0, le=3600)
    """Seconds to wait for one answer before the rules advisor answers instead."""
    wait_seconds: float = Field(default=0, ge=0, le=3600)
    """Seconds a free worker waits for an answer before the rules advisor answers instead; 0: 3% of a segment's time."""
    share: float = Field(default=1, ge=0, le=1)
    """Share of first segments and changes that a model decides; the rules decide the others."""
    shows_rules: bool = False
    """Whether a model is shown what the rules would propose, to take over, change or replace."""
    roles: tuple[Literal["analyst", "selector", "watcher"], ...] = ("analyst", "selector", "watcher")
    """What a model is asked beside its proposals; without one the signals, the search or the comparator decide."""
    options: dict[str, Any] = Field(default_factory=dict)
    """Any options of the Ollama server, e.g. {num_thread = 4, top_k = 20}; they go before what the engine would set."""

    @field_validator("host")
    @classmethod
    def _one_address(cls, host: str) -> str:
        try:
            return ollama_host.address(host) if host.strip() else ""
        except UserError as error:
            raise ValueError(str(error).partition(" is ")[2]) from error

    @field_validator("options")
    @classmethod
    def _options_are_plain(cls, options: dict[str, Any]) -> dict[str, Any]:
        for name, value in options.items():
            if not isinstance(value, bool | int | float | str) or (isinstance(value, float) and not isfinite(value)):
                raise ValueError(f"{short_name(name)} = {short(value)}; allowed: a number, a text, true or false")
        length = options.get("num_ctx", LEAST_CONTEXT)
        if isinstance(length, bool) or not isinstance(length, int) or length < LEAST_CONTEXT:
            raise ValueError(f"num_ctx = {short(length)}; allowed: a whole number, at least {LEAST_CONTEXT}")
        return options

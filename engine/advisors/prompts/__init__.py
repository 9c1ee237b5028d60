"""The prompts of the four roles: text files beside this one, each with its version in its first line.

Loaded by the advisor that asks a language model; the version goes on the row of every call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import resources

ROLES = ("analyst", "strategist", "selector", "watcher")
_VERSION = re.compile(r"<!-- (?P<role>[a-z]+), version (?P<version>\d+) -->")


@dataclass(frozen=True, slots=True)
class Prompt:
    """The system text of a role. `version` is "analyst/3": it changes whenever the text does."""

    role: str
    version: str
    text: str

    def filled(self, schema: str, prior: str = "") -> str:
        """The text with the answer's JSON schema and the prior in their places."""
        return self.text.replace("{{schema}}", schema).replace("{{prior}}", prior)


def load(role: str) -> Prompt:
    """The prompt of a role. Raises KeyError for a role that has none, ValueError for a file without its first line."""
    if role not in ROLES:
        raise KeyError(f"{role} is no role; roles: {', '.join(ROLES)}")
    return read(role)


def read(name: str) -> Prompt:
    """A prompt file by its name; `prior` is one, too."""
    raw = resources.files(__package__).joinpath(f"{name}.md").read_text(encoding="utf-8")
    first, _, text = raw.partition("\n")
    version = _VERSION.fullmatch(first.strip())
    if version is None or version["role"] != name:
        raise ValueError(f"{name}.md begins with {first!r}, not with its version")
    return Prompt(name, f"{name}/{version['version']}", text.strip())

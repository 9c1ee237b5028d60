"""What a look at something found: one line with its level. Made by `engine.run.preflight` and its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tasks.base import Task

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class CheckFinding:
    """One thing looked at: `subject` is a key of the run file or a part of the machine, `text` one line."""

    level: Level
    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What was found, in the order it was looked at, and the task where it could be loaded."""

    findings: tuple[CheckFinding, ...]
    task: Task | None = None

    @property
    def errors(self) -> tuple[CheckFinding, ...]:
        return tuple(each for each in self.findings if each.level == "error")

    @property
    def warnings(self) -> tuple[CheckFinding, ...]:
        return tuple(each for each in self.findings if each.level == "warning")

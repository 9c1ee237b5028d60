"""What the samples screen asks and shows: a view of a node's completions, and values made from rows.

Made by `feeds.samples`, read by the screen and its texts. No reader, no widget, no clock here. Everything a policy or a
task wrote is foreign text.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import datetime

from llmzero_tui.values.difference import Span
from llmzero_tui.values.rows import json_of
from llmzero_tui.values.snapshot import Row, RunRow

VERDICTS = ("all", "right", "wrong", "cut")
ORDERS = ("newest", "oldest", "best", "worst")
SPLITS = ("", "train", "validation")
PAGE = 200
"""Rows of a page."""


@dataclass(frozen=True, slots=True)
class CompletionLine:
    """A completion as one line of a list; its texts are only their beginnings."""

    seq: int
    node: int
    step: int
    reward: float
    correct: bool
    truncated: bool
    split: str
    prompt: str
    completion: str


@dataclass(frozen=True, slots=True)
class CompletionDetail:
    """A completion to read. The texts may be cut; the lengths are those of the whole. `model_prompt`: what the policy
    read, None where that is the prompt or was not recorded."""

    seq: int
    node: int
    step: int
    prompt: str
    prompt_length: int
    completion: str
    completion_length: int
    answer: str
    answer_length: int
    reward: float
    components: tuple[tuple[str, float], ...]
    correct: bool
    truncated: bool
    split: str
    ts: datetime
    model_prompt: str | None = None
    model_prompt_length: int = 0


@dataclass(frozen=True, slots=True)
class SampledNode:
    """A node, how many completions it has, and the nearest nodes before and after it that have some, in order."""

    node: int
    label: str
    state: str
    samples: int
    before: tuple[int, ...]
    after: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CompletionCounts:
    """Completions by verdict, and the steps next to the chosen one (the ends when none is chosen)."""

    all: int = 0
    right: int = 0
    wrong: int = 0
    cut: int = 0
    before: int | None = None
    after: int | None = None

    def of(self, verdict: str) -> int:
        return int(getattr(self, verdict))


@dataclass(frozen=True, slots=True)
class SamplesView:
    """What the screen looks at. `chosen` is a completion's seq; while `comparing`, the list holds the other answers to
    its prompt (of `other_node` and `other_step` alone where given), and `other` is the second one."""

    node: int | None = None
    verdict: str = "all"
    order: str = "newest"
    split: str = ""
    step: int | None = None
    text: str = ""
    page: int = 0
    chosen: int | None = None
    comparing: bool = False
    other: int | None = None
    other_node: int | None = None
    other_step: int | None = None
    other_page: int = 0

    @property
    def listed(self) -> SamplesView:
        """The part that the list depends on."""
        if self.comparing:
            return replace(self, other=None)
        return replace(self, chosen=None, other=None, other_node=None, other_step=None, other_page=0)


@dataclass(frozen=True, slots=True)
class SamplesSnapshot:
    """One look. `lines` are the page of the list, `found` how many lines there are on all pages."""

    taken: datetime
    view: SamplesView
    run: RunRow
    place: SampledNode | None
    counts: CompletionCounts = CompletionCounts()
    lines: tuple[CompletionLine, ...] = ()
    found: int = 0
    full: CompletionDetail | None = None
    other: CompletionDetail | None = None
    apart: tuple[tuple[Span, ...], tuple[Span, ...]] = ((), ())
    """Where the two completions differ, as they are shown (`format.readable`)."""

    @property
    def page(self) -> int:
        return self.view.other_page if self.view.comparing else self.view.page

    @property
    def pages(self) -> int:
        return max(1, -(-self.found // PAGE))

    @property
    def node(self) -> int | None:
        return self.place.node if self.place is not None else None


def line_of(row: Row) -> CompletionLine:
    """A row of ui_samples_page.sql or ui_samples_same.sql."""
    return CompletionLine(**{name: row[name] for name in CompletionLine.__slots__})


def full_of(row: Row) -> CompletionDetail:
    """A row of ui_samples_one.sql. Components that are no numbers are left out."""
    stored = json_of(row["components"], {})
    parts = stored.items() if isinstance(stored, dict) else ()
    components = tuple(
        (str(name), float(value))
        for name, value in parts
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    )
    return CompletionDetail(**{**row, "components": components})

"""What the agents screen asks and shows: calls of advisors, what they cost, and one call cut into sections.

Made by `feeds.agents`, read by the screen and its texts. No reader, no widget, no clock here. What models wrote, and
what was quoted to them, is foreign text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from engine.words import counted
from llmzero_tui.format import plain
from llmzero_tui.values.rows import json_of
from llmzero_tui.values.snapshot import Row, RunRow

PAGE = 200
"""Rows of a page."""
UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class CallLine:
    """A call as one line; `error` and `rationale` are only their beginnings."""

    call: int
    node: int | None
    role: str
    model: str
    advisor: str
    prompt_version: str
    prompt_tokens: int
    completion_tokens: int
    seconds: float
    error: str
    rationale: str
    ts: datetime

    @property
    def writing(self) -> bool:
        """Whether its answer is being written."""
        return self.error == UNFINISHED


@dataclass(frozen=True, slots=True)
class CallSection:
    """A part of a call to be unfolded. `text` may be the beginning of `length` characters; `column` is where the whole
    is."""

    key: str
    title: str
    text: str
    length: int
    column: str
    open: bool = False


@dataclass(frozen=True, slots=True)
class CallDetail:
    """A call to be read: its line, its sections and the pictures shown to the model (files relative to the run)."""

    line: CallLine
    sections: tuple[CallSection, ...]
    images: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CallTotals:
    """What all calls cost. `errors` is (kind, how many), the most frequent first."""

    calls: int = 0
    rules: int = 0
    writing: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    failed: int = 0
    errors: tuple[tuple[str, int], ...] = ()
    roles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AgentsView:
    """What the screen looks at; `chosen` is a call's number, None the newest."""

    node: int | None = None
    role: str = ""
    errors: bool = False
    page: int = 0
    chosen: int | None = None


@dataclass(frozen=True, slots=True)
class AgentsSnapshot:
    """One look. `found` is how many calls there are on all pages, `record` what each advisor's changes gained."""

    taken: datetime
    view: AgentsView
    run: RunRow
    totals: CallTotals
    lines: tuple[CallLine, ...] = ()
    found: int = 0
    whole: CallDetail | None = None
    record: tuple[str, ...] = ()

    @property
    def pages(self) -> int:
        return max(1, -(-self.found // PAGE))


def called_of(row: Row) -> CallLine:
    """A row of ui_agents_page.sql, ui_agents_node.sql or ui_agents_one.sql."""
    return CallLine(**{name: row[name] for name in CallLine.__slots__})


def totals_of(rows: Sequence[Row]) -> CallTotals:
    """All rows of ui_agents_totals.sql."""
    errors: dict[str, int] = {}
    for row in rows:
        if row["kind"] not in ("", UNFINISHED):
            errors[row["kind"]] = errors.get(row["kind"], 0) + row["calls"]
    return CallTotals(
        calls=sum(r["calls"] for r in rows), rules=sum(r["calls"] for r in rows if r["rules"]),
        writing=sum(r["calls"] for r in rows if r["kind"] == UNFINISHED),
        prompt_tokens=sum(r["prompt_tokens"] for r in rows),
        completion_tokens=sum(r["completion_tokens"] for r in rows),
        seconds=sum(r["seconds"] for r in rows), failed=sum(errors.values()),
        errors=tuple(sorted(errors.items(), key=lambda e: (-e[1], e[0]))),
        roles=tuple(sorted({r["role"] for r in rows})),
    )  # fmt: skip


def record_words(row: Row) -> str:
    """What an advisor's changes gained (a row of advisor_record), and how many answers of a model could be used."""
    words = [plain(row["advisor"], 20)]
    if row["answers"]:
        words.append(f"{row['valid']} of {counted(row['answers'], 'answer')} usable")
    if row["trained"]:
        gain = f"{row['gain']:+.3f}".replace("-", "−")
        error = "" if row["gain_error"] is None else f" (SE {row['gain_error']:.3f})"
        words.append(f"{counted(row['trained'], 'change')} trained, mean gain {gain}{error}")
    return ", ".join(words)


def whole_of(row: Row) -> CallDetail:
    """A row of ui_agents_one.sql, cut into what was thought, what came back, and what was sent."""
    line = called_of(row)
    names = json_of(row["images"], [])
    images = tuple(str(name) for name in names) if isinstance(names, list) else ()
    sections: list[CallSection] = []
    if line.error and not line.writing:
        sections.append(CallSection("error", "error", line.error, len(line.error), "error", True))
    rationale = row["rationale"]
    if rationale or line.writing:
        title = "rationale, being written" if line.writing else "rationale"
        sections.append(CallSection("rationale", title, rationale or "…", row["rationale_length"], "rationale", True))
    if images:
        text = "\n".join(images)
        sections.append(CallSection("images", "pictures shown to the model", text, len(text), "images", True))
    if row["response"]:
        text = pretty(row["response"])
        grown = len(text) - len(row["response"])
        title = "raw response"
        sections.append(
            CallSection("response", title, text, row["response_length"] + grown, "response", not rationale)
        )  # fmt: skip
    sections.extend(_request(row["request"], row["request_length"]))
    return CallDetail(line, tuple(sections), images)


def pretty(text: str) -> str:
    """JSON with a line for each value; what is no JSON (or only its beginning) as it is."""
    value = json_of(text, None)
    return json.dumps(value, indent=2, ensure_ascii=False) if isinstance(value, dict | list) else text


def _request(text: str, length: int) -> Iterable[CallSection]:
    """What was sent: each message, what went with them, the requested response format. One piece if it is no JSON."""
    body = json_of(text, None)
    messages = body.get("messages") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(messages, list):
        shown = pretty(text)
        if shown:
            yield CallSection("request", "request", shown, length + len(shown) - len(text), "request")
        return
    for index, message in enumerate(messages):
        said = message if isinstance(message, dict) else {"content": message}
        content = _text(said.get("content", ""))
        yield CallSection(f"message-{index}", f"sent as {said.get('role', 'text')}", content, len(content), "request")
    for key, title in (("format", "requested response format"), ("options", "sent with")):
        value: Any = body.get(key) if key == "format" else {k: v for k, v in body.items() if k not in _APART}
        if value:
            shown = _text(value)
            yield CallSection(key, title, shown, len(shown), "request")


_APART = ("messages", "format")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)

"""A question in words to a run: a model writes the query, the run answers it, the model says what the rows say.

Used by `llmzero ask` and by the SQL screen. The model is asked in a process of its own; the query is run as any that a
human types is: read-only, in a process of its own, within the limits. Without a model saved queries are found by their
words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from engine.errors import Fault, UserError
from engine.host import ollama_host
from engine.run.advisor_section import AdvisorSection
from engine.run.child_answer import child_answer
from engine.store.base import to_rows
from engine.store.errors import QueryError
from engine.store.reader import Reader
from llmzero_tui.user.queries import SavedQuery, packaged
from llmzero_tui.values.answers import to_json

if TYPE_CHECKING:
    import pyarrow as pa

DOCUMENTED = """
    SELECT "table", "column", type, comment FROM documentation WHERE "table" <> 'documentation'
    ORDER BY max(type = 'view') OVER (PARTITION BY "table"), "table", position
"""
"""The tables first, for what is passed through by views is said of them."""
COMMENT = 90
"""Characters of a column's meaning that a model is told."""
ROWS_TOLD, CELL, CHARACTERS = 30, 200, 8000
"""Rows, characters of a cell and of all rows that a model is told."""
LONGEST = 2000
"""Characters of a question."""
SPARE_SECONDS = 30.0
WORD = re.compile(r"[a-z]{3,}")
COMMON = frozenset(["the", "and", "was", "what", "which", "how", "did", "node", "run", "that", "for", "from", "with"])


@dataclass(frozen=True, slots=True)
class AskedModel:
    """The model that is asked, and where."""

    host: str
    model: str
    seconds: float = 120.0
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_run(cls, reader: Reader, host: str = "", model: str = "") -> AskedModel:
        """That of the run's [advisor], unless another is named. Raises UserError for a host that is no address."""
        rows = reader.rows("SELECT config FROM runs")
        section = AdvisorSection.model_validate(json.loads(rows[0]["config"]).get("advisor", {}) if rows else {})
        where = ollama_host.asked(host or section.host)
        return cls(where, model or section.model, section.timeout_seconds, section.options)


def checked(question: str) -> str:
    """The question on one line. Raises UserError for one of no words or of too many characters."""
    words = " ".join(question.split())
    if not words:
        raise UserError('no question; llmzero ask RUN "why was node 17 chosen?"')
    if len(words) > LONGEST:
        raise UserError(f"the question has {len(words)} characters; allowed: at most {LONGEST}")
    return words


def write_query(reader: Reader, model: AskedModel, question: str, wrong: Mapping[str, str] | None = None) -> str:
    """The query that a model writes; `wrong`: one that failed before ("sql") and why ("error").

    Raises:
        Fault: no model answered, or not with a query.
    """
    return _asked(model, stage="write", question=question, documentation=_documentation(reader), wrong=wrong)


def tell_rows(model: AskedModel, question: str, sql: str, answer: pa.Table) -> str:
    """What a model says of the rows, with each row it rests on named. Raises Fault as `write_query`."""
    rows = to_rows(answer.slice(0, ROWS_TOLD))
    lines = [f"[row {number}] {to_json(_short(row), indent=None)}" for number, row in enumerate(rows, 1)]
    if answer.num_rows > len(rows):
        lines.append(f"({answer.num_rows - len(rows)} more rows)")
    text = "\n".join(lines)[:CHARACTERS] or "(no rows)"
    return _asked(model, stage="tell", question=question, sql=sql, rows=text, count=len(rows))


def answered(reader: Reader, model: AskedModel, question: str, limit: int | None = None) -> tuple[str, pa.Table]:
    """The query and its rows, at most `limit`; a query that the database refuses is written anew, once.

    Raises:
        Fault: see `write_query`. QueryError: the second one is wrong as well, or a limit was reached.
    """
    sql = write_query(reader, model, question)
    try:
        return sql, reader.query(sql, lane="adhoc", limit=limit)
    except QueryError as error:
        again = write_query(reader, model, question, {"sql": sql, "error": str(error)})
    return again, reader.query(again, lane="adhoc", limit=limit)


def fitting(question: str, most: int = 3) -> list[SavedQuery]:
    """The saved queries that share most words with a question, the best first."""
    words = _words(question)
    scored = [(len(words & _words(f"{each.name} {each.words}")), each) for each in packaged()]
    return [each for score, each in sorted(scored, key=lambda pair: -pair[0]) if score][:most]


def _asked(model: AskedModel, **request: Any) -> str:
    sent = {"host": model.host, "model": model.model, "seconds": model.seconds, "options": dict(model.options)}
    try:
        said = child_answer(
            "engine.advisors.asking", json.dumps({**sent, **request}), seconds=model.seconds + SPARE_SECONDS
        )
    except TimeoutError as error:
        raise Fault(str(error)) from error
    if "fault" in said:
        raise Fault(said["fault"])
    return str(said["text"])


def _documentation(reader: Reader) -> str:
    """Every table with its columns and what they mean, a line each. Of columns of one name and meaning the first one
    has it: it must all fit into the model's context."""
    lines: dict[str, list[str]] = {}
    told: set[tuple[str, str]] = set()
    for row in reader.rows(DOCUMENTED):
        name, about = row["column"], (row["comment"] or "").partition(". ")[0][:COMMENT]
        meaning = "" if name and (name, about) in told else f": {about}"
        told.add((name, about))
        lines.setdefault(row["table"], []).append((f"  {name} {row['type']}" if name else row["table"]) + meaning)
    return "\n".join("\n".join(each) for each in lines.values())


def _short(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value[:CELL] if isinstance(value, str) else value for name, value in row.items()}


def _words(text: str) -> set[str]:
    """Words without their ending, so that "failed" finds "failures"."""
    return {word[:5] for word in WORD.findall(text.lower()) if word not in COMMON}

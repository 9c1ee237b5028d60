"""Colours of SQL, where an error is, and cleaning: for any text, without moving a character."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store import database
from engine.store.errors import one_line
from llmzero_tui.sql_text import COLUMNS, by_line, clean, coloured, error_span, style, tokens
from llmzero_tui.styles.themes import palette

COLOURS = palette("llmzero-dark")
SCHEMA = Path(database.__file__).with_name("schema.sql")


def kinds(text: str) -> list[tuple[str, str]]:
    return [(text[start:end], kind) for start, end, kind in tokens(text)]


def test_each_part_of_a_query_is_known() -> None:
    text = "-- why\nSELECT max(value) AS \"from\", 'it''s', 1.5e-3 /* a\nb */ FROM metrics_2 WHERE x = $$ or $$"
    assert kinds(text) == [
        ("-- why", "comment"), ("SELECT", "keyword"), ("max", "function"), ("AS", "keyword"), ("'it''s'", "string"),
        ("1.5e-3", "number"), ("/* a\nb */", "comment"), ("FROM", "keyword"), ("WHERE", "keyword"),
        ("$$ or $$", "string"),
    ]  # fmt: skip


def test_columns_of_a_run_are_not_coloured_as_keywords() -> None:
    with duckdb.connect() as connection:
        connection.execute(SCHEMA.read_text(encoding="utf-8"))
        names = connection.sql("SELECT DISTINCT column_name FROM duckdb_columns() WHERE NOT internal").fetchall()
    lexed = {name for (name,) in names if duckdb.tokenize(name)[0][1].name == "keyword"}
    assert lexed == COLUMNS


def test_a_token_over_several_lines_has_a_part_in_each() -> None:
    assert by_line("a /* x\n\nyz */ 'q\nr'") == {
        0: [(2, 6, "comment")], 1: [(0, 0, "comment")], 2: [(0, 5, "comment"), (6, 8, "string")], 3: [(0, 2, "string")],
    }  # fmt: skip


@given(st.text(alphabet="ab1 '\"$-/*\n.(SELECT\té漢"))
def test_parts_stand_in_order_and_lines_agree_with_the_whole(text: str) -> None:
    spans = list(tokens(text))
    assert all(0 <= a < b <= len(text) for a, b, _ in spans)
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    lines = text.split("\n")
    pieces = "".join(lines[n][a:b] for n, found in sorted(by_line(text).items()) for a, b, _ in found)
    assert pieces == "".join(text[a:b].replace("\n", "") for a, b, _ in spans)
    assert coloured(text, COLOURS).plain == text
    assert all(style(kind, COLOURS) for _, _, kind in spans)


@given(st.text())
def test_what_stands_in_an_editor_cannot_drive_a_terminal(text: str) -> None:
    cleaned = clean(text)
    assert all(c.isprintable() or c in "\n\t" for c in cleaned)
    assert clean(cleaned) == cleaned


def test_cleaning_keeps_what_was_meant() -> None:
    assert clean("SELECT\u00a01\r\n\x1b[31mFROM\u202e x\ty\u200b") == "SELECT 1\n[31mFROM x\ty"


@pytest.mark.parametrize(
    ("text", "marked"),
    [
        ("SELEC 1", "SELEC"),
        ("SELECT 'ünïcödé'\n\n , 1 1 1", "1"),
        ("SELECT\t1 1\t1 1", "1"),
        ("SELECT '漢字' 1 1", "1"),
        ("SELECT 1\nFROM nowhere WHERE x", "nowhere"),
        ("SELECT 1,\n  foo FROM range(3)", "foo"),
        ("SELECT nope(1)", "nope"),
        ("SELECT sum(", "("),
        ("SELECT '" + "ü" * 200 + "' 1 1", None),
        ("SELECT 1/0 AS x, error('a (line 9, column 9)')", None),
    ],
)
def test_an_error_is_marked_where_it_is_or_not_at_all(text: str, marked: str | None) -> None:
    with duckdb.connect() as connection, pytest.raises(duckdb.Error) as raised:
        connection.sql(text).fetchall()
    message = one_line(raised.value)
    assert "\n" not in message
    span = error_span(message, text)
    if marked is None:
        assert span is None
    else:
        assert span is not None
        line, start, end = span
        assert text.split("\n")[line][start:end] == marked


def test_a_place_outside_of_the_text_marks_nothing() -> None:
    assert error_span("Parser Error: x (line 7, column 2)", "SELECT 1") is None
    assert error_span("Parser Error: x (line 1, column 99)", "SELECT 1") is None

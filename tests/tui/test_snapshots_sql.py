"""Pictures of the SQL screen: rows, saved queries, a row in full, an export, a mistake."""

from __future__ import annotations

from llmzero_tui.screens.finder import Finder
from llmzero_tui.screens.place import AskFile
from llmzero_tui.screens.row_view import RowView
from llmzero_tui.screens.sql import SqlScreen
from tests.tui.pictures import USUAL, Size, Take, at_every_size, at_small_sizes

ROWS = ("colon", "f5", "escape")
"""The first query is run, and the rows have the focus."""


@at_every_size
def test_sql(picture: Take, size: Size) -> None:
    assert picture(size, *ROWS, on=SqlScreen)


@at_small_sizes
def test_saved_queries(picture: Take, size: Size) -> None:
    assert picture(size, "colon", "f2", "down", on=Finder)


@at_small_sizes
def test_a_row_in_full(picture: Take, size: Size) -> None:
    assert picture(size, *ROWS, "down", "enter", on=RowView)


@at_small_sizes
def test_rows_are_about_to_be_exported(picture: Take, size: Size) -> None:
    assert picture(size, *ROWS, "f9", on=AskFile)


def test_tables_and_columns(picture: Take) -> None:
    assert picture(USUAL, "colon", "f4", "down", on=Finder)


def test_a_query_with_a_mistake(picture: Take) -> None:
    assert picture(USUAL, "colon", "x", "f5", on=SqlScreen)

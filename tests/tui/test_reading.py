"""Texts that are read at length: where two differ, how much is laid out, what is said of the rest."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from llmzero_tui.format import READ_LIMIT, READ_LINES, beginning, plain, readable
from llmzero_tui.styles.themes import palette
from llmzero_tui.values.difference import MOST_EDITS, Span, differences
from llmzero_tui.widgets.appearance import Appearance, prose

LOOK = Appearance(palette("llmzero-dark"))
TEXTS = st.text(alphabet="ab +-\n", max_size=60)


def without(text: str, spans: tuple[Span, ...]) -> str:
    for first, last in reversed(spans):
        text = text[:first] + text[last:]
    return text


@given(TEXTS, TEXTS)
def test_what_two_texts_share_is_the_same_on_both_sides(left: str, right: str) -> None:
    mine, other = differences(left, right)
    assert without(left, mine) == without(right, other)
    assert (mine, other) == ((), ()) if left == right else mine or other


@given(TEXTS, TEXTS)
def test_spans_are_in_order_and_apart(left: str, right: str) -> None:
    for spans in differences(left, right):
        ends = [place for span in spans for place in span]
        assert ends == sorted(set(ends)) or ends == []


@pytest.mark.parametrize(
    ("left", "right", "lost", "new"),
    [
        ("the sum is 12", "the sum is 13", ["12"], ["13"]),
        ("+++yyn;", "+++yyn;++-", [], ["++-"]),
        ("", "all of it", [], ["all of it"]),
        ("a b c", "a c", ["b "], []),
    ],
)
def test_a_difference_is_as_small_as_its_words(left: str, right: str, lost: list[str], new: list[str]) -> None:
    mine, other = differences(left, right)
    assert [left[a:b] for a, b in mine] == lost
    assert [right[a:b] for a, b in other] == new


def test_texts_with_little_in_common_are_different_between_their_ends() -> None:
    left = "same " + "+-" * 5 * MOST_EDITS + " end"
    right = "same " + ";#" * 5 * MOST_EDITS + " end"
    assert differences(left, right) == (((5, len(left) - 4),), ((5, len(right) - 4),))


@pytest.mark.parametrize(
    "text", ["x" * 3_000_000, " " * 3_000_000, "\t" * 200_000, "a \n" * 500_000, "é\u0301" * 500_000]
)
def test_endless_texts_are_laid_out_to_a_bound(text: str) -> None:
    begun = beginning(text)
    assert text.startswith(begun)
    assert len(begun) <= READ_LIMIT
    assert begun.count("\n") <= READ_LINES
    assert len(readable(text)) <= 2 * READ_LIMIT
    assert "\t" not in plain(text, lines=True)


def test_a_cut_says_how_much_and_where_the_whole_is() -> None:
    shown = prose("x" * 40_000, 1_000_000, LOOK, "", where="table completions, seq 7").plain
    assert shown.startswith("x" * READ_LIMIT + "\n… cut here: 984,000 more characters")
    assert "table completions, seq 7" in shown
    assert prose("short", 5, LOOK, "", where="there").plain == "short"


@given(st.text(max_size=200))
def test_prose_is_text_and_has_no_control_characters(text: str) -> None:
    shown = prose(text, len(text), LOOK, "", where="there")
    assert isinstance(shown, Text)
    assert not {unicodedata.category(c) for c in shown.plain if c != "\n"} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}

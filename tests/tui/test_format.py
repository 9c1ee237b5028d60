"""Numbers and foreign text as the screens show them."""

from __future__ import annotations

import math
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from llmzero_tui.format import (
    MARKS,
    age,
    bar,
    duration,
    fit,
    narrow,
    number,
    parameter,
    plain,
    score,
    share,
    spark,
    to_ascii,
)
from tests.tui.sample_run import HOSTILE


def test_hostile_text_loses_escapes_and_marks_but_keeps_its_letters() -> None:
    assert plain(HOSTILE) == "[/foo] [b]bold[/b] red evil bell [@click=app.quit]x[/]"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\x9b31mb", "a31mb"),
        ("one\r\ntwo\tthree", "one two three"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("e" + "\u0301" * 50, "e\u0301\u0301"),
        ("\ud800lone", "lone"),
        ("\x1bPdevice\x1b\\x", "x"),
    ],
)
def test_plain_takes_out_what_a_terminal_would_obey(text: str, shown: str) -> None:
    assert plain(text) == shown


def test_plain_keeps_lines_when_asked_and_cuts_with_an_ellipsis() -> None:
    assert plain("a  \n\n b", lines=True) == "a\n\n b"
    assert plain("abcdef", 4) == "abc…"
    assert len(plain("x" * 10_000_000, 50)) == 50


@given(st.text(), st.integers(1, 80))
def test_plain_has_no_hidden_character_and_is_never_longer_than_asked(text: str, limit: int) -> None:
    shown = plain(text, limit)
    assert len(shown) <= limit
    assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") for c in shown)


@given(st.text(), st.integers(1, 40))
def test_fit_is_exactly_as_wide_as_asked(text: str, width: int) -> None:
    assert cell_len(fit(plain(text), width)) == width


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.4312, "0.431"), (1.0, "1.00"), (0.9999, "1.00"), (0.0, "0.000"), (None, "–"), (math.nan, "–")],
)
def test_shares_keep_their_leading_zero(value: float | None, shown: str) -> None:
    assert share(value) == shown


def test_a_score_carries_its_interval() -> None:
    assert score(0.431, 0.4, 0.462) == "0.431 [0.40, 0.46]"
    assert score(None, 0.1, 0.2) == score(0.5, None, None) == "–"


def test_an_interval_is_shown_as_it_is_and_not_as_a_symmetric_one() -> None:
    assert score(0.997, 0.8931, 0.9999) == "0.997 [0.89, 1.00]"
    assert score(0.0, 0.0, 0.037) == "0.000 [0.00, 0.04]"
    assert score(1.0, 0.963, 1.0) == "1.00 [0.96, 1.00]"


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.0041, ".0041"), (1.8312, "1.83"), (412.4, "412"), (0.0, "0"), (1.2e-6, "1.2e-6"), (-0.0063, "-.0063"),
     (math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf"), (None, "–"), (123456.0, "123456"), (2.5e9, "2.5e9"),
     (1e-4, "1e-4")],
)  # fmt: skip
def test_metrics_are_short(value: float | None, shown: str) -> None:
    assert number(value) == shown
    assert len(number(value)) <= 8


def test_a_narrow_column_has_no_leading_zeros() -> None:
    assert narrow("0.431 [0.40, 1.00] 10.5 −0.02") == ".431 [.40, 1.00] 10.5 −.02"


def test_parameters_read_as_in_the_run_file() -> None:
    assert [parameter(v) for v in (5e-5, 0.02, 64, 1.0, None)] == ["5e-5", "0.02", "64", "1", "–"]


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(41, "41s"), (134, "2m14s"), (11_100, "3h05m"), (187_200, "2d4h"), (None, "–"), (-5, "0s"), (math.inf, "–")],
)
def test_durations_have_two_units(seconds: float | None, shown: str) -> None:
    assert duration(seconds) == shown


def test_ages_below_a_second_have_a_decimal() -> None:
    assert (age(0.42), age(3.2), age(None)) == ("0.4s", "3s", "–")


def test_sparklines_leave_gaps_and_survive_nan() -> None:
    assert spark([0.0, None, 1.0]) == "▁ █"
    assert spark([math.nan, math.inf]) == "  "
    assert spark([2.0, 2.0]) == "▄▄"
    assert spark([0.0, 1.0], ascii=True) == "_@"


@given(st.lists(st.none() | st.floats(), max_size=20))
def test_a_sparkline_has_a_cell_for_every_value(values: list[float | None]) -> None:
    assert len(spark(values)) == len(values)


@pytest.mark.parametrize("fraction", [-1.0, 0.0, 0.5, 1.0, 3.0])
def test_a_bar_is_as_wide_as_asked(fraction: float) -> None:
    assert len("".join(bar(fraction, 10))) == 10


def test_every_state_has_a_glyph_of_one_cell_and_one_in_ascii() -> None:
    assert all(cell_len(m.glyph) == 1 and m.ascii.isascii() and len(m.ascii) == 1 for m in MARKS.values())


@given(st.text())
def test_ascii_is_ascii_and_as_long(text: str) -> None:
    shown = to_ascii(text)
    assert shown.isascii()
    assert len(shown) == len(text)

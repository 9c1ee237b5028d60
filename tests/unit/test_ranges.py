"""The range of a hyperparameter as a human writes it."""

from __future__ import annotations

from typing import Any

import pytest

from engine.domain.hyperparameters import GENERAL
from engine.errors import UserError
from llmzero_tui.values.ranges import range_text, read_range


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("1e-5..1e-4", {"low": 1e-5, "high": 1e-4}),
        (" 24 .. 64 ", {"low": 24, "high": 64}),
        ("..0.5", {"high": 0.5}),
        ("0..", {"low": 0}),
        ("4,8, 16", {"choices": [4, 8, 16]}),
        ("grpo,dapo", {"choices": ["grpo", "dapo"]}),
        ("true", {"choices": [True]}),
    ],
)
def test_a_range_is_read_as_it_is_meant(text: str, given: dict[str, Any]) -> None:
    assert read_range(text) == given


@pytest.mark.parametrize("text", ["", "..", "a..b", "4,,8", ",", "4,nan"])
def test_what_is_no_range_is_one_line_that_says_the_form(text: str) -> None:
    with pytest.raises(UserError, match=r"is no range; give LOW\.\.HIGH"):
        read_range(text)


@pytest.mark.parametrize("text", ["nan..inf", "0..inf", "-inf.."])
def test_what_is_not_finite_is_no_range(text: str) -> None:
    with pytest.raises(UserError, match="is no range of finite numbers"):
        read_range(text)


@pytest.mark.parametrize("parameter", GENERAL.values(), ids=str)
def test_the_range_of_now_is_written_in_the_same_form(parameter: Any) -> None:
    given = read_range(range_text(parameter))
    if parameter.choices:
        assert given["choices"] == list(parameter.choices)
    else:
        assert given["high"] == pytest.approx(parameter.high, rel=0.01)

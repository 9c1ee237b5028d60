"""Answers as real models give them: thoughts skipped, usual forms found, nothing guessed."""

from __future__ import annotations

import pytest

from tasks.answers import bold_answer, boxed_answer, is_answer, said, stated_number, tagged_answer


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("work\n#### 18", "18"),
        ("work\n#### 18 dollars", "18"),
        ("#### $1,234.50.", "1234.50"),
        ("#### **18**", "18"),
        (r"#### \boxed{18}", "18"),
        ("#### 5 or 6", None),
        ("#### 5 #### 5", None),
        ("#### 5\nno, 6", None),
        ("18 eggs. So **18**", "18"),
        ("**Answer:** we get **18 dollars**.", "18"),
        ("**16** then **16 + 2 = 18**", None),
        (r"so \boxed{1{,}234\text{ cm}}", "1234"),
        (r"\boxed{3} and \boxed{-4.5}", "-4.5"),
        (r"\boxed{\frac{1}{2}}", None),
        ("The answer is 18.", "18"),
        ("Final answer: $18$ dollars", "18"),
        ("The answer is 5 or 6", None),
        ("it is 18", None),
        ("<think>maybe #### 3, or **4**</think>\n#### 18 dollars", "18"),
        ("#### 3 </think> **18**", "18"),
        ("<think>#### 18", None),
        ("#### 18 <think>or 19", None),
        ("", None),
    ],
)
def test_a_number_is_taken_from_the_usual_forms_and_never_guessed(text: str, number: str | None) -> None:
    assert stated_number(text) == number


def test_what_is_thought_is_not_said() -> None:
    assert said("<think>\\boxed{1}</think> \\boxed{2}").strip() == "\\boxed{2}"
    assert said("no thoughts") == "no thoughts"
    assert said("<think>never ends") == ""
    assert boxed_answer("<think>\\boxed{1}") is None
    assert tagged_answer("<think><answer>1</answer></think><answer>2</answer>") == "2"
    assert bold_answer("<think>**1**</think>") is None


@pytest.mark.parametrize(
    ("completion", "answer", "right"),
    [
        ("#### 18 dollars", "18", True),
        ("**18.0**", "18", True),
        ("**19**", "18", False),
        (r"\boxed{\dfrac{1}{2}}", r"\frac12", True),
        (r"\boxed{\frac{36}{2}}", "18", True),
        (r"\boxed{\frac{1}{3}}", r"\frac12", False),
        ("<answer>Paris</answer>", "Paris", True),
        ("**Paris**", "Paris", True),
        ("**Rome**", "Paris", False),
        ("Paris", "Paris", False),
        ("<think>**Paris**", "Paris", False),
        ("", "", False),
    ],
)
def test_an_answer_is_right_as_a_number_as_words_or_as_mathematics(completion: str, answer: str, right: bool) -> None:
    assert is_answer(completion, answer) is right


def test_without_math_verify_mathematics_is_compared_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.answers.importlib.util.find_spec", lambda name: None)
    assert is_answer(r"\boxed{\frac{1} {2}}", r"\frac{1}{2}")
    assert not is_answer(r"\boxed{\dfrac{1}{2}}", r"\frac{1}{2}")
    assert is_answer("#### 18 dollars", "18")

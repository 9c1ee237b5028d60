"""Chain, countdown and dedup are right: checked against independent readings of the prompt."""

from __future__ import annotations

import itertools
import random
import re

import pytest

from tasks.base import Item, Split, TaskError
from tasks.chain import Chain
from tasks.countdown import Countdown
from tasks.dedup import Dedup
from tasks.ladder import Ladder
from tasks.tiny import CHARACTERS, VOCABULARY, answer_after_hash, check_text

SUM = Item("S 3+3-2-2=", "2", {"first": 3, "terms": ["+3", "-2", "-2"]})
FOUR = Item("N 3 3 4 2>2=", "3-3+4-2", {"numbers": [3, 3, 4, 2], "target": 2})
CLIMB = Item("S d+3-2=", "e", {"first": "d", "terms": ["+3", "-2"]})
WORD = Item("D jccdbgb=", "bcdgj", {"word": "jccdbgb"})


def test_chain_answers_are_the_sums_of_the_prompt() -> None:
    for item in Chain().items(Split.TRAIN, 300):
        terms = re.findall(r"[+-]?\d", item.prompt)
        sums = list(itertools.accumulate(int(term) for term in terms))
        assert item.prompt == f"S {''.join(terms)}="
        assert item.answer == str(sums[-1])
        assert min(sums) >= 0
        assert max(sums) <= 19
        assert 4 <= len(terms) <= 8


def test_chain_works_its_answer_out_term_by_term() -> None:
    assert Chain().gold(SUM) == "+3=6;-2=4;-2=2;#2"


@pytest.mark.parametrize("completion", ["2", "#02", "#2.0", "#+2", "# 2", "#٢", "#2#", "##2", "#3"])
def test_chain_is_strict_about_the_answer(completion: str) -> None:
    assert Chain().score(completion, SUM).total == 0.0


def test_countdown_answers_use_every_number_once_and_reach_the_target() -> None:
    for item in Countdown().items(Split.TRAIN, 300):
        numbers, target = re.fullmatch(r"N ((?:\d ){3}\d)>(\d+)=", item.prompt).groups()  # type: ignore[union-attr]
        terms = re.findall(r"[+-]?\d", item.answer)
        assert sum(map(int, terms)) == int(target)
        assert sorted(abs(int(term)) for term in terms) == sorted(map(int, numbers.split()))
        assert "-" in item.answer
        assert 1 <= int(target) <= 30


def test_countdown_tries_signs_in_order_until_one_hits() -> None:
    assert Countdown().gold(FOUR) == "+6+10-8;+6-2+4;+6-2-0;-0+4+6;-0+4-2!#3-3+4-2"


@pytest.mark.parametrize("completion", ["#3-3+4-2", "#4-2+3-3", "junk;\n#4+3-2-3", "🙂#3+4-3-2"])
def test_countdown_accepts_any_right_expression(completion: str) -> None:
    assert Countdown().score(completion, FOUR).total == 1.0


@pytest.mark.parametrize(
    "completion",
    [
        "3-3+4-2",
        "#4-2",  # not every number
        "#3-3+4-2+0",
        "#2+2-2+0",
        "#2*3-4",
        "#4-2+(3-3)",
        "#-3+3+4-2",
        "#3-3+4-2=2",
        "#3 - 3 + 4 - 2",
        "#3-3+4-2\n",
        "#33-4-2",
        "#３-3+4-2",
        "#__import__('os')",
        "#9**9**9**9",
        "#" + "(" * 10_000,
    ],
)
def test_countdown_refuses_everything_else(completion: str) -> None:
    assert Countdown().score(completion, FOUR).total == 0.0


def test_dedup_answers_are_the_sorted_distinct_letters_of_the_prompt() -> None:
    for item in Dedup().items(Split.TRAIN, 300):
        word = re.fullmatch(r"D ([a-z]{8,24})=", item.prompt)
        assert word is not None
        assert set(item.answer) == set(word[1])
        assert all(left < right for left, right in itertools.pairwise(item.answer))


@pytest.mark.parametrize(
    ("completion", "total"),
    [
        ("<a>bcdgj</a>", 1.0),
        ("<a>bccdbgj</a>", 0.1),
        ("<a></a>", 0.1),
        ("bcdgj", 0.0),
        (" <a>bcdgj</a>", 0.0),
        ("<a>bcdgj</a>\n", 0.0),
        ("<a>BCDGJ</a>", 0.0),
        ("<a>bcdgj</a><a>bcdgj</a>", 0.0),
    ],
)
def test_dedup_rewards_the_answer_and_a_little_the_format(completion: str, total: float) -> None:
    reward = Dedup().score(completion, WORD)
    assert reward.total == total
    assert reward.correct is (total == 1.0)


def test_dedup_demonstrates_habits_that_are_wrong_in_three_ways() -> None:
    rng = random.Random(0)
    shown = {Dedup().demonstrate(rng, WORD, 0.0) for _ in range(60)}
    assert shown == {"bcdgj", "<a>bbccdgj</a>", "<a>jcdbg</a>"}


def test_ladder_answers_are_where_the_terms_of_the_prompt_lead() -> None:
    states = "abcdefghijklmnopqrst"
    for item in Ladder().items(Split.TRAIN, 300):
        first, terms = re.fullmatch(r"S ([a-t])((?:[+-][1-5]){3,12})=", item.prompt).groups()  # type: ignore[union-attr]
        path = list(itertools.accumulate(map(int, re.findall(r"[+-]\d", terms)), initial=states.index(first)))
        assert min(path) >= 0
        assert states[path[-1]] == item.answer


def test_ladder_works_its_answer_out_term_by_term() -> None:
    assert Ladder().gold(CLIMB) == "+3g-2e#e"


@pytest.mark.parametrize(
    "completion", ["#e", "e", "+3g#e", "+3g-2e#d", "+3g-2e+1f#e", "+3g-2e#e ", "+3g-2e#e#e", "", "#" * 40]
)
def test_ladder_wants_the_whole_working_and_the_right_state(completion: str) -> None:
    assert Ladder().score(completion, CLIMB).total == 0.0


def test_ladders_bad_habits_are_ignored_minuses_and_early_stops() -> None:
    rng, item = random.Random(0), Ladder().items(Split.TEST, 50)[0]
    while Ladder().level(item) < 10 or "-" not in item.prompt:
        item = Ladder().generate(rng)
    shown = {Ladder().demonstrate(rng, item, 0.0) for _ in range(200)}
    assert any(len(text) < len(Ladder().gold(item)) for text in shown)
    assert any(text != Ladder().gold(item) and len(text) == len(Ladder().gold(item)) for text in shown)


@pytest.mark.parametrize(
    ("completion", "answer"), [("#x", "x"), ("a#", ""), ("", None), ("x", None), ("#x#", None), ("##", None), ("#", "")]
)
def test_the_answer_stands_after_the_only_hash(completion: str, answer: str | None) -> None:
    assert answer_after_hash(completion) == answer


class Characters:
    """A tokenizer with one token per known character, as the tiny models have."""

    unk_token_id: int | None = VOCABULARY["<unk>"]

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        return [VOCABULARY.get(character, VOCABULARY["<unk>"]) for character in text]


class Complete(Characters):
    """A tokenizer that knows every text, as byte-level ones do."""

    unk_token_id = None


def test_a_text_the_tokenizer_cannot_represent_is_refused_with_the_character_named() -> None:
    check_text(CHARACTERS, Characters())
    check_text("naïve", Complete())
    with pytest.raises(TaskError, match=r"character 'ï' at position 2 of 'naïve'"):
        check_text("naïve", Characters())

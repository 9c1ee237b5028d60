"""A model has to qualify before it is asked: what counts, what is kept, and who speaks when it does not."""

from __future__ import annotations

import json

import pytest

from engine.advisors import qualification
from engine.advisors.base import AdviceFailed
from engine.advisors.factory import make
from engine.advisors.probe import cases
from engine.advisors.qualification import Qualification
from tests.fake_answers import RIGHT, Sensible, serving
from tests.fake_ollama import Asked, Model, Reply, Script
from tests.unit.advice_cases import evidence

GOOD = Sensible()


def fails(plots: int, decisions: int) -> Script:
    """A model that gets so many plots and cases of the test wrong."""
    seen = {"plots": 0, "cases": 0}

    def script(asked: Asked) -> Reply:
        if asked.role != "probe":
            return GOOD(asked)
        sort, wrong = ("plots", plots) if "images" in asked.body["messages"][1] else ("cases", decisions)
        seen[sort] += 1
        if seen[sort] > wrong:
            return GOOD(asked)
        right = RIGHT[asked.body["messages"][1]["content"]]
        return Reply(json.dumps({"answer": next(letter for letter in "ABCD" if letter != right)}))

    return script


def test_a_model_is_tested_once_before_it_is_first_asked_and_its_outcome_kept_by_its_digest() -> None:
    model = Model()
    with serving(None, model) as fake:
        first = make("auto", host=fake.host, model=model.name, timeout=60)
        assert "it is tested before it is first asked" in first.reason
        assert first.advise(evidence()).advisor == "ollama"
        first.advise(evidence(step=25))
        roles = [asked.role for asked in fake.chats]
        assert roles[:8] == ["probe"] * 8
        assert "probe" not in roles[8:]
        assert "reads 5 of 5 plots, decides 3 of 3 cases" in first.reason
        make("auto", host=fake.host, model=model.name, timeout=60).advise(evidence())
        assert [asked.role for asked in fake.chats].count("probe") == 8
        assert len({json.dumps(load) for load in fake.loads}) == 1, "the test loads the model as the run does"
    with serving(None, Model()) as other:
        make("auto", host=other.host, model=model.name, timeout=60).advise(evidence())
        assert [asked.role for asked in other.chats].count("probe") == 8, "other weights under the same name"


@pytest.mark.parametrize(("plots", "decisions"), [(3, 0), (0, 2)])
def test_below_the_mark_auto_has_the_rules_and_says_so(plots: int, decisions: int) -> None:
    with serving(fails(plots, decisions), model := Model()) as fake:
        advisor = make("auto", host=fake.host, model=model.name, timeout=60)
        assert advisor.name == "ollama"
        assert advisor.advise(evidence()).advisor == "rules"
        assert advisor.name == "rules"
        assert f"reads {5 - plots} of 5 plots, decides {3 - decisions} of 3 cases" in advisor.reason
        assert "the rules advisor is used instead" in advisor.reason
        assert advisor.select(evidence()) is None
        assert {asked.role for asked in fake.chats} == {"probe"}
        later = make("auto", host=fake.host, model=model.name, timeout=60)
        assert later.name == "rules"
        assert len(fake.chats) == 8


def test_at_the_mark_a_model_is_asked() -> None:
    with serving(fails(2, 1), model := Model()) as fake:
        assert make("auto", host=fake.host, model=model.name, timeout=60).advise(evidence()).advisor == "ollama"


def test_below_the_mark_a_model_that_was_asked_for_is_asked_with_a_warning() -> None:
    with serving(fails(5, 3), model := Model()) as fake:
        advisor = make("ollama", host=fake.host, model=model.name, timeout=60)
        assert advisor.advise(evidence()).advisor == "ollama"
    assert "its advice may be worth nothing" in advisor.reason


def test_a_call_that_fails_says_nothing_of_the_model_and_it_is_tested_again() -> None:
    broken: list[int] = []

    def script(asked: Asked) -> Reply:
        if asked.number == 2:
            broken.append(asked.number)
            return Reply(status=500, error="runner died")
        return GOOD(asked)

    with serving(script, model := Model()) as fake:
        advisor = make("auto", host=fake.host, model=model.name, timeout=60)
        with pytest.raises(AdviceFailed, match="could not be tested: http 500: runner died") as caught:
            advisor.advise(evidence())
        assert caught.value.calls[0].model == model.name
        assert qualification.kept(model.digest) is None
        assert advisor.advise(evidence()).advisor == "ollama"
    assert broken == [2]


def test_what_is_kept_is_read_back_and_what_is_damaged_is_tested_anew() -> None:
    found = Qualification(4, 5, 2, 3, 800.0, 40.0)
    qualification.keep("sha256:abc", found)
    assert qualification.kept("sha256:abc") == found
    path = qualification._file("sha256:abc")
    assert path is not None
    path.write_text("{}")
    assert qualification.kept("sha256:abc") is None
    assert qualification.kept("") is None


def test_the_time_of_an_answer_stands_beside_the_timeout() -> None:
    assert Qualification(4, 5, 2, 3, 600.0, 40.0).speed(120) == (
        "reads 600 and writes 40 tokens a second: an answer takes about 20 s, timeout_seconds is 120"
    )
    assert Qualification(4, 5, 2, 3, 0.0, 40.0).speed(120) == ""


def test_a_case_has_one_right_answer_among_four() -> None:
    for case in cases(0):
        assert len(set(case.choices)) == 4
        assert case.images == ()
        assert case.right in "ABCD"

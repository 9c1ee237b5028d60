"""`llmzero advisor-bench`: what advisors come to on a bank with known gains, and answers that are kept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.decisions.asking import recorded
from engine.decisions.bench import CONTINUE, RANDOM, RULES, BenchQuestion, bench
from engine.errors import Fault, UserError, short_path
from llmzero_tui.text.advisor_bench import bench_lines, page
from tests.fake_answers import Sensible, serving
from tests.fake_ollama import Asked, Model, Reply
from tests.unit import decision_bank
from tests.unit.cli_process import llmzero
from tests.unit.decision_bank import NAMES, N

MODEL = "small:1b"
OLLAMA = f"ollama {MODEL}"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return decision_bank.whole(tmp_path / "bank.jsonl")


def row(found: Any, advisor: str) -> Any:
    return next(each for each in found["rows"] if each["advisor"] == advisor)


def ask_model(
    file: Path, script: Any, answers: Path | None = None, *, shows_rules: bool = False, without: Sequence[str] = ()
) -> tuple[Any, list[Asked]]:
    """The bench of a model that answers by a script, and what it was asked."""
    with serving(script, Model(MODEL, capabilities=("completion",))) as fake:
        question = BenchQuestion(
            advisor="ollama",
            model=MODEL,
            host=fake.host,
            bank=str(file),
            answers=str(answers or ""),
            timeout=20,
            shows_rules=shows_rules,
            without=without,
        )
        return bench(question), list(fake.chats)


class Fixed(Sensible):
    """A strategist with one answer."""

    def __init__(self, **strategy: Any) -> None:
        super().__init__()
        self.strategy = strategy

    def answer(self, asked: Asked) -> dict[str, Any]:
        told = super().answer(asked)
        if asked.role != "strategist":
            return told
        words = {name: told[name] for name in ("rationale", "expected", "place")}
        return {**words, "optimizer": "keep", "reference": "base", **self.strategy}


def test_the_rules_gain_what_their_proposal_was_measured_to_gain(file: Path) -> None:
    found = bench(BenchQuestion(bank=str(file)))
    rules = row(found, RULES)
    assert round(rules["gain"]["100"]["value"] * N) == 9
    assert rules["regret"]["100"]["value"] == pytest.approx(0)
    assert rules["measured"] == rules["valid"] == 1
    assert row(found, CONTINUE)["gain"]["100"]["value"] == 0
    assert round(row(found, CONTINUE)["regret"]["100"]["value"] * N) == 9
    assert row(found, RANDOM)["measured"] < 1
    against = {each["against"]: each["gain"]["100"]["value"] for each in found["differences"]}
    assert round(against[CONTINUE] * N) == 9
    assert against[RANDOM] > 0


def test_only_so_many_points_are_asked_and_only_whole_ones(file: Path) -> None:
    assert row(bench(BenchQuestion(bank=str(file), points=1)), RULES)["points"] == 1
    with pytest.raises(UserError, match="there is no such file"):
        bench(BenchQuestion(bank=str(file.with_name("none.jsonl"))))


@pytest.mark.parametrize("text", ['{"a":1}', "no JSON", "\x1b[31mred", "[1]", "[" * 100_000, '{"kind":"other"}'])
def test_a_file_of_something_else_is_neither_a_bank_nor_answers(file: Path, tmp_path: Path, text: str) -> None:
    other = tmp_path / "other"
    other.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"other, line 1: .*; allowed: a file of the decision points of"):
        bench(BenchQuestion(bank=str(other)))
    for advisor in ("", RULES):
        with pytest.raises(UserError, match=r"other, line 1: .*; allowed: a file of the answers"):
            bench(BenchQuestion(advisor=advisor, bank=str(file), answers=str(other)))


def test_a_directory_or_an_empty_file_is_named_as_what_it_is(file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    with pytest.raises(UserError, match="holds no decision point; it is empty"):
        bench(BenchQuestion(bank=str(tmp_path / "empty")))
    for question in (BenchQuestion(bank=str(tmp_path)), BenchQuestion(bank=str(file), answers=str(tmp_path))):
        with pytest.raises(UserError, match="is a directory; allowed: a file of"):
            bench(question)


def test_it_is_said_whose_answers_are_scored(file: Path, tmp_path: Path) -> None:
    said: list[str] = []
    answers = tmp_path / "answers.jsonl"
    answers.touch()
    bench(BenchQuestion(bank=str(file), answers=str(answers)), said.append)
    (line,) = said
    assert line.startswith("scored are the answers of the rules and of no other advisor")
    assert f"{short_path(answers)} holds no answer at these points" in line
    ask_model(file, Fixed(temperature=1.3), answers)
    bench(BenchQuestion(bank=str(file), answers=str(answers)), said.append)
    assert said[1:] == [f"scored are the answers of the rules and of {OLLAMA}"]


def test_a_models_proposal_is_scored_and_its_calls_and_tokens_are_counted(file: Path) -> None:
    found, asked = ask_model(file, Fixed(temperature=1.3, optimizer="reset"))
    model = row(found, OLLAMA)
    assert round(model["gain"]["100"]["value"] * N) == -9
    assert (model["valid"], model["repaired"], model["refused"]) == (1, 0, 0)
    assert [(role["role"], role["calls"]) for role in model["roles"]] == [("analyst", 1), ("strategist", 1)]
    assert len(asked) == 2 * len(NAMES)
    assert all(role["prompt_tokens"] > 500 and role["seconds"] > 0 for role in model["roles"])
    assert model["seconds"] > 0
    assert model["idle"] > 0
    assert round(next(d for d in found["differences"] if d["advisor"] == OLLAMA and d["against"] == RULES)
                 ["gain"]["100"]["value"] * N) == -18  # fmt: skip


def test_answers_are_kept_and_what_is_there_is_not_asked_again(file: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    first, asked = ask_model(file, Fixed(temperature=1.3), answers)
    assert [each.point for each in recorded(answers)] == list(NAMES)
    again, none = ask_model(file, Fixed(temperature=0.7), answers)
    assert asked
    assert not none
    assert row(again, OLLAMA) == row(first, OLLAMA)
    lines = answers.read_text(encoding="utf-8").splitlines(keepends=True)
    answers.write_text(lines[0] + lines[1][:40], encoding="utf-8")  # killed while it wrote
    _, half = ask_model(file, Fixed(temperature=1.3), answers)
    assert 0 < len(half) < len(asked)


def test_a_file_of_answers_is_scored_without_a_server(file: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    first, _ = ask_model(file, Fixed(temperature=1.3), answers)
    later = bench(BenchQuestion(advisor="", bank=str(file), answers=str(answers)))
    assert row(later, OLLAMA) == row(first, OLLAMA)


def test_a_recorded_proposal_that_breaks_a_rule_here_does_not_count(file: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    ask_model(file, Fixed(temperature=1.3), answers)
    text = answers.read_text(encoding="utf-8")
    answers.write_text(text.replace('"temperature":1.3', '"warmth":9'), encoding="utf-8")
    model = row(bench(BenchQuestion(advisor="", bank=str(file), answers=str(answers))), OLLAMA)
    assert model["valid"] == 0


def test_a_refused_proposal_is_asked_for_again_and_the_rules_stand_in(file: Path) -> None:
    found, asked = ask_model(file, Fixed())  # a change that changes nothing
    model = row(found, OLLAMA)
    assert (model["valid"], model["refused"]) == (0, 1)
    assert sum(each.role == "strategist" for each in asked) == 2 * len(NAMES)
    assert model["gain"] == row(found, RULES)["gain"]


def test_an_answer_of_no_use_is_repaired_or_leaves_it_to_the_rules(file: Path) -> None:
    good = Fixed(temperature=1.3)

    def once(asked: Asked) -> Reply:
        return good(asked) if asked.role == "analyst" or asked.is_repair else Reply("I would raise the temperature.")

    repaired = row(ask_model(file, once)[0], OLLAMA)
    assert (repaired["valid"], repaired["repaired"]) == (1, 1)

    def never(asked: Asked) -> Reply:
        return good(asked) if asked.role == "analyst" else Reply("I would raise the temperature.")

    useless = row(ask_model(file, never)[0], OLLAMA)
    assert (useless["valid"], useless["repaired"]) == (0, 1)


def test_each_point_is_read_anew(file: Path) -> None:
    _, asked = ask_model(file, Fixed(temperature=1.3))
    assert [each.role for each in asked] == ["analyst", "strategist"] * len(NAMES)


def test_a_model_that_is_shown_the_rules_proposals_has_a_row_of_its_own(file: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    ask_model(file, Fixed(temperature=1.3), answers)
    found, asked = ask_model(file, Fixed(temperature=1.25), answers, shows_rules=True)
    assert all(("## What the rules propose" in each.text) for each in asked)
    assert {each["advisor"] for each in found["rows"]} >= {OLLAMA, f"{OLLAMA} shown the rules"}


def test_a_model_without_an_analyst_proposes_by_the_computed_signals(file: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    ask_model(file, Fixed(temperature=1.3), answers)
    result, asked = ask_model(file, Fixed(temperature=1.25), answers, without=["analyst"])
    assert [each.role for each in asked] == ["strategist"] * len(NAMES)
    assert {each["advisor"] for each in result["rows"]} >= {OLLAMA, f"{OLLAMA} without analyst"}


def test_a_model_is_asked_without_a_part_and_its_worth_is_what_it_gains_less(file: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    _, before = ask_model(file, Fixed(temperature=1.25), answers)
    result, asked = ask_model(file, Fixed(temperature=1.02), answers, without=["rollouts"])
    assert all("## Rollouts of the segment" in each.text for each in before)
    assert not any("## Rollouts of the segment" in each.text for each in asked)
    whole, less = row(result, OLLAMA), row(result, f"{OLLAMA} without rollouts")
    [part] = [each for each in result["parts"] if each["part"] == "rollouts"]
    told = part["worth"][OLLAMA]["value"]
    assert told == pytest.approx(whole["gain"]["100"]["value"] - less["gain"]["100"]["value"])
    assert told != 0
    assert part["tokens"] > 0
    assert "worth to ollama small:1b" in " ".join(bench_lines(result))


def test_a_part_that_no_prompt_has_is_refused(file: Path) -> None:
    with pytest.raises(UserError, match=r"^--without colours: allowed: analyst, plots, metrics, "):
        ask_model(file, Fixed(temperature=1.25), without=["colours"])


def test_a_share_of_the_decisions_gains_that_share_of_what_model_and_rules_gain(file: Path) -> None:
    result, _ = ask_model(file, Fixed(temperature=1.25))
    [told] = result["shares"]
    gains = {each["share"]: each["gain"]["value"] for each in told["gains"]}
    rules, model = (row(result, name)["gain"]["100"]["value"] for name in ("rules", OLLAMA))
    assert (gains[0], gains[1]) == (pytest.approx(rules), pytest.approx(model))
    assert gains[0.3] == pytest.approx(0.7 * rules + 0.3 * model)
    assert rules != model


def test_answers_at_points_that_are_not_asked_about_are_told(file: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    ask_model(file, Fixed(temperature=1.25), answers)
    said: list[str] = []
    bench(BenchQuestion(advisor="", bank=str(file), answers=str(answers), points=1), said.append)
    assert said[0] == f"left out are answers at {len(NAMES) - 1} point that are not asked about, or not in this bank"


def test_the_rules_are_what_they_are_whatever_a_file_says_of_them(file: Path, tmp_path: Path) -> None:
    answers = tmp_path / "answers.jsonl"
    ask_model(file, Fixed(temperature=1.25), answers)
    answers.write_text(answers.read_text().replace(OLLAMA, RULES))
    forged = bench(BenchQuestion(advisor="", bank=str(file), answers=str(answers)))
    mine, their = (row(each, RULES) for each in (bench(BenchQuestion(bank=str(file))), forged))
    assert (their["points"], their["gain"]) == (mine["points"], mine["gain"])


def test_a_server_that_always_fails_ends_the_bench_and_records_nothing(file: Path, tmp_path: Path) -> None:
    decision_bank.point(file, 2)
    for origin in decision_bank.RIGHT:
        decision_bank.branch(file, 2, origin, 1)
    answers = tmp_path / "answers.jsonl"
    with pytest.raises(Fault, match="no answer at 3 points in a row"):
        ask_model(file, lambda _: Reply(status=500, error="the runner has died"), answers)
    assert not answers.exists()


def test_a_model_that_is_not_there_is_named(file: Path) -> None:
    with serving() as fake, pytest.raises(UserError, match="has no model nobody:1b"):
        bench(BenchQuestion(advisor="ollama", model="nobody:1b", host=fake.host, bank=str(file)))


def test_the_tables_say_which_outcome_is_a_neighbours(file: Path) -> None:
    found, _ = ask_model(file, Fixed(temperature=1.25))
    text = "\n".join(bench_lines(found))
    assert f"{NAMES[0]}" in text
    assert "≈ hotter −0.100" in text
    assert "rules 1 +0.100" in text
    assert f"{OLLAMA}  strategist  1.0 " in text
    assert "| continue always | 2 | +0.000 | +0.000 |" in page(found)


def test_a_difference_is_shown_where_its_interval_leaves_out_0(file: Path) -> None:
    found, _ = ask_model(file, Fixed(temperature=1.3, optimizer="reset"))
    rows = {line.split(" | ")[1]: line for line in page(found).splitlines() if line.startswith(f"| {OLLAMA} | ")}
    assert rows[RULES].endswith("| −0.200 | no |")  # the same at both points: no spread, so no interval
    gain = found["differences"][0]["gain"]["100"]
    for interval, shown in (((-0.3, -0.1), "worse"), ((-0.1, 0.2), "no"), ((0.1, 0.2), "better")):
        gain |= dict(zip(("low", "high"), interval, strict=True))
        low, high = (f"{each:+.3f}".replace("-", "−") for each in interval)
        assert f"[{low}, {high}] | {shown} |" in page(found)


def test_the_command_prints_tables_json_or_a_page(file: Path, tmp_path: Path) -> None:
    done = llmzero("advisor-bench", "--bank", file, "--json", "--to", tmp_path / "advisor-bench.md", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert round(row(json.loads(done.stdout), RULES)["gain"]["100"]["value"] * N) == 9
    assert "rules 1 +0.100" in (tmp_path / "advisor-bench.md").read_text(encoding="utf-8")
    missing = llmzero("advisor-bench", "--answers", tmp_path / "no.jsonl", cwd=tmp_path)
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)
    assert "no such file" in missing.stderr

"""Rows of an advisor's calls: there while the answer is written, complete afterwards, never left unfinished."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.advisors.base import Advice, AdvisorCall, Diagnosis
from engine.controller.run_state import RunState
from engine.store.queries import load as sql
from engine.words import advisor_state
from tests.unit.test_run_state import begin, reload

CALL = AdvisorCall("strategist", "{}", "", "", 0.0, model="qwen3-vl:8b", key="strategist-1", node=0)


def rows(run_state: RunState) -> list[dict[str, Any]]:
    run_state.flush()
    return run_state.rows("SELECT * FROM agent_calls ORDER BY call_id")


def test_a_call_in_progress_is_one_row_that_grows_and_is_completed(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    run_state.calls.grows(CALL, "ollama")
    run_state.calls.grows(replace(CALL, rationale="Entropy", milliseconds=500.0), "ollama")
    (row,) = rows(run_state)
    assert (row["rationale"], row["error"], row["advisor"], row["node_id"]) == ("Entropy", "unfinished", "ollama", 0)
    done = replace(CALL, rationale="Entropy .49", response="{…}", prompt_tokens=900, completion_tokens=80)
    assert run_state.calls.record(Advice("ollama", (), (), (done,)), 0) == row["call_id"]
    (row,) = rows(run_state)
    assert (row["rationale"], row["error"], row["prompt_tokens"]) == ("Entropy .49", "", 900)
    run_state.calls.grows(replace(CALL, key="analyst-2"), "ollama")
    assert len(rows(run_state)) == 2
    run_state.close()


def test_calls_given_up_say_why(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    run_state.calls.grows(CALL, "ollama")
    run_state.calls.give_up("the engine ended")
    assert [row["error"] for row in rows(run_state)] == ["cancelled: the engine ended"]
    run_state.close()


def test_a_call_that_a_crash_interrupted_does_not_stay_unfinished(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    run_state.calls.grows(CALL, "ollama")
    again = reload(run_state)
    assert [row["error"] for row in rows(again)] == ["cancelled: the engine ended before the answer"]
    again.close()


def in_force(run_state: RunState) -> list[tuple[str, int]]:
    run_state.flush()
    found = run_state.rows("SELECT pathology, step FROM current_diagnoses ORDER BY severity DESC")
    return [(row["pathology"], row["step"]) for row in found]


def test_of_several_looks_at_a_segment_the_one_that_saw_most_counts(tmp_path: Path) -> None:
    """A look at the first steps said "healthy: no training curve long enough", the one at the end "plateau"."""
    run_state = begin(tmp_path / "run")
    healthy, plateau = Diagnosis("healthy", 0.0, "no training curve"), Diagnosis("plateau", 0.3, "flat")
    cut_off = Diagnosis("truncation", 0.5, "36% of the completions are truncated")
    run_state.calls.record(Advice("rules", (healthy,), (), (CALL,), step=5), 0)
    assert in_force(run_state) == [("healthy", 5)]
    run_state.calls.record(Advice("rules", (cut_off, plateau), (), (CALL,), step=30), 0)
    run_state.calls.record(Advice("rules", (healthy,), (), (CALL,), step=5), 0)  # a branch from an earlier checkpoint
    assert in_force(run_state) == [("truncation", 30), ("plateau", 30)]
    run_state.calls.record(Advice("ollama", (plateau,), (), (CALL,), step=30), 0)
    assert in_force(run_state) == [("plateau", 30)]
    run_state.close()


def test_every_diagnosis_is_told_under_the_name_of_who_said_it(tmp_path: Path) -> None:
    """Signals that the rules computed were once told under the name of a model whose answers were refused."""
    run_state = begin(tmp_path / "run")
    computed = Diagnosis("truncation", 0.7, "36% of the completions are truncated", advisor="rules")
    run_state.calls.record(Advice("ollama", (computed, Diagnosis("plateau", 0.3, "flat")), (), (CALL,), step=30), 0)
    run_state.flush()
    told = [(row["pathology"], row["advisor"], row["model"]) for row in run_state.rows(sql("ui_diagnoses"), (0,))]
    assert told == [("truncation", "rules", ""), ("plateau", "ollama", "qwen3-vl:8b")]
    run_state.close()


def header(run_state: RunState) -> tuple[bool, bool]:
    """Whether the model has ever answered, and whether it fails now."""
    run_state.flush()
    (row,) = run_state.rows(sql("run_header"))
    return row["advisor_answered"] is not None, row["advisor_failing"] is not None


def test_the_header_says_whether_the_model_that_advises_answers(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run", advisor="ollama")
    rules = replace(CALL, model="", key="")
    run_state.calls.record(Advice("rules", (), (), (rules,)), 0)
    assert header(run_state) == (False, False)
    run_state.calls.grows(CALL, "ollama")
    assert header(run_state) == (False, False), "it is still writing"
    run_state.calls.record(Advice("ollama", (), (), (replace(CALL, error="refused: nothing answers"),)), 0)
    assert header(run_state) == (False, True)
    run_state.calls.record(Advice("ollama", (), (), (replace(CALL, key="strategist-2"),)), 0)
    assert header(run_state) == (True, False)
    cancelled = replace(CALL, key="strategist-3", error="cancelled: the run ends")
    run_state.calls.record(Advice("ollama", (), (), (cancelled,)), 0)
    assert header(run_state) == (True, False)
    run_state.calls.record(Advice("ollama", (), (), (replace(CALL, key="strategist-4", error="stall: 30 s"),)), 0)
    assert header(run_state) == (True, True)
    run_state.close()


def test_the_header_of_a_run_with_the_rules_says_nothing_of_a_model(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    run_state.calls.record(Advice("ollama", (), (), (CALL,)), 0)
    assert header(run_state) == (False, False)
    run_state.close()


def test_the_state_of_an_advisor_is_told_in_words() -> None:
    answered, failing = datetime(2026, 11, 29, 13, 59), datetime(2026, 11, 29, 14, 3)
    assert advisor_state(None, None) == ""
    assert advisor_state(answered, None) == "last answer 13:59 UTC"
    assert advisor_state(answered, failing) == "failing since 14:03 UTC, last answer 13:59"
    assert advisor_state(None, failing) == "failing since 14:03 UTC, no answer yet"


def test_diagnoses_of_an_older_version_are_all_told_but_for_a_healthy_one_beside_others(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    for pathology in ("healthy", "plateau", "truncation"):
        run_state._writer.insert(
            "diagnoses", node_id=0, call_id=0, pathology=pathology, severity=0.1, evidence="", signals="[]"
        )
    assert {pathology for pathology, _ in in_force(run_state)} == {"plateau", "truncation"}
    run_state.close()

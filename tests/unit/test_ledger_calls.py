"""Rows of an advisor's calls: there while the answer is written, complete afterwards, never left unfinished."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.advisors.base import Advice, Call, Diagnosis
from engine.controller.ledger import Ledger
from tests.unit.test_ledger import begin, reload

CALL = Call("strategist", "{}", "", "", 0.0, model="qwen3-vl:8b", key="strategist-1", node=0)


def rows(ledger: Ledger) -> list[dict[str, Any]]:
    ledger.writer.flush()
    return ledger.writer.rows("SELECT * FROM agent_calls ORDER BY call_id")


def test_a_call_in_progress_is_one_row_that_grows_and_is_completed(tmp_path: Path) -> None:
    ledger = begin(tmp_path / "run")
    ledger.call_grows(CALL, "ollama")
    ledger.call_grows(replace(CALL, rationale="Entropy", milliseconds=500.0), "ollama")
    (row,) = rows(ledger)
    assert (row["rationale"], row["error"], row["advisor"], row["node_id"]) == ("Entropy", "unfinished", "ollama", 0)
    done = replace(CALL, rationale="Entropy .49", response="{…}", prompt_tokens=900, completion_tokens=80)
    assert ledger.advice(Advice("ollama", (), (), (done,)), 0) == row["call_id"]
    (row,) = rows(ledger)
    assert (row["rationale"], row["error"], row["prompt_tokens"]) == ("Entropy .49", "", 900)
    ledger.call_grows(replace(CALL, key="analyst-2"), "ollama")
    assert len(rows(ledger)) == 2
    ledger.writer.close()


def test_calls_given_up_say_why(tmp_path: Path) -> None:
    ledger = begin(tmp_path / "run")
    ledger.call_grows(CALL, "ollama")
    ledger.give_up_calls("the engine ended")
    assert [row["error"] for row in rows(ledger)] == ["cancelled: the engine ended"]
    ledger.writer.close()


def test_a_call_that_a_crash_interrupted_does_not_stay_unfinished(tmp_path: Path) -> None:
    ledger = begin(tmp_path / "run")
    ledger.call_grows(CALL, "ollama")
    again = reload(ledger)
    assert [row["error"] for row in rows(again)] == ["cancelled: the engine ended before the answer"]
    again.writer.close()


def test_a_diagnosis_is_written_once(tmp_path: Path) -> None:
    ledger = begin(tmp_path / "run")
    found = Diagnosis("truncation", 0.5, "36% of the completions are cut off")
    for text in ("", "", " more"):
        ledger.advice(Advice("ollama", (replace(found, text=found.text + text),), (), (CALL,)), 0)
    ledger.writer.flush()
    assert len(ledger.writer.rows("SELECT * FROM diagnoses")) == 2
    ledger.writer.close()

"""docs/tasks.md shows what lies in docs/examples, which is short and runs; `llmzero tasks` shows every kind of task."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from engine.errors import UserError
from llmzero_tui.commands.tasks import tasks as command
from tasks import registry
from tasks.base import Split
from tasks.reasoning_gym import REFUSED

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
PAGE = (ROOT / "docs" / "tasks.md").read_text()
NAMES = (
    f"{EXAMPLES / 'my_task.py'}:Backwards",
    f"{EXAMPLES / 'words.jsonl'}:{EXAMPLES / 'reward.py'}:reward",
)


def run(name: str | None, *, preview: bool = True, as_json: bool = False) -> int:
    return command(argparse.Namespace(name=name, preview=preview, json=as_json))


def test_the_page_shows_the_examples_and_every_refused_generator() -> None:
    for file in ("my_task.py", "reward.py"):
        text = (EXAMPLES / file).read_text()
        assert f"```python\n{text}```" in PAGE
        assert text.count("\n") < 30
    for generator, reason in REFUSED.items():
        assert f"- `{generator}`: {reason}\n" in PAGE


@pytest.mark.parametrize("name", NAMES)
def test_the_examples_score_right_answers_and_nothing_else(name: str) -> None:
    task = registry.get(name)
    prompts = {split: {item.prompt for item in task.items(split, 12)} for split in Split}
    assert not prompts[Split.TRAIN] & (prompts[Split.VALIDATION] | prompts[Split.TEST])
    for item in task.items(Split.VALIDATION, 12):
        assert task.score(item.answer, item).total == 1.0
        assert task.score(item.answer + "x", item).total == task.score("", item).total == 0.0


def test_the_list_has_kind_items_and_model_of_every_task(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(None, preview=False) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["task", "kind", "items", "model", "what", "it", "is"]
    assert [line.split()[0] for line in lines[1 : 1 + len(registry.listed())]] == list(registry.listed())
    assert any("assets/tiny/ladder" in line for line in lines)
    assert any(line.startswith("reasoning_gym/NAME") for line in lines)


@pytest.mark.parametrize("name", [*registry.names(), *NAMES])
def test_a_preview_scores_gold_empty_junk_and_near_miss(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(name, as_json=True) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert len(shown["samples"]) == 5
    for sample in shown["samples"]:
        scores = sample["scores"]
        assert scores["empty"] == scores["junk"] == 0
        if "gold" in scores:
            assert scores["gold"] == 1
            assert scores["near miss"] < 1


def test_a_preview_as_text_shows_the_difficulty(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("ladder") == 0
    text = capsys.readouterr().out
    assert "difficulty  3 to 12 (terms of an item)" in text
    assert "scores  gold 1, empty 0, junk 0, near miss 0" in text


def test_a_score_that_fails_is_one_line_with_task_item_and_completion(tmp_path: Path) -> None:
    source = (EXAMPLES / "my_task.py").read_text().replace("correct = completion.strip()", "correct = completion[99]")
    (tmp_path / "bad.py").write_text(source)
    with pytest.raises(UserError, match=r"task backwards: score raised IndexError: .*; item 'R .*', completion '") as e:
        run(f"{tmp_path / 'bad.py'}:Backwards")
    assert "\n" not in str(e.value)

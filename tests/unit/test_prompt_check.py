"""What is used only at the end is looked at before the run: every row, its length, and the verifier's word on it."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from engine import own_packages
from engine.domain.space import Space
from engine.host.model_files import read_model
from engine.run import launch, preflight, prompt_check
from engine.run.config import ModelSection, RunConfig, parse
from engine.run.findings import CheckFinding
from tasks import registry
from tasks.base import Split, TaskError, split_of
from tests.unit.cli_process import called

BASE = Path(__file__).resolve().parents[2] / "assets" / "tiny" / "dedup"
REWARD = "MAX_COMPLETION_LENGTH = 22\ndef reward(completion, row):\n    return completion == row['answer'].strip()\n"
WORDS = ["".join("abcdefghij"[(n // 10**k) % 10] for k in range(4)) for n in range(400)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    rows(tmp_path)
    (tmp_path / "reward.py").write_text(REWARD)
    return tmp_path


def rows(folder: Path, *more: dict[str, object]) -> None:
    every = [{"prompt": f"D {word}=", "answer": "".join(sorted(set(word)))} for word in WORDS] + [*more]
    (folder / "rows.jsonl").write_text("\n".join(map(json.dumps, every)))


def in_split(split: Split, text: str) -> str:
    """A prompt that begins with `text` and belongs to a split."""
    return next(prompt for n in range(10**4) if split_of(prompt := f"{text}{'a' * (n % 5)}{'b' * (n // 5)}") is split)


def config(tests: int = 16, extra: str = "", model: Path = BASE) -> RunConfig:
    text = f"""
    [task]
    name = "rows.jsonl:reward.py:reward"
    {extra}
    [model]
    path = "{model}"
    [evaluation]
    validation_prompts = 8
    rerank_prompts = 8
    test_prompts = {tests}
    [advisor]
    kind = "rules"
    """
    return parse(text, default_name="one")


def findings(asked: RunConfig, level: str) -> list[CheckFinding]:
    return [each for each in preflight.check(asked, Path("runs")).findings if each.level == level]


def test_every_row_of_every_split_that_the_run_uses_is_measured(folder: Path) -> None:
    rows(folder, {"prompt": in_split(Split.TEST, "D " + "a" * 250), "answer": "a"})
    tests = len(prompt_check.used(config(), registry.get("rows.jsonl:reward.py:reward"))[0].items)
    assert tests > 0
    every = sum(split_of(f"D {word}=") is Split.TEST for word in WORDS) + 1
    [error] = findings(config(tests=every), "error")
    assert "a test prompt of 25" in error.text
    assert "256 positions (line 401 of rows.jsonl)" in error.text
    [error] = findings(config(tests=every + 1), "error")
    assert f"{every + 1} test items are asked for and its rows give {every}" in error.text


def test_the_memory_of_a_row_that_no_model_could_read_is_not_counted(folder: Path) -> None:
    rows(folder, {"prompt": in_split(Split.TRAIN, "D " + "a" * 60_000), "answer": "a"})
    report = preflight.check(config(), Path("runs"))
    [error] = report.errors
    assert "a training prompt of 60002 and" in error.text
    [memory] = [each.text for each in report.findings if each.subject == "memory"]
    assert re.match(r"about (\d+ MB|\d\.\d GB) for 1 worker", memory), memory


@pytest.mark.parametrize("split", list(Split))
def test_a_row_that_the_verifier_cannot_score_is_named(folder: Path, split: Split) -> None:
    rows(folder, {"prompt": in_split(split, "D abc"), "answer": 7})
    every = sum(split_of(f"D {word}=") is Split.TEST for word in WORDS)
    tests = every + 1 if split is Split.TEST else 8
    asked = config(tests=tests)
    valid = sum(split_of(f"D {word}=") is Split.VALIDATION for word in WORDS) + (split is Split.VALIDATION)
    asked = asked.model_copy(update={"evaluation": asked.evaluation.model_copy(update={"rerank_prompts": valid})})
    found = findings(asked, "error")
    assert "line 401 of rows.jsonl" in found[0].text
    assert "'int' object has no attribute 'strip'" in found[0].text


def test_a_held_out_row_that_the_run_would_not_use_is_scored_too(folder: Path) -> None:
    prompt = in_split(Split.TEST, "D abc")
    rows(folder, {"prompt": prompt, "answer": 7})
    asked = config(tests=8)
    drawn = next(each for each in prompt_check.used(asked, registry.get(asked.task.name)) if each.use == "test")
    assert prompt not in {item.prompt for item in drawn.items}
    [error] = findings(asked, "error")
    assert "line 401 of rows.jsonl" in error.text


@pytest.mark.parametrize(("row", "says"), [({}, 'has no "answer"'), ({"answer": float("nan")}, "has NaN as its")])
def test_a_training_row_without_an_answer_is_named(folder: Path, row: dict[str, object], says: str) -> None:
    rows(folder, {"prompt": in_split(Split.TRAIN, "D abc"), **row})
    [error] = findings(config(), "error")
    assert f"line 401 of rows.jsonl {says}" in error.text


def test_full_marks_for_junk_are_said(folder: Path) -> None:
    (folder / "reward.py").write_text("MAX_COMPLETION_LENGTH = 22\ndef reward(completion, row):\n    return 1.0\n")
    texts = [each.text for each in findings(config(), "warning")]
    assert any("full reward to an empty completion for line " in text and " more" in text for text in texts)
    assert any("full reward to junk" in text for text in texts)


def test_an_answer_that_is_empty_gives_full_marks_to_nothing(folder: Path) -> None:
    rows(folder, {"prompt": in_split(Split.TEST, "D "), "answer": " "})
    every = sum(split_of(f"D {word}=") is Split.TEST for word in WORDS) + 1
    texts = [each.text for each in findings(config(tests=every), "warning")]
    assert "the verifier gives the full reward to an empty completion for line 401 of rows.jsonl" in texts


def test_a_verifier_that_rarely_fails_is_a_warning_or_an_error_as_the_run_file_says(folder: Path) -> None:
    (folder / "reward.py").write_text(REWARD + "    \nscore = reward\ndef reward(completion, row):\n"
        "    if 'I do' in completion and row['prompt'].startswith('D d'):\n        raise TimeoutError('slow')\n"
        "    return score(completion, row)\n")  # fmt: skip
    assert not findings(config(), "error")
    [warning] = [each for each in findings(config(), "warning") if each.subject == "task.name"]
    assert "TimeoutError: slow" in warning.text
    assert "count as 0" in warning.text
    [error] = findings(config(extra='on_error = "fail"'), "error")
    assert "TimeoutError: slow" in error.text


def judged() -> list[str]:
    """What the verifier of the folder's task is found to do, asked in this process."""
    asked = config()
    task = registry.get(asked.task.name)
    return [each.text for each in prompt_check.verifier(asked, task, prompt_check.used(asked, task), print)]


def test_a_verifier_that_hangs_or_is_slow_does_not_freeze_the_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prompt_check, "GRADER_SECONDS", 0.3)
    (folder / "reward.py").write_text("import time\ndef reward(completion, row):\n    time.sleep(99)\n")
    with pytest.raises(TaskError, match=r"score of line .* takes longer than 0\.3 s"):
        judged()
    monkeypatch.setattr(prompt_check, "CHECK_SECONDS", 0.2)
    (folder / "reward.py").write_text("import time\ndef reward(completion, row):\n    return time.sleep(.05) or 0.0\n")
    assert any("prompts were scored in 0.2 s" in text for text in judged())


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os\ndef reward(completion, row):\n    os._exit(3)\n", "exit status 3"),
        ("import os\ndef reward(completion, row):\n    os._exit(0)\n", "exit status 0"),
        ("import ctypes\ndef reward(completion, row):\n    ctypes.string_at(0)\n", "SIGSEGV"),
        ("import os\nos._exit(4)\n", "exit status 4"),
    ],
)
def test_code_that_ends_its_process_is_one_error_of_the_check(folder: Path, code: str, how: str) -> None:
    (folder / "reward.py").write_text(code)
    [error] = findings(config(), "error")
    assert error.subject == "task.name"
    assert error.text.startswith("rows.jsonl:reward.py:reward: its code ends the process that runs it")
    assert how in error.text


def test_code_that_never_returns_from_c_is_one_error_of_the_check(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = (
        "from engine.run import prompt_check, task_check; from tasks import user_code; "
        "prompt_check.GRADER_SECONDS = user_code.GRACE_SECONDS = 0.5; task_check.main()"
    )
    monkeypatch.setattr(own_packages, "command", lambda _: [sys.executable, "-c", quick])
    (folder / "reward.py").write_text(
        "import collections, itertools\ndef reward(completion, row):\n"
        "    collections.deque(itertools.repeat(0), maxlen=0)\n"
    )
    [error] = findings(config(), "error")
    assert error.subject == "task.name"
    assert "its code does not return within 1 s (line 3 of reward.py); it must return or raise" in error.text


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import os\nos._exit(4)\n", "its code ends the process that runs it (exit status 4)"),
        ("import os\ndef reward(completion, row):\n    os._exit(3)\n", "its code ends the process"),
        ("import argparse\np = argparse.ArgumentParser()\np.add_argument('x')\np.parse_args()\n", "calls sys.exit(2)"),
    ],
)
def test_tasks_names_what_the_code_of_a_file_does_to_its_process(folder: Path, code: str, words: str) -> None:
    (folder / "reward.py").write_text(code)
    done = called("tasks", "rows.jsonl:reward.py:reward", cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert words in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("words", [["resume", "one"], ["new", "new.toml", "--task", "rows.jsonl:reward.py:reward"]])
def test_a_resume_and_a_new_run_file_survive_code_that_ends_its_process(folder: Path, words: list[str]) -> None:
    launch.create_run(preflight.resolve(config()).model_copy(update={"name": "one"}), folder / "runs")
    (folder / "reward.py").write_text("import os\nos._exit(4)\n")
    done = called(*words, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "its code ends the process that runs it (exit status 4)" in done.stderr.splitlines()[-1]


def test_duplicates_are_counted_and_the_splits_told(folder: Path) -> None:
    rows(folder, {"prompt": f"D {WORDS[0]}=", "answer": "zzz"})
    found = [each for each in preflight.check(config(), Path("runs")).findings if each.subject == "rows"]
    assert [each.level for each in found] == ["ok", "warning"]
    assert " train, " in found[0].text
    assert "1 rows repeat the prompt of an earlier row" in found[1].text
    assert "line 1 of rows.jsonl" in found[1].text


def longest(model: Path) -> CheckFinding:
    """What the lengths of the rows are, by the files of a model alone."""
    asked = config()
    task = registry.get(asked.task.name)
    space = Space.build({}, task.space(), batch_size=32)
    found: list[CheckFinding] = []
    prompt_check.lengths(asked, task, read_model(str(model)), space, prompt_check.used(asked, task), found)
    [finding] = [each for each in found if each.subject in ("max_completion_length", "model.path")]
    return finding


def test_prompts_are_measured_with_the_chat_template(folder: Path) -> None:
    rows(folder, {"prompt": [{"role": "user", "content": in_split(Split.TRAIN, "D ab")}], "answer": "ab"})
    shutil.copytree(BASE, folder / "model")
    template = "{{ messages[0].content }}{% if add_generation_prompt %}{{ '=' * 40 }}{% endif %}"
    (folder / "model" / "chat_template.jinja").write_text(template)
    assert int(longest(folder / "model").text.split()[4]) > 40
    assert int(longest(BASE).text.split()[4]) < 40
    (folder / "model" / "chat_template.jinja").write_text("{{ raise_exception('no such role') }}")
    finding = longest(folder / "model")
    assert finding.level == "error"
    assert "of rows.jsonl: the model's chat template fails: ValueError: no such role" in finding.text


def test_a_chat_that_the_model_cannot_read_is_named(folder: Path) -> None:
    text = in_split(Split.TRAIN, "system: D\nuser: ab").removeprefix("system: D\nuser: ")
    messages = [{"role": "system", "content": "D"}, {"role": "user", "content": text}]
    rows(folder, {"prompt": messages, "answer": "ab"})
    finding = longest(BASE)
    assert finding.level == "error"
    assert "no chat template is applied, and line 401 of rows.jsonl is a chat of system, user" in finding.text


def test_looking_at_the_prompts_imports_no_torch() -> None:
    import subprocess

    code = "import sys, engine.run.prompt_check, engine.run.preflight; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ---- as the model reads them ----------------------------------------------------------------------------------------


def with_template(tmp_path: Path) -> Path:
    """The shipped model with a chat template of characters that it knows."""
    model = tmp_path / "model"
    shutil.copytree(BASE, model)
    source = "{% for m in messages %}{{ m.content }}{% endfor %}{% if loud %}={% endif %}"
    (model / "chat_template.jinja").write_text(source)
    return model


@pytest.mark.usefixtures("compared_here")
def test_the_check_shows_the_first_prompt_exactly_as_the_model_reads_it(folder: Path) -> None:
    plain = next(each.text for each in findings(config(), "ok") if each.subject == "prompt")
    assert plain in {repr(f"D {word}=") for word in WORDS}
    model = with_template(folder)
    asked = config(model=model, extra="").model_copy(
        update={"model": ModelSection(path=str(model), system_prompt="D ", chat_template_kwargs={"loud": True})}
    )
    read = next(each.text for each in findings(asked, "ok") if each.subject == "prompt")
    assert read == repr(f"D {plain[1:-1]}=")


@pytest.mark.usefixtures("compared_here")
def test_what_a_template_does_not_ask_for_is_a_warning_and_what_needs_one_an_error(folder: Path) -> None:
    model = with_template(folder)
    odd = config().model_copy(
        update={"model": ModelSection(path=str(model), chat_template_kwargs={"enable_thinking": False})}
    )
    [warning] = [each for each in findings(odd, "warning") if each.subject == "model.chat_template_kwargs"]
    assert warning.text == "enable_thinking has no effect: the model's chat template does not ask for it"
    bare = config().model_copy(update={"model": ModelSection(path=str(BASE), system_prompt="x")})
    [error] = findings(bare, "error")
    assert (error.subject, error.text) == ("model.system_prompt", "needs a chat template, and the model has none")


def test_a_chat_task_on_a_model_without_a_template_is_a_warning(folder: Path) -> None:
    (folder / "reward.py").write_text(f"CHAT = True\n{REWARD}")
    [warning] = [each for each in findings(config(), "warning") if each.subject == "model.chat"]
    assert "no chat template, and the task's prompts are chats" in warning.text

"""Tasks over rows: data sets read from small files of their own formats, a user's JSON lines, and what is missing."""

from __future__ import annotations

import codecs
import gzip
import json
import sys
import time
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tasks import constraints, registry
from tasks.answers import boxed_answer, number_after_marker, same_mathematics, tagged_answer
from tasks.arithmetic import NotArithmetic, reaches, read
from tasks.base import Item, Split, TaskError, TaskNotFound
from tasks.huggingface import FOLDER, TASKS
from tasks.rows import RowsTask
from tasks.verdicts import verdicts

Rows = Sequence[Mapping[str, Any]]


def write(path: Path, rows: Rows) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


GSM8K = [
    {"question": f"Ann has {n} apples and buys {n}. How many?", "answer": f"<<{n}+{n}={2 * n}>>{2 * n}\n#### {2 * n:,}"}
    for n in range(400, 600)
]
MATH = [
    {
        "problem": f"Find ${n}/2$.",
        "solution": f"It is $\\boxed{{\\frac{{{n}}}{{2}}}}$.",
        "level": f"Level {1 + n % 5}",
        "type": "Algebra",
    }
    for n in range(200)
]
IFEVAL = [
    {
        "key": n,
        "prompt": f"Write about the number {n} without commas, in at least {5 + n % 7} words.",
        "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
        "kwargs": [{"num_words": None}, {"num_words": 5 + n % 7, "relation": "at least"}],
    }
    for n in range(200)
]
FILES: Mapping[str, tuple[Rows, Rows]] = {
    "gsm8k": (GSM8K[:160], [*GSM8K[150:], {"question": "", "answer": "#### 1"}]),
    "math": (MATH[:160], [*MATH[150:], {"problem": "No level", "solution": "\\boxed{1}", "level": "Level ?"}]),
    "ifeval": ([*IFEVAL, {**IFEVAL[0], "instruction_id_list": ["language:response_language"]}], ()),
}
GOOD = {"ifeval": "This is a text of quite a number of words and not one of them is followed by the forbidden sign."}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    for name, (train, test) in FILES.items():
        write(tmp_path / name / "train.jsonl", train)
        if test:
            write(tmp_path / name / "test.jsonl", test)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", sorted(TASKS))
def test_splits_share_no_prompt_and_a_prompt_of_the_test_set_is_never_trained_on(name: str) -> None:
    task = registry.get(name)
    prompts = {split: {item.prompt for item in task.items(split, 10)} for split in Split}
    everything = {split: {item.prompt for item in task._pool()[split]} for split in Split}  # type: ignore[attr-defined]
    assert all(prompts[split] <= everything[split] for split in Split)
    assert not everything[Split.TRAIN] & everything[Split.VALIDATION]
    assert not everything[Split.TRAIN] & everything[Split.TEST]
    assert not everything[Split.VALIDATION] & everything[Split.TEST]
    if name != "ifeval":
        assert len(everything[Split.TEST]) == 50, "the published test set, whole"


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", sorted(TASKS))
def test_rows_are_given_by_seed_and_never_twice_in_a_measurement(name: str) -> None:
    task, again = registry.get(name), registry.get(name)
    assert task.items(Split.TRAIN, 300, seed=3) == again.items(Split.TRAIN, 300, seed=3), "training begins anew"
    assert task.items(Split.TRAIN, 30, seed=3) != task.items(Split.TRAIN, 30, seed=4)
    assert len({item.prompt for item in task.items(Split.TEST, 10)}) == 10
    with pytest.raises(TaskError, match=r"5000 test items are asked for and its rows give \d+; lower"):
        task.items(Split.TEST, 5000)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", sorted(TASKS))
def test_right_completions_score_one_and_junk_scores_zero(name: str) -> None:
    task = registry.get(name)
    for item in task.items(Split.VALIDATION, 10):
        assert task.score(GOOD.get(name) or str(task.gold(item)), item).total == 1.0
        for junk in (
            "",
            " ",
            "0",
            "####",
            "\\boxed{}",
            "\\boxed{",
            "nan",
            "🙂",
            "#### nan",
            "the the the the the the",
            item.prompt,
        ):
            reward = task.score(junk, item)
            assert not reward.correct, junk
            assert reward.total < 1.0


@pytest.mark.usefixtures("folder")
def test_levels_of_mathematics_are_its_difficulty() -> None:
    task = registry.get("math").configured({"difficulty": 2})
    assert {task.level(item) for item in task.items(Split.TRAIN, 40)} == {1, 2}
    assert {task.level(item) for item in task.items(Split.TEST, 50)} == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_missing_data_set_is_one_line_that_says_what_to_download_where(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    monkeypatch.setattr("tasks.huggingface._cached_files", lambda *_: [])
    with pytest.raises(TaskError, match=rf"hf download {TASKS[name].dataset} --repo-type dataset") as caught:
        registry.get(name).items(Split.TRAIN, 1)
    assert str(tmp_path) in str(caught.value)
    assert f"{name}/" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet_files_of_the_hubs_cache_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    for split, rows in zip(("train", "test"), FILES["gsm8k"], strict=True):
        pq.write_table(pa.Table.from_pylist(list(rows)), tmp_path / f"{split}-00000-of-00001.parquet")
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    assert len(registry.get("gsm8k").items(Split.TEST, 50)) == 50


def test_json_lines_of_the_hubs_cache_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "ifeval_input_data.jsonl", IFEVAL)
    monkeypatch.delenv(FOLDER, raising=False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: str(tmp_path))
    pool = registry.get("ifeval")._pool()  # type: ignore[attr-defined]
    assert sum(map(len, pool.values())) == len(IFEVAL)


def test_a_broken_line_is_named(folder: Path) -> None:
    (folder / "gsm8k" / "train.jsonl").write_text('{"question": "q", "answer": "#### 1"}\n{"question"\n')
    with pytest.raises(TaskError, match=r"line 2 of .*train.jsonl' is not JSON"):
        registry.get("gsm8k").items(Split.TRAIN, 1)


# ---- a user's JSON lines -------------------------------------------------------------------------------------------

REWARD = """
MAX_COMPLETION_LENGTH = 12

def reward(completion, row):
    return completion.strip() == row["answer"]

def shaped(completion, row):
    return 0.5 if completion else float("nan")

def text(completion, row):
    return "good"
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    write(tmp_path / "words.jsonl", [{"prompt": f"R {n}=", "answer": str(n)[::-1]} for n in range(100, 200)])
    (tmp_path / "reward.py").write_text(REWARD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("own")
def test_json_lines_and_a_function_are_a_task() -> None:
    task = registry.get("words.jsonl:reward.py:reward")
    assert (task.name, task.max_completion_length, task.chat) == ("words", 12, False)
    items = task.items(Split.TRAIN, 20)
    assert all(task.score(item.answer, item).correct for item in items)
    assert not any(task.score("no", item).correct for item in items)
    assert not {i.prompt for i in task.items(Split.TEST, 5)} & {i.prompt for i in task._pool()[Split.TRAIN]}  # type: ignore[attr-defined]


@pytest.mark.usefixtures("own")
def test_a_reward_that_is_no_finite_number_is_an_error_with_task_item_and_completion() -> None:
    for name, said in (("shaped", "nan, not a finite number"), ("text", "returned 'good', not a finite number")):
        task = registry.get(f"words.jsonl:reward.py:{name}")
        item = task.items(Split.TRAIN, 1)[0]
        [error] = verdicts(task, [""], [item])
        assert isinstance(error, TaskError)
        for part in ("task words", said, repr(item.prompt), "completion ''"):
            assert part in str(error)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("other.jsonl:reward.py:reward", "'other.jsonl' does not exist"),
        ("words.jsonl:reward.py:nothing", "has no function 'nothing'"),
        ("words.jsonl:reward", "names no reward function"),
        ("words.jsonl:other.py:reward", "'other.py' does not exist"),
        ("words.jsonl:reward.py:MAX_COMPLETION_LENGTH", "has no function 'MAX_COMPLETION_LENGTH'"),
    ],
)
@pytest.mark.usefixtures("own")
def test_mistakes_with_json_lines_are_one_line(name: str, message: str) -> None:
    with pytest.raises(TaskNotFound, match=message) as caught:
        registry.get(name)
    assert "\n" not in str(caught.value)


def test_a_row_without_a_prompt_is_named(own: Path) -> None:
    write(own / "words.jsonl", [{"prompt": "a"}, {"answer": "b"}])
    with pytest.raises(TaskError, match=r'line 2 of words.jsonl has no "prompt"'):
        registry.get("words.jsonl:reward.py:reward").items(Split.TRAIN, 1)


PARTS = [{"type": "text", "text": "1"}]
FILLER = [{"prompt": f"R {n}=", "answer": str(n)} for n in range(100)]


def lines(own: Path, *extra: bytes, first: bytes = b"") -> RowsTask:
    """The task of a file whose last lines are `extra`, as bytes."""
    content = [json.dumps(row).encode() for row in FILLER]
    (own / "words.jsonl").write_bytes(first + b"\n".join([*content, *extra]))
    task = registry.get("words.jsonl:reward.py:reward")
    assert isinstance(task, RowsTask)
    return task


def all_items(task: RowsTask) -> dict[str, Item]:
    return {item.prompt: item for split in Split for item in task.rows(split)}


@pytest.mark.parametrize("inside", ["\u2028", "\u2029", "\x85", "\x0c", "\x1e", "\x1c", "\x0b", "\t", "é"])
def test_only_a_newline_ends_a_row(own: Path, inside: str) -> None:
    row = b'{"prompt": "a%sb=", "answer": "x%sy"}' % (inside.encode(), inside.encode())
    items = all_items(lines(own, row + b"\r", b"", first=codecs.BOM_UTF8))
    assert len(items) == len(FILLER) + 1
    assert items[f"a{inside}b="].answer == f"x{inside}y"
    assert "R 0=" in items, "the byte order mark is no part of the first key"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b'{"prompt": "a\\ud83d"}', "line 101 of .* has half of a character .U.D83D"),
        (b'{"prompt": "a", "answer": "\\uDE00"}', "line 101 of .* has half of a character"),
        (b'{"prompt": "a", "answer": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "line 101 of .* nested too deep"),
        (b'{"prompt": "a\xff"}', "line 101 of .* is not UTF-8"),
        (b'{"prompt": "a", "answer": null}', 'line 101 of words.jsonl has null as its "answer"'),
        (b'{"prompt": null, "answer": "a"}', 'line 101 of words.jsonl has no "prompt"'),
        (b'{"prompt": "", "answer": "a"}', r'line 101 of words.jsonl has an empty "prompt" \(""\)'),
        (b'{"prompt": [], "answer": "a"}', r'line 101 of words.jsonl has an empty "prompt" \(\[\]\)'),
        (b'{"prompt": 3, "answer": "a"}', "line 101 of words.jsonl has a .* neither a text nor a list"),
        (b'[{"prompt": "a"}]', "line 101 of .* is a JSON array"),
        (b'{"prompt": "a", "n": ' + b"9" * 10_000 + b"}", "line 101 of .* is not JSON"),
        (b'{"prompt": [{"role": "king", "content": "a"}]}', "line 101 of .*message 1 .* needs a .role."),
        (b'{"prompt": [{"role": "user", "content": [{"type": "image"}]}]}', "part of type 'image'"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(own: Path, line: bytes, message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        lines(own, line).items(Split.TRAIN, 1)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        ('{"prompt": "a"}'.encode("utf-16"), "UTF-16"),
        (gzip.compress(b'{"prompt": "a"}'), "compressed by gzip"),
        (b"PAR1\x15\x04", "a Parquet file"),
    ],
    ids=["utf-16", "gzip", "parquet"],
)
def test_a_file_of_another_kind_is_named(own: Path, content: bytes, kind: str) -> None:
    (own / "words.jsonl").write_bytes(content)
    with pytest.raises(TaskError, match=f"words.jsonl' is {kind}; give one JSON object a line, as UTF-8"):
        registry.get("words.jsonl:reward.py:reward").items(Split.TRAIN, 1)


@pytest.mark.parametrize("content", [b"", b"\n\n \n", codecs.BOM_UTF8])
def test_an_empty_file_is_one_line(own: Path, content: bytes) -> None:
    (own / "words.jsonl").write_bytes(content)
    with pytest.raises(TaskError, match=r"words.jsonl' has no rows"):
        registry.get("words.jsonl:reward.py:reward").items(Split.TRAIN, 1)


def test_rows_that_repeat_a_prompt_are_counted_aloud(own: Path) -> None:
    task = lines(own, b'{"prompt": "R 5=", "answer": "5"}', b'{"prompt": "R 7=", "answer": "other"}')
    assert len(all_items(task)) == len(FILLER)
    [note] = task.notes()
    assert note.startswith("2 rows repeat the prompt of an earlier row and are left out, 1 of them with another answer")
    assert "line 8 of words.jsonl" in note
    assert lines(own).notes() == ()


@pytest.mark.parametrize(
    ("row", "prompt", "answer", "roles"),
    [
        ({"question": "1+1?", "answer": 2}, "1+1?", "2", []),
        ({"problem": "1+1?", "solution": "2"}, "1+1?", "2", []),
        ({"instruction": "Add.", "input": "1 1", "output": "2"}, "Add.\n\n1 1", "2", []),
        ({"prompt": [{"role": "user", "content": "1+1?"}], "answer": "2"}, "1+1?", "2", ["user"]),
        (
            {"prompt": [{"role": "system", "content": "Add."}, {"role": "user", "content": PARTS}]},
            "system: Add.\nuser: 1", "", ["system", "user"],
        ),
        (
            {"messages": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}]},
            "1+1?", "2", ["user"],
        ),
    ],
)  # fmt: skip
def test_columns_and_chats_of_the_hub_are_taken(
    own: Path, row: Mapping[str, Any], prompt: str, answer: str, roles: list[str]
) -> None:
    write(own / "words.jsonl", [row])
    task = registry.get("words.jsonl:reward.py:reward")
    assert isinstance(task, RowsTask)
    [item] = all_items(task).values()
    assert (item.prompt, item.answer) == (prompt, answer)
    assert [each["role"] for each in item.messages] == roles
    assert dict(item.data) == row


def test_a_column_of_another_name_is_named_in_the_reward_file(own: Path) -> None:
    write(own / "words.jsonl", [{"wort": "a", "lösung": "b"}])
    with pytest.raises(TaskError, match=r"line 1 of words.jsonl has no prompt: one of .* its columns: wort, lösung"):
        registry.get("words.jsonl:reward.py:reward").items(Split.TRAIN, 1)
    (own / "reward.py").write_text(REWARD + 'PROMPT_COLUMN = "wort"\nANSWER_COLUMN = "lösung"\n')
    task = registry.get("words.jsonl:reward.py:reward")
    assert isinstance(task, RowsTask)
    assert [item.answer for item in all_items(task).values()] == ["b"]


# ---- answers, arithmetic, constraints ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so <answer> 5 </answer>\n", "5"),
        ("<answer>5</answer> or 6", None),
        ("<answer>5", None),
        ("5", None),
        ("<answer>5</answer><answer>5</answer>", None),
        ("</answer><answer>5</answer>", None),
        ("<answer></answer>", ""),
    ],
)
def test_a_tagged_answer_is_the_only_one_and_the_end(text: str, answer: str | None) -> None:
    assert tagged_answer(text) == answer


def test_boxed_answers_balance_their_braces_and_numbers_lose_their_commas() -> None:
    assert boxed_answer(r"\boxed{1} then \boxed{\frac{1}{2}}.") == r"\frac{1}{2}"
    assert boxed_answer(r"\boxed{\frac{1}{2}") is None
    assert boxed_answer("nothing") is None
    assert number_after_marker("work\n#### $1,234.") == "1234"
    assert number_after_marker("#### 1 #### 2") is None
    assert number_after_marker("#### about 5") is None


@pytest.mark.parametrize(
    ("answer", "gold", "same"),
    [
        (r"\frac12", r"\frac{1}{2}", True),
        ("0.5", r"\frac{1}{2}", True),
        ("x+1", "1+x", True),
        ("1,000", "1000", True),
        ("(1,2)", "(2,1)", False),
        ("6", "5", False),
        ("", "5", False),
        ("junk", "5", False),
        ("[0,1)", "[0,1]", False),
    ],
)
def test_mathematics_is_compared_by_meaning(answer: str, gold: str, same: bool) -> None:
    pytest.importorskip("math_verify")
    assert same_mathematics(answer, gold) is same


@pytest.mark.parametrize("endless", ["9^{9^{9^{9}}}", "10^{10000000}", "9" * 5000, "99999!", "3!!!!", "(" * 5000])
def test_mathematics_that_would_never_end_is_wrong_at_once(endless: str) -> None:
    pytest.importorskip("math_verify")
    began = time.process_time()
    assert not same_mathematics(endless, "5")
    assert time.process_time() - began < 5.0


@pytest.mark.parametrize(
    ("text", "value", "numbers"),
    [
        ("1+2*3", 7, [1, 2, 3]),
        ("(1+2)*3", 9, [1, 2, 3]),
        ("-(4/2)--3", 1, [4, 2, 3]),
        (" 8 / ( 3 - 8 / 3 ) ", 24, [8, 3, 8, 3]),
    ],
)
def test_arithmetic_is_read(text: str, value: int, numbers: list[int]) -> None:
    assert read(text) == (Fraction(value), numbers)
    assert reaches(text, sorted(numbers), value)
    assert not reaches(text, [*numbers, 1], value)
    assert not reaches(text, numbers, value + 1)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1/0",
        "1+",
        "(1",
        "1)",
        "2**3",
        "1 2",
        "1e9",
        "__import__('os')",
        "x",
        "1,2",
        "(" * 100 + "1",
        "-" * 150 + "1",
        "1+" * 300 + "1",
        "٣",
        "1=1",
    ],
)
def test_what_is_no_arithmetic_is_refused(text: str) -> None:
    with pytest.raises(NotArithmetic):
        read(text)


CASES = [
    ("punctuation:no_comma", {}, "a b", "a, b"),
    ("change_case:english_lowercase", {}, "low", "Low"),
    ("change_case:english_capital", {}, "UP", "Up"),
    ("startend:quotation", {}, '"a"', "a"),
    ("startend:end_checker", {"end_phrase": "The end."}, "so. The END.", "The end. So"),
    ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a}"),
    ("detectable_format:title", {}, "<<A title>>\n", "<<>>"),
    ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n* b", "* a"),
    ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a*"),
    ("detectable_content:postscript", {"postscript_marker": "P.S."}, "x\nP.S. y", "x P.S. y"),
    ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[a] [b]", "[a]"),
    ("keywords:existence", {"keywords": ["a", "b"]}, "a b", "ab"),
    ("keywords:forbidden_words", {"forbidden_words": ["bad"]}, "badly", "Bad"),
    ("keywords:frequency", {"keyword": "a", "frequency": 2, "relation": "at least"}, "a A", "a"),
    ("keywords:letter_frequency", {"letter": "e", "let_frequency": 2, "let_relation": "less than"}, "be", "eel"),
    ("length_constraints:number_words", {"num_words": 3, "relation": "less than"}, "a b", "a b c"),
    ("length_constraints:number_sentences", {"num_sentences": 2, "relation": "at least"}, "A. B!", "A."),
    ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a"),
]


@pytest.mark.parametrize(("name", "given", "kept", "broken"), CASES, ids=[case[0] for case in CASES])
def test_constraints_are_checked(name: str, given: dict[str, Any], kept: str, broken: str) -> None:
    assert constraints.known(name, given)
    assert constraints.holds(name, given, kept)
    assert not constraints.holds(name, given, broken)
    assert not given or not constraints.known(name, {}), "an argument that is missing is not guessed"


def test_every_constraint_has_a_case() -> None:
    assert {case[0] for case in CASES} == set(constraints._CHECKS)


def test_naming_a_data_set_imports_neither_torch_nor_datasets() -> None:
    import subprocess

    code = (
        "import sys; from tasks import registry; [registry.get(n) for n in registry.listed()]; "
        "heavy = {'torch', 'transformers', 'datasets', 'reasoning_gym', 'math_verify', 'sympy'} & set(sys.modules); "
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_item_of_a_row_task_is_json(folder: Path) -> None:
    for name in TASKS:
        item = registry.get(name).items(Split.TRAIN, 1)[0]
        assert isinstance(item, Item)
        assert json.loads(json.dumps(dict(item.data))) == dict(item.data)


def test_too_few_rows_for_the_run_file_are_found_before_the_run(own: Path) -> None:
    from engine.run.config import parse
    from engine.run.preflight import check

    text = '[task]\nname = "words.jsonl:reward.py:reward"\n[evaluation]\nvalidation_prompts = 8\nrerank_prompts = 8\n'
    report = check(parse(text + "test_prompts = 999\n", default_name="x"), own / "runs")
    assert any("999 test items are asked for" in each.text for each in report.errors), report.errors

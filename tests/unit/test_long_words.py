"""A message repeats some 80 characters of what a user wrote, be it a key, a value, a name, a path or a column."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.errors import bounded
from llmzero_tui import cli
from tests.unit.cli_process import finished_run

WORD, WORDS = "x" * 4000, "a b " * 1000
FILE = '[task]\nname = "knights"\n[advisor]\nkind = "rules"\n'


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of a command that is the user's mistake; nothing in it or beside it is long."""
    code: object
    try:
        code = cli.main(arguments)
    except SystemExit as left:  # argparse
        code = left.code
    said = capsys.readouterr()
    assert code == 2
    assert said.err.count("\n") == 1
    assert len(said.err) < 450
    for text in (said.err, said.out):
        assert "x" * 161 not in text
        assert "a b " * 41 not in text
    return said.err


@pytest.mark.parametrize("long", [WORD, WORDS], ids=["word", "words"])
@pytest.mark.parametrize(
    "text",
    [
        '"{}" = 1\n' + FILE, '["{}"]\na = 1\n' + FILE, FILE + '[search]\n"{}" = 1\n', 'name = "{}"\n' + FILE,
        FILE + '[search]\nstrategy = "{}"\n', FILE + '[budget]\nsteps = "{}"\n', FILE.replace("knights", "{}"),
        FILE.replace("knights", "{}.py:Mine"), FILE.replace("knights", "mine.py:{}"),
        FILE.replace("knights", "{}.jsonl:reward.py:reward"), FILE + '[model]\npath = "{}"\n',
        FILE + '[model]\npath = "nobody/{}"\n', FILE + '[model]\npath = "/{}"\n',
        FILE + '[model]\npath = "https://hf.co/{}"\n', FILE + '[space."{}"]\nlow = 1\n',
        FILE + '[space.learning_rate]\n"{}" = 1\n', FILE + '[space.learning_rate]\nlow = "{}"\n',
        FILE.replace('"rules"', '"rules"\nhost = "http:// {}"'), FILE.replace('"rules"', '"{}"'),
    ],
)  # fmt: skip
def test_in_a_run_file(text: str, long: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.py").write_text("", encoding="utf-8")
    Path("f.toml").write_text(text.replace("{}", long), encoding="utf-8")
    refused(capsys, "check", "f.toml")


@pytest.mark.parametrize("long", [WORD, WORDS, "d/" * 2000], ids=["word", "words", "path"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "{}"), ("run", "{}"), ("show", "{}"), ("resume", "{}"), ("stop", "{}"), ("attach", "{}"), ("{}",),
        ("ls", "--{}"), ("tasks", "{}"), ("new", "n.toml", "--task", "{}"), ("new", "{}/n.toml"),
        ("demo", "--task", "{}"),
        ("stop", "a", "--timeout", "{}"), ("tail", "a", "-n", "{}"), ("sql", "a", "SELECT 1", "--format", "{}"),
        ("export", "{}", "--to", "x"), ("doctor", "--host", "ftp://{}"), ("show", "a", "--runs-dir", "{}"),
    ],
)  # fmt: skip
def test_on_the_command_line(arguments: tuple[str, ...], long: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, *(each.replace("{}", long) for each in arguments))


@pytest.mark.parametrize("query", ["SELECT {} FROM nodes", "SELECT * FROM {}", "{}", "SELECT '{}' + 1 FROM nodes"])
def test_in_a_query(query: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finished_run(tmp_path / "runs", "one")
    refused(capsys, "sql", "one", query.replace("{}", WORD))


def test_what_is_short_stays_as_it_is() -> None:
    path = "/home/someone/" + "directory/" * 12 + "model"
    lines = [
        f"{path}: no such directory; 'it' is \"that\", and it's so: a, b; c.",
        "search.strategy = 'a b a b…: must be 'llmzero', 'keep-only', 'random-changes', 'continue', 'random'",
    ]
    assert [bounded(line) for line in lines] == lines
    assert bounded(f"key {WORD}: unknown") == f"key {'x' * 79}…: unknown"
    assert bounded(f"task '{WORDS}' is unknown") == f"task '{WORDS[:78]}…' is unknown"

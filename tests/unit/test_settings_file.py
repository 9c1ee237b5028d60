"""The user's settings file: what is wrong with it is one line, and a change leaves everything else as it was."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import UserError
from llmzero_tui.user.preferences import NAMES, TerminalSettings, checked
from llmzero_tui.user.settings import changed, edit, load, path, save, template

MINE = """\
# my terminal
theme = "light"   # the office is bright
notify_command = [
    "/usr/local/bin/page",  # the pager
    "me",
]

[keys]   # as in my editor
"run.approve" = "ctrl+y"
run.prune = ["ctrl+x", "f8"]
# that is all
"""

WRONG = (
    ('thme = "dark"', "unknown key thme; did you mean theme?"),
    ('theme = "drak"', "theme = 'drak': must be 'dark', 'light',"),
    ("refresh_seconds = 0", "refresh_seconds = 0: must be from 0.25 to 60"),
    ("refresh_seconds = inf", "refresh_seconds = inf: must be from 0.25 to 60"),
    ("refresh_seconds = nan", "refresh_seconds = nan: must be a number from 0.25 to 60"),
    ("refresh_seconds = true", "refresh_seconds = True: must be a number from 0.25 to 60"),
    ("theme = ['dark']", "theme = ['dark']: must be 'dark', 'light',"),
    ("bell = 3", "bell = 3: must be true or false"),
    ("bell = 3\nmouse = 'no'\nhue = 1", "unknown key hue; "),
    ("bell = 3\nmouse = 'no'", "mouse = 'no': must be true or false (and 1 more)"),
    ('notify_command = "page me"', "notify_command = 'page me': give a list of words,"),
    ("notify_command = ['']", "notify_command = ['']: the first word is the program and cannot be empty"),
    ("keys = 1", "keys = 1: must be a table, [keys]"),
    ('[keys]\nrun.aprove = "y"', "keys: no action 'run.aprove'; did you mean run.approve?"),
    ('[keys]\nrun.approve = "x"', "keys: run.approve and run.prune are both on 'x'; give one another key"),
    ('[keys]\nrun.approve = "j"', "keys: run.approve = 'j': this key moves, chooses or leaves on every screen"),
    ('[keys]\nrun.approve = "a b"', "keys: 'a b' is no key; write a character, or a name"),
    ("[keys]\nrun.approve = [1]", "keys: run.approve needs a key, or a list of keys"),
    ('[keys]\nsql.run_query = "Q"', "keys: sql.run_query = 'Q': it must work while you type"),
    ("theme = ", "not TOML: "),
    ("a = [" * 3000, "not TOML: "),
)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file of the test's own."""
    file = tmp_path / "settings" / "config.toml"
    monkeypatch.setenv("LLMZERO_CONFIG", str(file))
    return file


def written(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_without_a_file_there_are_the_defaults(file: Path) -> None:
    assert path() == file
    assert load() == TerminalSettings()
    assert not file.exists()


def test_the_place_is_the_users_directory_of_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LLMZERO_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert path() == tmp_path / "llmzero" / "config.toml"


@pytest.mark.parametrize(("text", "line"), WRONG)
def test_a_wrong_file_is_one_line_that_says_what_is_allowed(file: Path, text: str, line: str) -> None:
    written(file, text)
    with pytest.raises(UserError) as error:
        load()
    assert f": {line}" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_that_is_no_text_or_no_file_is_one_line(file: Path) -> None:
    written(file, "").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a text file"):
        load()
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        load(file.parent)


def test_keys_are_written_as_tables_or_as_texts(file: Path) -> None:
    dotted = load(written(file, '[keys]\nrun.approve = "ctrl+y"\nrun.pause = []'))
    quoted = load(written(file, '[keys]\n"run.approve" = ["ctrl+y"]\n"run.pause" = []'))
    assert dotted == quoted
    assert dotted.keymap.changes == (("run.approve", ("ctrl+y",)), ("run.pause", ()))


def test_a_change_touches_its_own_lines_alone(file: Path) -> None:
    written(file, MINE)
    save({"theme": "colour-blind", "bell": True, "keys.run.prune": ["f8"], "keys.run.gate": ["ctrl+g"]})
    assert file.read_text(encoding="utf-8") == (
        MINE.replace('"light" ', '"colour-blind" ')
        .replace("]\n\n[keys]", "]\nbell = true\n\n[keys]")
        .replace('["ctrl+x", "f8"]', '["f8"]\nrun.gate = ["ctrl+g"]')
    )
    assert load().keys == {"run.approve": ("ctrl+y",), "run.prune": ("f8",), "run.gate": ("ctrl+g",)}


def test_a_value_of_several_lines_is_replaced_whole_and_a_key_taken_back_leaves_no_line(file: Path) -> None:
    written(file, MINE)
    save({"notify_command": ["true"], "keys.run.approve": None})
    text = file.read_text(encoding="utf-8")
    assert 'notify_command = ["true"]\n\n[keys]   # as in my editor\nrun.prune' in text
    assert "pager" not in text


def test_a_new_file_has_every_key_with_its_meaning(file: Path) -> None:
    save({"theme": "light"})
    text = file.read_text(encoding="utf-8")
    for name in NAMES:
        assert f"\n# {name} = " in text or f"\n{name} = " in text or f"\n[{name}]" in text
    assert load() == TerminalSettings(theme="light")
    assert file.stat().st_mode & 0o077 == 0
    assert checked(tomllib.loads(template())) == TerminalSettings()


def test_what_is_not_allowed_leaves_the_file_as_it_was(file: Path) -> None:
    written(file, MINE)
    for change in ({"theme": "drak"}, {"keys.run.approve": ["r"]}, {"keys.run.nothing": ["y"]}):
        with pytest.raises(UserError):
            save(change)
        with pytest.raises(UserError):
            changed(TerminalSettings(), change)
    assert file.read_text(encoding="utf-8") == MINE


@pytest.mark.parametrize(
    "text",
    [
        'keys = { "run.prune" = "f8" } # mine\n', 'keys.run.prune = "f8"\n', '[keys.run]\nprune = "f8"\n',
        '["keys"]\n"run.prune" = "f8"\n', '[keys]\nrun = { prune = "f8" }\n',
    ],
)  # fmt: skip
def test_keys_are_changed_in_whatever_form_they_stand(file: Path, text: str) -> None:
    written(file, text)
    save({"keys.run.prune": ["f9"]})
    assert file.read_text(encoding="utf-8") == text.replace('"f8"', '["f9"]')
    save({"keys.run.gate": ["ctrl+g"], "theme": "light"})
    assert load() == TerminalSettings(theme="light", keys={"run.prune": ("f9",), "run.gate": ("ctrl+g",)})


def test_a_link_to_a_file_elsewhere_stays_a_link(file: Path, tmp_path: Path) -> None:
    mine = written(tmp_path / "dotfiles" / "llmzero.toml", MINE)
    file.parent.mkdir(parents=True)
    file.symlink_to(mine)
    save({"theme": "dark"})
    assert file.is_symlink()
    assert 'theme = "dark"   # the office is bright' in mine.read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be written|cannot be read"):
        save({"theme": "light"}, tmp_path / "file" / "config.toml")


WORDS = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
VALUES = st.one_of(WORDS, st.booleans(), st.integers(-5, 5), st.lists(WORDS, max_size=3))


@given(
    before=st.lists(st.tuples(st.sampled_from("abc"), VALUES, WORDS), max_size=4, unique_by=lambda each: each[0]),
    table=st.lists(st.tuples(st.sampled_from(["x.y", "x.z"]), VALUES), max_size=2, unique_by=lambda each: each[0]),
    key=st.sampled_from(["a", "b", "c", "d", "keys.x.y", "keys.x.z"]), value=st.one_of(st.none(), VALUES),
)  # fmt: skip
def test_an_edit_changes_the_key_and_nothing_else(
    before: list[tuple[str, object, str]], table: list[tuple[str, object]], key: str, value: object
) -> None:
    """Whatever values, comments and tables stand in the file."""
    lines = [edit("", name, old).strip() + f"  # {comment}" for name, old, comment in before]
    text = "\n".join([*lines, ""])
    for name, keys in table:
        text = edit(text, f"keys.{name}", keys)
    had, has = tomllib.loads(text), tomllib.loads(edit(text, key, value))
    name = key.removeprefix("keys.")
    old, new = (_flat(each.get("keys", {})) if name != key else each for each in (had, has))
    assert new.get(name) == value
    assert {k: v for k, v in old.items() if k != name} == {k: v for k, v in new.items() if k != name}


def _flat(table: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Keys as "run.approve", whether they stand as tables or as quoted texts."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat

"""The user's settings in a real terminal: no colour at all, wrong settings, keys, the bell, the first start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.terminal.terminals import Terminal
from tests.tui import sample_run
from tests.tui.live_engine import Engine, live

SGR = re.compile(rb"\x1b\[([0-9;:]*)m")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample runs."""
    directory = tmp_path_factory.mktemp("runs")
    sample_run.main(directory)
    return directory


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A settings file of the test's own, not yet there."""
    return tmp_path / "config.toml"


def colours(said: bytes) -> set[bytes]:
    """The parameters of the sequences that choose a colour; 39 and 49, the terminal's own, are none."""
    found = set()
    for match in SGR.finditer(said):
        for number in re.split(b"[;:]", match.group(1)):
            if number and (30 <= int(number) <= 38 or 40 <= int(number) <= 48 or 90 <= int(number) <= 107):
                found.add(match.group(1))
    return found


def attributes(said: bytes) -> set[int]:
    return {int(n) for match in SGR.finditer(said) for n in re.split(b"[;:]", match.group(1)) if n}


def wait_for_engine(runs: Path, terminal: Terminal) -> None:
    terminal.wait_for("Search tree")
    terminal.wait_for("2 waiting")


def test_no_color_sends_no_colour_and_the_cursor_can_still_be_seen(runs: Path, tmp_path: Path) -> None:
    said: dict[str, bytes] = {}
    for no_color in ("", "1"):
        extra = {"NO_COLOR": no_color} if no_color else {}
        terminal = Terminal(tmp_path, "--runs-dir", str(runs), size=(120, 40), **extra)
        for words, keys in (
            ("newest first", "o"), ("by name", ","), ("saved in", "\x1b"), ("by name", "\r"), ("Search tree", "?"),
            ("Approve the proposal", "\x1b"), ("Search tree", ":"), ("SELECT", ""),
        ):  # fmt: skip
            terminal.wait_for(words)
            terminal.send(keys)
        terminal.child.close(force=True)
        said[no_color] = terminal.said
    assert colours(said[""]), "the test sees colours where there are some"
    assert colours(said["1"]) == set()
    assert {1, 7} <= attributes(said["1"]), "bold, and the cursor's line reversed"


def test_wrong_settings_are_one_line_and_no_terminal(runs: Path, tmp_path: Path, settings: Path) -> None:
    settings.write_text('thme = "light"\n', encoding="utf-8")
    terminal = Terminal(tmp_path, "--runs-dir", str(runs), LLMZERO_CONFIG=str(settings))
    said = terminal.rest()
    assert said.strip() == f"llmzero: {settings}: unknown key thme; did you mean theme?"
    assert terminal.child.exitstatus == 2


def test_keys_and_theme_of_the_settings_hold_from_the_start(runs: Path, tmp_path: Path, settings: Path) -> None:
    settings.write_text('theme = "light"\nmouse = false\n[keys]\nruns.sort = "S"\n', encoding="utf-8")
    terminal = Terminal(tmp_path, "--runs-dir", str(runs), LLMZERO_CONFIG=str(settings))
    terminal.wait_for("S Sort")
    terminal.send("o")
    terminal.send("S")
    terminal.wait_for("by name")
    assert b"48;2;243;241;236" in terminal.said, "the light ground"
    assert b"\x1b[?1000h" not in terminal.said, "no mouse"
    terminal.send("q")
    terminal.rest()


@pytest.mark.parametrize("bell", ["true", "false"])
def test_the_bell_rings_in_the_terminal_when_it_is_on(runs: Path, tmp_path: Path, settings: Path, bell: str) -> None:
    settings.write_text(f"bell = {bell}\n", encoding="utf-8")
    with live(runs / "knights-01") as engine:
        engine.writer.update("runs", {"name": "knights-01"}, state="training")
        engine.writer.flush()
        terminal = Terminal(tmp_path, "--runs-dir", str(runs), "attach", "knights-01", LLMZERO_CONFIG=str(settings))
        wait_for_engine(runs, terminal)
        engine.step(40)
        terminal.wait_for("step 40/50")
        rung = bells(terminal.said)
        end(engine)
        terminal.wait_for("knights-01 stopped: a human asked")
        assert bells(terminal.said) - rung == (bell == "true")
        terminal.send("q")
        terminal.rest()


def bells(said: bytes) -> int:
    """How often the bell rang: a BEL that does not end another sequence."""
    return re.sub(rb"\x1b\][^\x07\x1b]*\x07", b"", said).count(b"\x07")


def end(engine: Engine) -> None:
    engine.writer.update("runs", {"name": "knights-01"}, state="stopped", reason="a human asked")
    engine.writer.flush()


def test_the_first_start_tours_and_the_second_does_not(runs: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "llmzero").mkdir(parents=True)
    first = Terminal(tmp_path, "--runs-dir", str(runs), "attach", "knights-00", XDG_STATE_HOME=str(state))
    first.wait_for("1 of 5")
    first.send("\x1b")
    first.until(lambda: "1 of 5" not in first.text, "the tour is over")
    first.send("q")
    assert "Traceback" not in first.rest()
    second = Terminal(tmp_path, "--runs-dir", str(runs), "attach", "knights-00", XDG_STATE_HOME=str(state))
    second.wait_for("Search tree")
    second.wait_for("read from disk")
    second.send("F")
    second.wait_for("frozen")
    assert "1 of 5" not in second.text
    second.send("q")
    second.rest()

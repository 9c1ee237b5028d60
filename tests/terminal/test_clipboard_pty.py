"""What a real terminal is sent when something is copied: one OSC 52 sequence with the text, nothing that drives it."""

from __future__ import annotations

import base64
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal.terminals import Terminal, Tmux
from tests.tui import sample_run
from tests.tui.sample_run import HOSTILE

OSC_52 = re.compile(rb"\x1b\]52;c;([^\x07\x1b]*)(\x07|\x1b\\)")
QUERY = "SELECT 'ünï 漢字 [b]x[/b]' || chr(27) || ']52;c;ZXZpbA==' || chr(7)"
WANTED = "ünï 漢字 [b]x[/b]]52;c;ZXZpbA=="


def prepare(tmp_path: Path) -> str:
    """A sample run, and settings of a user who has seen the tour: their place."""
    sample_run.build(tmp_path / "runs")
    (tmp_path / "xdg" / "llmzero").mkdir(parents=True)
    (tmp_path / "xdg" / "llmzero" / "tour-shown").touch()
    return str(tmp_path / "xdg")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Terminal]:
    xdg = prepare(tmp_path)
    terminal = Terminal(tmp_path, "attach", "knights-01", XDG_CONFIG_HOME=xdg, XDG_STATE_HOME=xdg)
    yield terminal
    terminal.child.close(force=True)


def clear_the_editor(terminal: Terminal) -> None:
    """All of it, by the editor's own key, then gone."""
    terminal.send("\x1b[18~\x7f")


def test_a_copy_reaches_the_terminal_and_a_file_and_cannot_break_out(program: Terminal, tmp_path: Path) -> None:
    program.wait_for("Search tree")
    program.send(":")
    program.wait_for("read-only")
    clear_the_editor(program)
    program.until(lambda: "FROM nodes" not in program.text, "an empty editor")
    program.send(f"\x1b[200~{QUERY}\x1b[201~")
    program.wait_for("chr(7)")
    program.send("\x12")
    program.wait_for("rows 1–1 of 1")
    program.send("\t")
    program.wait_for("y Copy")
    program.send("y")
    program.wait_for("copied ")
    sent = [base64.b64decode(match[1]).decode() for match in OSC_52.finditer(program.said)]
    assert sent == [WANTED]
    assert b"ZXZpbA==\x07" not in program.said
    assert (tmp_path / "xdg" / "llmzero" / "clipboard.txt").read_text() == WANTED


def test_a_node_with_a_hostile_rationale_is_copied_harmlessly(program: Terminal, tmp_path: Path) -> None:
    program.wait_for("Search tree")
    program.wait_for("#13 · reward")
    program.send("jjjj")
    program.until(lambda: "#12 · reward" in program.text, "node 12")
    program.send("Y")
    program.wait_for("copied node 12")
    (match,) = OSC_52.finditer(program.said)
    text = base64.b64decode(match[1]).decode()
    assert text.startswith("knights-01 #12 ")
    assert "[/foo] [b]bold[/b]" in text
    assert not set(text) & set(HOSTILE) & {"\x1b", "\x07", "\u202e", "\u202c"}


def test_leaving_while_a_query_runs_stops_it(program: Terminal) -> None:
    program.wait_for("Search tree")
    program.send(":")
    program.wait_for("read-only")
    clear_the_editor(program)
    program.until(lambda: "FROM nodes" not in program.text, "an empty editor")
    program.send(
        "\x1b[200~SELECT count(*) FROM range(100000000000) a, range(1000) b WHERE a.range % 7 = b.range\x1b[201~"
    )
    program.wait_for("b.range")
    program.send("\x12")
    program.wait_for("esc stops it")
    program.send("\x03")
    program.rest()
    assert program.child.exitstatus == 0


@pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
def test_inside_tmux_its_buffer_has_the_copy(tmp_path: Path) -> None:
    xdg = prepare(tmp_path)
    shell = Tmux(tmp_path, XDG_CONFIG_HOME=xdg, XDG_STATE_HOME=xdg)
    try:
        shell.llmzero("attach", "knights-01")
        shell.wait_for("#13 ◑ interrupted")
        shell.keys("Y")
        shell.wait_for("copied node 13")
        assert shell._tmux("show-buffer").startswith("knights-01 #13 continue, interrupted")
    finally:
        shell.close()

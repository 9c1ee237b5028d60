"""`llmzero report` on real databases: one file without a network, the numbers of `show`, no text as markup."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from engine.run.rundir import RunDirectory
from engine.store.writer import Writer
from llmzero_tui import cli
from llmzero_tui.files.report.page import block, escape, table
from tests.engine.store_engine import checkpoint_row, node_row, run_row, small_search
from tests.unit.cli_process import called, llmzero

HOSTILE = '<script>alert(1)</script> | **bold** [x](javascript:alert(1)) ```\n# heading \x1b[31m\u202e <img src="http://x/y.png">'


class Page(HTMLParser):
    """Tags, addresses and cells of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.cells: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        if tag == "td":
            self.cells.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory whose runs/ holds a run that found something, with hostile text in every foreign column."""
    run = tmp_path / "runs" / "found"
    run.mkdir(parents=True)
    writer = Writer(run / "run.duckdb")
    small_search(writer)
    writer.update("nodes", {"node_id": 3}, rationale=HOSTILE, expected=HOSTILE, note=HOSTILE, label="<b>x</b>")
    writer.update_run(state="finished", reason=HOSTILE, config=json.dumps({"task": {"name": HOSTILE}}))
    for node, text in ((0, "wrong"), (3, HOSTILE)):
        writer.insert(
            "completions", node_id=node, step=50 if node else 0, prompt=HOSTILE, completion=text, answer="a",
            reward=1.0, correct=bool(node), truncated=False, split="validation",
        )  # fmt: skip
    writer.close()
    RunDirectory(run).config.write_text("", encoding="utf-8")
    return tmp_path


def written(place: Path, *words: str, command: Callable[..., CompletedProcess[str]] = called) -> Path:
    done = command("report", *words, "-o", "out", cwd=place)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    return place / "out"


def test_a_report_is_one_html_file_without_the_network_and_a_markdown_with_its_figures(place: Path) -> None:
    out = written(place, "found", command=llmzero)
    assert {path.suffix for path in out.iterdir()} == {".html", ".md", ".svg", ".png"}
    page = Page((out / "report.html").read_text(encoding="utf-8"))
    assert page.addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)
    assert "default-src 'none'" in (out / "report.html").read_text(encoding="utf-8")
    markdown = (out / "report.md").read_text(encoding="utf-8")
    assert all((out / name).is_file() for name in re.findall(r"!\[\w+\]\((\S+)\)", markdown))


def test_a_name_that_ends_in_html_is_one_file_that_is_not_overwritten(place: Path) -> None:
    done = called("report", "found", "--to", "rep.html", cwd=place)
    assert (done.returncode, done.stdout) == (0, "")
    assert "rep.html: tables and figures in one file" in done.stderr
    page = Page((place / "rep.html").read_text(encoding="utf-8"))
    assert page.addresses
    assert all(address.startswith("data:image/svg+xml;base64,") for address in page.addresses)
    assert [each.name for each in place.iterdir() if "rep" in each.name] == ["rep.html"]
    again = called("report", "found", "--to", "rep.html", cwd=place)
    assert again.returncode == 2
    assert "rep.html exists and is not overwritten" in again.stderr
    other = called("report", "found", "--to", "rep.pdf", cwd=place)
    assert other.returncode == 2
    assert other.stderr == ("llmzero: rep.pdf: give a name that ends in .html, or a directory (with report.md)\n")
    assert not (place / "rep.pdf").exists()


def a_search(writer: Writer) -> None:
    small_search(writer)


def stopped(writer: Writer) -> None:
    """Nobody has measured the test prompts yet."""
    small_search(writer)
    writer.rows("DELETE FROM evaluations")
    writer.update_run(state="stopped", reason="stopped by ann")


def failed(writer: Writer) -> None:
    """The base has a score, nothing else."""
    run_row(writer, state="failed")
    node_row(writer, 0)
    checkpoint_row(writer, 0, 0, 7, 9)
    node_row(writer, 1, 0, 0, state="crashed", reason="the worker exited with code 3", trained_steps=0)


def steered(writer: Writer) -> None:
    """A soup is reported; a human wrote a note, branched, pruned and was refused."""
    small_search(writer)
    soup = {"node_id": 3, "step": 50, "path": "segments/soup", "policy": "soup of 2", "members": "[[3,50],[1,30]]"}
    for kind, split in (("soup", "validation"), ("final", "test")):
        writer.insert(
            "evaluations", **soup, kind=kind, split=split, seed=1, n=100, greedy=81, sampled=75, seconds=1.5
        )  # fmt: skip
    writer.update_run(
        best_node=3, best_step=50, best_path="segments/soup", policy="soup of 2", members="[[3,50],[1,30]]"
    )
    writer.update("nodes", {"node_id": 4}, pruned=True, note="no further", advisor="human")
    command = writer.next_id("commands")
    writer.insert("commands", command_id=command, kind="expand", node_id=4, payload={}, author="ann")
    writer.insert("command_results", command_id=command, state="refused", message="there is no node #44")


KINDS = (a_search, stopped, failed, steered)


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_show(
    kind: Callable[[Writer], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "one"
    run.mkdir()
    writer = Writer(run / "run.duckdb")
    kind(writer)
    writer.close()
    RunDirectory(run).config.write_text("", encoding="utf-8")
    assert cli.main(["--runs-dir", str(tmp_path), "show", "one", "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert cli.main(["--runs-dir", str(tmp_path), "report", "one", "-o", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    measured = [shown[f"{who}_{split}"] for who in ("base", "best") for split in ("validation", "test")]
    for score in filter(None, measured):
        assert f"{score['value']:.3f}" in page.cells
        assert f"{score['low']:.3f}–{score['high']:.3f}" in page.cells
        assert str(score["n"]) in page.cells
    assert ("Test score of the base model" in text) == all(shown[f"{who}_test"] for who in ("base", "best"))
    assert f"{shown['steps']} GRPO step" in text
    for stage in shown["stages"]:
        assert f"#{stage['node']}" in page.cells
        assert str(stage["steps"]) in page.cells
    for each in shown["dynamics"]:
        assert each["parameter"] in page.cells


def test_hostile_text_is_shown_and_never_markup(place: Path) -> None:
    text = (written(place, "found") / "report.html").read_text(encoding="utf-8")
    page = Page(text)
    assert not {"script", "b", "strong", "a", "iframe"} & set(page.tags)
    assert page.tags.count("h1") == 1
    assert "&lt;script&gt;" in text
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_no_control_character_of_any_foreign_text_gets_into_the_report(place: Path) -> None:
    evil = "change\x1b[31m\x07\u202e<b>*evil*</b>"
    writer = Writer(place / "runs" / "found" / "run.duckdb")
    writer.update("nodes", {"node_id": 3}, rationale=evil, expected=evil, note=evil, label=evil, intent=evil)
    writer.update("nodes", {"node_id": 1}, state=evil, reason=evil, optimizer=evil, reference=evil, advisor=evil)
    writer.close()
    out = written(place, "found")
    for name in ("report.md", "report.html"):
        text = (out / name).read_text(encoding="utf-8")
        assert "evil" in text
        assert not set(text) & {"\x1b", "\x07", "\u202e"}
    assert "b" not in Page((out / "report.html").read_text(encoding="utf-8")).tags


def test_several_runs_stand_in_one_document(place: Path) -> None:
    run = place / "runs" / "second"
    run.mkdir()
    writer = Writer(run / "run.duckdb")
    run_row(writer, state="failed")
    node_row(writer, 0)
    writer.close()
    RunDirectory(run).config.write_text("", encoding="utf-8")
    page = Page((written(place, "found", "second") / "report.html").read_text(encoding="utf-8"))
    assert page.tags.count("h1") == 2
    assert page.cells[0] == "found"
    assert {"second", "failed"} <= set(page.cells)


def test_nothing_is_overwritten_and_an_unknown_run_is_one_line(place: Path) -> None:
    (place / "out").mkdir()
    done = called("report", "found", "-o", "out", cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert "exists and is not overwritten" in done.stderr
    assert called("report", "nowhere", cwd=place).returncode == 2


@pytest.mark.parametrize(
    ("text", "same"),
    [("0.189", "0.189"), ("1. one", "1\\. one"), ("- x", "\\- x"), ("1e-4", "1e-4"), ("a|b", "a\\|b")],
)
def test_every_sign_of_a_foreign_text_stands_for_itself(text: str, same: str) -> None:
    assert escape(text) == same


def test_a_fence_is_longer_than_any_in_the_text_and_a_cell_holds_no_line() -> None:
    assert block("a ```` b").startswith("`````text\n")
    assert table(["x"], [["a\nb"]]).count("\n") == 2

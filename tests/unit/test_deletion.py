"""Deleting a run takes its directory and nothing else, and refuses what it should not touch."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.run.rundir import Holder, RunDirectory, RunLock
from llmzero_tui.files.deletion import delete_run
from tests.unit.cli_process import finished_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A finished run beside another one."""
    finished_run(tmp_path / "runs", "other")
    return finished_run(tmp_path / "runs", "mine").path


def refused(run: Path, runs_dir: Path, why: str) -> None:
    before = sorted(run.rglob("*"))
    with pytest.raises(UserError, match=why) as error:
        delete_run(run, runs_dir)
    assert "\n" not in str(error.value)
    assert sorted(run.rglob("*")) == before


def test_a_run_goes_with_all_its_files_and_the_others_stay(run: Path) -> None:
    others = sorted((run.parent / "other").rglob("*"))
    delete_run(run, run.parent)
    assert [path.name for path in run.parent.iterdir()] == ["other"]
    assert sorted((run.parent / "other").rglob("*")) == others


def test_links_inside_are_removed_and_not_followed(run: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "model").write_text("weights")
    (run / "segments" / "link").symlink_to(precious)
    (run / "file").symlink_to(precious / "model")
    delete_run(run, run.parent)
    assert (precious / "model").read_text() == "weights"


def test_a_run_that_an_engine_holds_is_refused_with_its_name(run: Path) -> None:
    lock = RunLock(RunDirectory(run), Holder(os.getpid(), "0", "2026-03-02T09:00:00Z"))
    try:
        refused(run, run.parent, f"held by engine {os.getpid()} since 2026-03-02")
    finally:
        lock.release()
    delete_run(run, run.parent)


def test_a_link_to_a_run_is_refused(run: Path, tmp_path: Path) -> None:
    link = run.parent / "link"
    link.symlink_to(run)
    refused(link, run.parent, "is a link to")
    assert link.is_symlink()


def test_what_lies_elsewhere_is_refused(run: Path, tmp_path: Path) -> None:
    refused(run, tmp_path, "is not in")
    refused(run / "segments", run, r"has no run\.duckdb")


def test_what_is_no_run_is_refused(run: Path) -> None:
    plain = run.parent / "plain"
    plain.mkdir()
    (plain / "letter").write_text("dear")
    refused(plain, run.parent, "not a run")
    linked = run.parent / "linked"
    linked.mkdir()
    (linked / "run.duckdb").symlink_to(run / "run.duckdb")
    refused(linked, run.parent, "not a run")

"""What is taken away from a run by `w`: every kind of file, read back; nothing blocks, errors are one line."""

from __future__ import annotations

import threading
import tomllib
import xml.etree.ElementTree as ET
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from textual.pilot import Pilot
from textual.widgets import Input, OptionList

from llmzero_tui.files import export_jobs
from llmzero_tui.screens.dialogs import Choose
from llmzero_tui.screens.place import AskFile
from llmzero_tui.screens.progress import ProgressScreen
from llmzero_tui.screens.run import RunScreen
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine

POLICY = "segments/13/checkpoint-25"


@asynccontextmanager
async def opened(run: Path, size: tuple[int, int] = (120, 40)) -> AsyncIterator[tuple[Pilot[int], RunScreen]]:
    app = app_on(run)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        assert isinstance(app.screen, RunScreen)
        yield pilot, app.screen


async def write(pilot: Pilot[int], name: str, place: Path | str) -> None:
    """Press w, choose, name the file."""
    await pilot.press("w")
    await until(pilot, lambda: isinstance(pilot.app.screen, Choose) and pilot.app.screen.is_mounted, "the choice")
    options = pilot.app.screen.query_one(OptionList)
    while options.get_option_at_index(options.highlighted or 0).id != name:
        await pilot.press("down")
    await pilot.press("enter")
    await until(pilot, lambda: isinstance(pilot.app.screen, AskFile) and pilot.app.screen.is_mounted, "the name")
    pilot.app.screen.query_one(Input).value = str(place)
    await pilot.press("enter")


def told(pilot: Pilot[int]) -> str:
    return "\n".join(str(each.message) for each in pilot.app._notifications)


async def until_told(pilot: Pilot[int], words: str) -> None:
    await until(pilot, lambda: words in told(pilot), words)


def put_policy(run: Path, size: int = 3_000) -> None:
    policy = run / POLICY
    policy.mkdir(parents=True)
    for name in ("config.json", "optimizer.pt"):
        (policy / name).write_text("{}")
    (policy / "model.safetensors").write_bytes(b"x" * size)


@pytest.mark.parametrize("alive", [True, False])
async def test_the_best_policy_is_copied_with_strategy_and_card(
    run: Path, tmp_path: Path, alive: bool, request: pytest.FixtureRequest
) -> None:
    put_policy(run)
    if alive:
        request.getfixturevalue("engine")
    async with opened(run) as (pilot, _):
        await write(pilot, "policy", tmp_path / "best")
        await until_told(pilot, f"wrote {tmp_path / 'best'}: the policy of knights-01")
        assert "3.0 KB" in told(pilot)
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen), "the dialog goes by itself")
    assert {p.name for p in (tmp_path / "best").iterdir()} == {
        "config.json", "model.safetensors", "strategy.toml", "README.md",
    }  # fmt: skip


async def test_a_long_copy_shows_how_far_it_is_and_can_be_stopped(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_policy(run, 40 << 20)
    shown: list[tuple[int, int]] = []
    async with opened(run) as (pilot, _):
        real = export_jobs.ExportJob._progress

        def slow(job: export_jobs.ExportJob, done: int, total: int) -> bool:
            """As on a slow disk: it goes on once the screen has shown it."""
            shown.append((done, total))
            real(job, done, total)
            return job._stop.wait(20)

        monkeypatch.setattr(export_jobs.ExportJob, "_progress", slow)
        await write(pilot, "policy", tmp_path / "best")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProgressScreen) and shown, "the progress")
        await until(pilot, lambda: "of 41.9 MB" in str(pilot.app.screen.query_one("#words").render()), "the figures")
        await pilot.press("x")
        await until_told(pilot, "the copy was stopped and removed")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen), "the dialog goes by itself")
    assert [p.name for p in tmp_path.iterdir() if "best" in p.name or p.name.startswith(".llmzero")] == []


async def test_a_hidden_copy_goes_on_and_its_end_is_told(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_policy(run)
    async with opened(run) as (pilot, _):
        real = export_jobs.ExportJob._progress
        go = threading.Event()

        def slow(job: export_jobs.ExportJob, done: int, total: int) -> bool:
            go.wait(20)
            return real(job, done, total)

        monkeypatch.setattr(export_jobs.ExportJob, "_progress", slow)
        await write(pilot, "policy", tmp_path / "best")
        await until(pilot, lambda: isinstance(pilot.app.screen, ProgressScreen), "the progress")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen), "the run again")
        assert not told(pilot)
        await pilot.press("colon")
        go.set()
        await until_told(pilot, "wrote ")
    assert (tmp_path / "best" / "model.safetensors").exists()


async def test_a_policy_whose_files_are_gone_is_one_line(run: Path, tmp_path: Path) -> None:
    async with opened(run) as (pilot, _):
        await write(pilot, "policy", tmp_path / "best")
        await until_told(pilot, "nothing written: run knights-01: the files of #13 step 25")
        assert "\n" not in told(pilot)
    assert not (tmp_path / "best").exists()


async def test_a_snapshot_has_every_row(run: Path, engine: Engine, tmp_path: Path) -> None:
    async with opened(run) as (pilot, _):
        await write(pilot, "database", tmp_path / "copy.duckdb")
        await until_told(pilot, f"wrote {tmp_path / 'copy.duckdb'}: the database, ")
    with duckdb.connect(str(tmp_path / "copy.duckdb"), read_only=True) as copy:
        found = copy.sql("SELECT count(*) FROM metrics").fetchall()
    assert found == [tuple(engine.writer.rows("SELECT count(*) AS n FROM metrics")[0].values())]


async def test_the_strategy_is_toml(run: Path, tmp_path: Path) -> None:
    async with opened(run) as (pilot, _):
        await write(pilot, "strategy", tmp_path / "s.toml")
        await until_told(pilot, "the strategy, 4 stages")
    stages = tomllib.loads((tmp_path / "s.toml").read_text())["stage"]
    assert [(stage["node"], stage["steps"]) for stage in stages] == [(1, 50), (5, 50), (10, 50), (13, 25)]


async def test_the_metrics_of_a_node_and_of_its_way_are_read_back(run: Path, engine: Engine, tmp_path: Path) -> None:
    async with opened(run) as (pilot, screen):
        screen.look_at(12)
        await write(pilot, "node", tmp_path / "n.parquet")
        await until_told(pilot, "n.parquet: 210 rows")
        await write(pilot, "trajectory", tmp_path / "l.csv")
        await until_told(pilot, "l.csv: ")
    rows = pq.read_table(tmp_path / "n.parquet").to_pylist()
    assert {row["node_id"] for row in rows} == {12}
    assert {row["total_steps"] - row["step"] for row in rows} == {75}
    with duckdb.connect() as connection:
        ways = connection.read_csv(str(tmp_path / "l.csv")).aggregate("node_id, max(step)", "node_id").fetchall()
    assert dict(ways) == {1: 50, 5: 25, 12: 21}


async def test_a_picture_is_of_the_run_not_of_the_question(run: Path, tmp_path: Path) -> None:
    async with opened(run) as (pilot, _):
        await write(pilot, "picture", tmp_path / "p.svg")
        await until_told(pilot, "a picture of the screen")
    text = "".join(ET.parse(tmp_path / "p.svg").getroot().itertext()).replace("\xa0", " ")
    assert "Search tree" in text
    assert "Write to a file" not in text
    assert "\x1b" not in text


@pytest.mark.parametrize("name", ["policy", "database"])
async def test_what_is_there_is_never_replaced(run: Path, tmp_path: Path, name: str) -> None:
    place = tmp_path / "there.duckdb"
    place.write_text("precious")
    async with opened(run, (80, 24)) as (pilot, _):
        await write(pilot, name, place)
        await pilot.press("enter")
        assert "exists and is not overwritten" in str(pilot.app.screen.query_one("#wrong").render())
        assert isinstance(pilot.app.screen, AskFile)
    assert place.read_text() == "precious"


async def test_escape_writes_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    before = {p.name for p in tmp_path.iterdir()}
    async with opened(run) as (pilot, _):
        await pilot.press("w")
        await until(pilot, lambda: isinstance(pilot.app.screen, Choose), "the choice")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen), "the run")
        assert not told(pilot)
    assert {p.name for p in tmp_path.iterdir()} - before <= {"xdg"}

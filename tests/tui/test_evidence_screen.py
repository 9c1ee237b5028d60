"""The evidence screen: how far a comparison is, its tables and curves, live, and whatever is missing or hostile."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from textual.pilot import Pilot

from engine.compare.plan import load
from engine.compare.report import RUNS, PlannedComparison
from engine.compare.statistics import Against
from engine.errors import UserError
from llmzero_tui.app import LLMZeroApp
from llmzero_tui.feeds.evidence import EvidenceFeed
from llmzero_tui.screens.evidence import EvidenceScreen
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.values.curves import Axis, AxisWindow
from llmzero_tui.values.evidence import EvidenceView
from llmzero_tui.widgets.evidence import EvidenceTable, beside, pages
from llmzero_tui.widgets.keybar import KeyBar
from tests.tui import sample_plan
from tests.tui.conftest import until
from tests.tui.live_engine import Engine
from tests.tui.sample_run import NOW
from tests.tui.test_compare import text_of
from tests.tui.test_sizes import SIZES, drawn, settled


@pytest.fixture
def comparison(tmp_path: Path) -> PlannedComparison:
    return sample_plan.half_measured(tmp_path)


def feed_of(comparison: PlannedComparison, runs: Path) -> EvidenceFeed:
    return EvidenceFeed(comparison, runs, lambda: NOW, runs_seconds=0)


# ---- what is read ------------------------------------------------------------------------------------------------


def test_the_table_comes_with_the_second_look_and_stays_while_nothing_is_measured(
    comparison: PlannedComparison, tmp_path: Path
) -> None:
    feed = feed_of(comparison, tmp_path / "runs")
    first = feed.read(EvidenceView())
    assert first.table is None
    assert (first.measured, first.planned, first.stale, first.replays) == (22, 36, 1, None)
    assert first.seconds_left is None, "no run goes on"
    second, third = feed.read(EvidenceView()), feed.read(EvidenceView())
    assert second.table is not None
    assert second.table.title == "Test scores"
    assert third.table is second.table
    assert third.curves is second.curves
    sample_plan.measure(comparison, comparison.cells[-1])
    fourth = feed.read(EvidenceView())
    assert (fourth.measured, fourth.stale) == (23, 1)
    assert fourth.table != second.table


def test_curves_are_of_one_task_along_the_measure_of_compute_that_is_asked_for(
    comparison: PlannedComparison, tmp_path: Path
) -> None:
    feed = feed_of(comparison, tmp_path / "runs")
    for axis, end in ((Axis.CLOCK, 10.0), (Axis.STEPS, 50.0), (Axis.TOKENS, 1800.0)):
        found = feed.read(EvidenceView(task="chain", axis=axis))
        assert [curve.strategy for curve in found.curves] == ["ours", "fixed", "grid", "tpe", "pbt"]
        assert {curve.trace.whole for curve in found.curves} == {end}
        assert found.curves[0].trace.points[-1].value == pytest.approx(0.5)
        assert found.curves[0].seeds == 2


def test_a_file_of_results_that_is_not_there_yet_is_an_empty_comparison(tmp_path: Path) -> None:
    comparison = sample_plan.planned(tmp_path)
    feed = feed_of(comparison, tmp_path / "none")
    for title in feed.read(EvidenceView()).titles:
        found = feed.read(EvidenceView(title=title))
        assert found.table is not None
        assert (found.measured, found.cells, found.curves, found.runs) == (0, (), (), ())
    sample_plan.measure(comparison, comparison.cells[0])
    assert feed.read(EvidenceView()).measured == 1


def test_runs_are_looked_at_now_and_then_and_results_always(
    comparison: PlannedComparison, runs: Path, engine: Engine
) -> None:
    sample_plan.give_run(runs, comparison.cells[-1], "knights-01")
    feed = EvidenceFeed(comparison, runs, lambda: NOW, runs_seconds=3600)

    def spent() -> list[float]:
        return [row.run.spent for row in feed.read(EvidenceView()).cells if row.run is not None]

    for _ in runs.iterdir():  # a look reads one of those at rest, at least
        spent()
    before = spent()
    engine.writer.insert("budget", steps=1200, nodes=13, trainer_seconds=400.0, wall_seconds=900.0, fraction=0.87)
    engine.writer.flush()
    assert spent() == before
    sample_plan.measure(comparison, comparison.cells[-2])
    assert feed.read(EvidenceView()).measured == 23
    feed.runs_seconds = 0
    assert spent() == [0.87]
    feed.close()


def test_results_that_cannot_be_read_are_a_mistake_in_one_line(tmp_path: Path) -> None:
    comparison = sample_plan.planned(tmp_path)
    comparison.results.mkdir()
    with pytest.raises(UserError, match=r"plan\.jsonl: cannot be read"):
        feed_of(comparison, tmp_path / "runs").read(EvidenceView())


def test_cells_that_go_on_come_before_those_that_failed_and_stale_lines(
    comparison: PlannedComparison, runs: Path, engine: Engine
) -> None:
    pending = [cell for cell in comparison.cells if cell.seed == 3]
    sample_plan.give_run(runs, pending[0], "sums-02")
    live = sample_plan.give_run(runs, pending[1], "knights-01")
    feed = feed_of(comparison, runs)
    feed.read(EvidenceView())
    found = feed.read(EvidenceView())
    assert [(row.title, row.state) for row in found.cells] == [
        (pending[1].title, "training"), (pending[0].title, "failed"), ("chain/topk/3", "stale"),
    ]  # fmt: skip
    assert (found.running, found.failed) == (1, 1)
    run = found.cells[0].run
    assert run is not None
    assert run.path == live
    standing = comparison.standing()
    assert found.seconds_left == standing.seconds_left([(run.spent, run.wall_seconds)], 1, 1)
    (runs / pending[0].run_name).unlink()
    assert [row.state for row in feed.read(EvidenceView()).cells] == ["training", "stale"]
    feed.close()


def test_replays_count_and_their_runs_are_cells_too(tmp_path: Path, runs: Path, engine: Engine) -> None:
    comparison = sample_plan.planned(tmp_path)
    plan = comparison.plan.model_copy(update={"replays": 1})
    comparison = replace(comparison, plan=plan, cells=comparison.cells[:1])
    nodes = [{"id": 0, "steps": 0}, {"id": 1, "parent": 0, "branch_step": 0, "steps": 50}]
    sample_plan.measure(comparison, comparison.cells[0], nodes=nodes)
    (again,) = comparison.replays(comparison.standing())
    sample_plan.give_run(runs, again, "knights-01")
    feed = feed_of(comparison, runs)
    feed.read(EvidenceView())
    found = feed.read(EvidenceView(title="The schedule again on unseen seeds"))
    assert (found.measured, found.planned, found.replays_measured, found.replays) == (1, 1, 0, 1)
    assert [row.title for row in found.cells] == ["ladder/ours.replay/10001"]
    assert found.seconds_left is not None, "the cells are measured, so that it is of the replays"
    assert found.table is not None
    assert found.table.title == "The schedule again on unseen seeds"
    feed.close()


def test_the_first_strategy_stays_in_the_plot_beside_four_others_at_a_time(
    comparison: PlannedComparison, tmp_path: Path
) -> None:
    curves = feed_of(comparison, tmp_path / "runs").read(EvidenceView()).curves
    assert pages(curves) == 2
    names = [[each.letter + each.curve.strategy for each in beside(curves, page)] for page in range(3)]
    assert names[0] == ["Aours", "Bfixed", "Cgrid", "Dtpe", "Epbt"] == names[2]
    assert names[1] == ["Aours", "Btopk"]
    assert beside((), 1) == ()


# ---- on the screen -----------------------------------------------------------------------------------------------


@asynccontextmanager
async def shown(
    comparison: PlannedComparison, runs: Path, size: tuple[int, int] = (120, 40), *, ascii: bool = False,
    against: Against = "seconds",
) -> AsyncIterator[tuple[Pilot[int], EvidenceScreen]]:  # fmt: skip
    """The app that begins with the comparison."""

    def first(app: LLMZeroApp) -> EvidenceScreen:
        return EvidenceScreen(EvidenceFeed(comparison, runs, app.clock, app.opener), against)

    app = LLMZeroApp(runs, first=first, ascii=ascii, clock=lambda: NOW)
    async with app.run_test(size=size) as pilot:
        screen = app.screen
        await until(pilot, lambda: isinstance(app.screen, EvidenceScreen), "the screen")
        screen = app.screen
        assert isinstance(screen, EvidenceScreen)
        yield pilot, screen


async def on_table(pilot: Pilot[int], screen: EvidenceScreen, title: str) -> None:
    """Press the key of the next table until this one is there."""
    await until(pilot, lambda: screen.query_one(EvidenceTable).title, "a table")
    while screen.query_one(EvidenceTable).title != title:
        before = screen.query_one(EvidenceTable).title
        await pilot.press("n")
        await until(pilot, lambda before=before: screen.query_one(EvidenceTable).title != before, "another table")  # type: ignore[misc]


@pytest.mark.parametrize("size", [(120, 40), (80, 24)])
async def test_progress_table_and_curves_stand_on_one_screen(
    comparison: PlannedComparison, runs: Path, engine: Engine, size: tuple[int, int]
) -> None:
    sample_plan.give_run(runs, comparison.cells[-1], "knights-01")
    async with shown(comparison, runs, size) as (pilot, _):
        await until(pilot, lambda: "1 running" in text_of(pilot.app), "the run that goes on")
        await until(pilot, lambda: "Test scores · 1 of 5" in text_of(pilot.app), "the table")
        text = text_of(pilot.app)
        for words in (
            "22 of 36 measured", "1 stale", "● training", "chain/topk/3", "ladder (up to 3 seeds)", "0.794", "(2)",
            "ladder · best validation score so far", "A ── ours", "E ── pbt", "5 of 6 strategies",
        ):  # fmt: skip
            assert words in text, words
        engine.writer.insert("budget", steps=1200, nodes=13, trainer_seconds=400.0, wall_seconds=900.0, fraction=0.87)
        engine.writer.flush()
        await until(pilot, lambda: "87%" in text_of(pilot.app), "a run that moves on")
        sample_plan.measure(comparison, comparison.cells[-1])
        await until(pilot, lambda: "23 of 36 measured" in text_of(pilot.app), "a line that is appended")
        await until(pilot, lambda: "none running" in text_of(pilot.app), "its run is no cell of the others any more")


async def test_keys_turn_tables_tasks_axes_and_strategies(comparison: PlannedComparison, runs: Path) -> None:
    async with shown(comparison, runs, against="tokens") as (pilot, screen):
        await on_table(pilot, screen, "Compute")
        await pilot.press("p")
        await until(pilot, lambda: "Probability of improvement · 3 of 5" in text_of(pilot.app), "the table before")
        await until(pilot, lambda: "nothing measured yet" in text_of(pilot.app), "two seeds say nothing")
        plot = screen.panel.plot
        await until(pilot, lambda: plot.axis is Axis.TOKENS, "tokens, as --against says")
        for axis, words in ((Axis.CLOCK, "trainer seconds"), (Axis.STEPS, "GRPO steps")):
            await pilot.press("u")
            await until(pilot, lambda axis=axis: plot.axis is axis, f"against {words}")  # type: ignore[misc]
            assert words in str(plot.border_subtitle)
        await pilot.press("plus")
        assert screen.panel.selection.window == AxisWindow(12.5, 37.5)
        assert "steps 12–38" in str(plot.border_subtitle)
        await pilot.press("right_square_bracket")
        await until(pilot, lambda: str(plot.border_title).startswith("chain · best"), "the next task")
        assert screen.panel.selection.window is None, "what was seen of another task"
        assert not screen.check_action("strategies", ()), "all five are in the plot"
        await pilot.press("left_square_bracket")
        await until(pilot, lambda: str(plot.border_title).startswith("ladder · best"), "the task before")
        await pilot.press("s")
        await until(pilot, lambda: "B ── topk" in text_of(pilot.app), "the others")
        await pilot.press("z")
        await until(pilot, lambda: "Compute" not in text_of(pilot.app) and plot.size.height > 30, "the plot alone")
        await pilot.press("escape")
        await until(pilot, lambda: screen.query_one(EvidenceTable).display, "everything again")
        await pilot.press("question_mark")
        await until(pilot, lambda: "Plot the next strategies" in text_of(pilot.app), "the help")


async def test_enter_opens_the_run_of_a_row_and_says_when_it_is_gone(
    comparison: PlannedComparison, runs: Path, engine: Engine
) -> None:
    first = comparison.cells[0]
    sample_plan.give_run(runs, first, "knights-00")
    async with shown(comparison, runs) as (pilot, screen):
        await on_table(pilot, screen, "Test scores")
        assert "enter Open" not in str(screen.query_one(KeyBar).render())
        await on_table(pilot, screen, RUNS)
        await until(pilot, lambda: "enter Open" in str(screen.query_one(KeyBar).render()), "its key")
        await until(pilot, lambda: screen.snapshot and first.run_name in screen.snapshot.present, "the run")
        await pilot.press("down", "enter")
        await until(pilot, lambda: pilot.app._notifications, "that there is none")
        (notice,) = pilot.app._notifications
        assert f"has no run {comparison.cells[1].run_name}" in notice.message
        assert pilot.app.screen is screen
        await pilot.press("up", "enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen) and pilot.app.screen.snapshot, "the run")
        await pilot.press("backspace")
        await until(pilot, lambda: pilot.app.screen is screen, "the comparison again")
        assert screen.query_one(EvidenceTable).title == RUNS


async def test_a_running_cell_is_opened_from_its_line(
    comparison: PlannedComparison, runs: Path, engine: Engine
) -> None:
    path = sample_plan.give_run(runs, comparison.cells[-1], "knights-01")
    async with shown(comparison, runs) as (pilot, screen):
        await until(pilot, lambda: "● training" in text_of(pilot.app), "the cell")
        screen.query_one("#cells").focus()
        await until(pilot, lambda: "enter Open" in str(screen.query_one(KeyBar).render()), "its key")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen), "the run")
        assert isinstance(pilot.app.screen, RunScreen)
        assert pilot.app.screen.feed.path == path


async def test_the_cursor_stays_with_its_run_when_another_is_measured(
    comparison: PlannedComparison, runs: Path
) -> None:
    async with shown(comparison, runs, (80, 24)) as (pilot, screen):
        await on_table(pilot, screen, RUNS)
        grid = screen.query_one(EvidenceTable)
        await pilot.press(*["down"] * 14)
        before = [str(cell) for cell in grid.get_row_at(grid.cursor_row)][:3]
        missing = next(c for c in comparison.cells if (c.task, c.strategy, c.seed) == ("chain", "topk", 1))
        sample_plan.measure(comparison, missing)
        await until(pilot, lambda: grid.row_count == 23, "the new row above")
        assert grid.cursor_row == 15
        assert [str(cell) for cell in grid.get_row_at(15)][:3] == before


async def test_hostile_names_and_results_are_text(tmp_path: Path, runs: Path) -> None:
    hostile = r"[b]x[/]\u001b[6660mEVIL\u202e[@click=app.quit]y"
    comparison = sample_plan.planned(tmp_path, sample_plan.PLAN.replace('"chain"', f'"{hostile}"'))
    evil = load(tmp_path / "plan.toml").tasks[1]
    odd = "\x1b[6660m[/]\u202e\x07" * 20
    cells = [cell for cell in comparison.cells if cell.seed == 1]
    sample_plan.measure(comparison, *cells, revisions=[odd])
    sample_plan.measure(comparison, comparison.cells[-1], settings_hash="0" * 10)
    (runs / comparison.cells[-2].run_name).mkdir()
    (runs / comparison.cells[-2].run_name / "run.duckdb").write_bytes(b"no database" * 100)
    for ascii, size in ((True, (80, 24)), (False, (120, 40))):
        async with shown(comparison, runs, size, ascii=ascii) as (pilot, screen):
            await until(pilot, lambda: screen.query_one(EvidenceTable).title, "a table")
            await pilot.press("right_square_bracket")
            await until(pilot, lambda: screen.snapshot and screen.snapshot.task == evil, "the hostile task")
            for title in screen.snapshot.titles if screen.snapshot else ():
                await on_table(pilot, screen, title)
                await pilot.pause()
                text = text_of(pilot.app)
                assert "[@click=app.quit]y" in text
                assert not ascii or not [c for c in text if not c.isascii()]
                assert not {"\x1b", "\u202e", "\x07"} & set(text)
            await until(pilot, lambda: "damaged" in text_of(pilot.app), "the damaged run")


async def test_what_cannot_be_read_is_said_until_it_can_be(tmp_path: Path, runs: Path) -> None:
    comparison = sample_plan.planned(tmp_path)
    comparison.results.mkdir()
    async with shown(comparison, runs, (80, 24)) as (pilot, _):
        await until(pilot, lambda: "cannot be read" in text_of(pilot.app), "the reason")
        for key in ("enter", "n", "p", "u", "s", "z", "plus", "0", "tab"):
            await pilot.press(key)
        comparison.results.rmdir()
        await until(pilot, lambda: "0 of 36 measured" in text_of(pilot.app), "an empty comparison")
        await until(pilot, lambda: "Test scores" in text_of(pilot.app), "its table")
        sample_plan.measure(comparison, comparison.cells[0])
        await until(pilot, lambda: "1 of 36 measured" in text_of(pilot.app), "the first line")


async def test_a_run_that_vanishes_while_it_is_opened_takes_nothing_with_it(
    comparison: PlannedComparison, runs: Path
) -> None:
    path = runs / comparison.cells[0].run_name
    shutil.copytree(runs / "knights-00", path)
    async with shown(comparison, runs) as (pilot, screen):
        await on_table(pilot, screen, RUNS)
        await until(pilot, lambda: screen.snapshot and path.name in screen.snapshot.present, "the run")
        shutil.rmtree(path)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, RunScreen), "the run's screen")
        await until(pilot, lambda: str(runs) in text_of(pilot.app), "where it is not any more")
        await pilot.press("backspace")
        await until(pilot, lambda: pilot.app.screen is screen, "the comparison")
        await until(pilot, lambda: screen.snapshot and path.name not in screen.snapshot.present, "that it is gone")


async def test_every_size_shows_something(comparison: PlannedComparison, runs: Path, engine: Engine) -> None:
    sample_plan.give_run(runs, comparison.cells[-1], "knights-01")
    async with shown(comparison, runs) as (pilot, screen):
        await until(pilot, lambda: screen.query_one(EvidenceTable).title, "a table")
        for width, height in [*SIZES, (120, 40)]:
            await pilot.resize_terminal(width, height)
            await settled(pilot, screen.app)  # type: ignore[arg-type]
            assert drawn(screen.app) == [width] * height  # type: ignore[arg-type]
            await pilot.press("down", "tab", "z")

"""The comparison: what is marked, what differs, where they part, and the same keys as any plot."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import duckdb
import pytest
from textual.app import App
from textual.pilot import Pilot

from engine.errors import Fault, UserError
from engine.store.reader import Reader, open_run
from llmzero_tui.feeds.compare import CompareFeed
from llmzero_tui.screens.compare import CompareScreen
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.runs import RunsScreen
from llmzero_tui.values.comparison import (
    CompareView,
    Comparison,
    Contender,
    differences,
    flat,
    partings,
    staircase,
)
from llmzero_tui.values.curves import Axis, AxisWindow, CurveSelection
from llmzero_tui.values.nodes import Target
from llmzero_tui.widgets.tree import SearchTree
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine
from tests.tui.sample_run import NOW


def read(run: Path, *nodes: int | None) -> Comparison:
    """One look at nodes of a run."""
    return CompareFeed(tuple(Target(run, node) for node in nodes), lambda: NOW).read(CompareView())


def by_name(found: Comparison) -> dict[str, tuple[tuple[tuple[int, str], ...], ...]]:
    return {difference.name: difference.values for difference in found.differences}


# ---- values ------------------------------------------------------------------------------------------------------


def test_only_values_that_differ_are_named_with_the_step_from_which_they_hold(run: Path) -> None:
    found = by_name(read(run, 13, 14, 12))
    assert found["temperature"] == (((0, "1"),), ((0, "1"), (150, "0.8")), ((0, "1"),))
    assert found["max_completion_length"][2] == ((0, "64"), (75, "80"))
    assert found["optimizer"] == (((0, "kept"),), ((150, "reset"),), ((0, "kept"),))
    assert "learning_rate" not in found
    assert "reference" not in found


def test_trajectories_of_the_same_values_differ_in_nothing(run: Path) -> None:
    assert read(run, 5, 10).differences == ()


def test_where_they_part_is_said_and_is_a_place_on_the_axis(run: Path) -> None:
    found = read(run, 13, 14, 12, 10)
    assert found.partings == (
        "B branches off A in #10 at step 150", "C branches off A in #5 at step 75", "A continues from D: #10, step 150",
    )  # fmt: skip
    assert found.common == (0, 1, 5)
    assert found.apart(Axis.STEPS) == 75
    assert read(run, 13, 2).apart(Axis.STEPS) == 0


def test_scores_come_with_their_prompts(run: Path) -> None:
    best = read(run, 13, 5).contenders[0].best
    assert best is not None
    assert (best.node, best.n) == (13, 256)


def test_runs_are_compared_by_their_best_trajectories_and_their_run_files(runs: Path) -> None:
    with duckdb.connect(str(runs / "sums-02" / "run.duckdb")) as con:
        con.execute("UPDATE runs SET config = replace(config, '\"segment_steps\":50', '\"segment_steps\":80')")
    targets = (Target(runs / "knights-00"), Target(runs / "sums-02"))
    found = CompareFeed(targets, lambda: NOW).read(CompareView())
    assert [c.name for c in found.contenders] == ["knights-00", "sums-02"]
    assert [c.test is not None for c in found.contenders] == [True, False]
    assert by_name(found) == {"search.segment_steps": (((0, "50"),), ((0, "80"),))}
    assert found.differences[0].asked
    assert found.apart(Axis.STEPS) == 0, "two runs have no node in common, whatever their numbers"


def test_a_run_that_cannot_be_read_stands_beside_the_others_with_the_reason(runs: Path) -> None:
    broken = runs / "broken"
    broken.mkdir()
    (broken / "run.duckdb").write_bytes(b"no database" * 100)
    found = CompareFeed((Target(runs / "knights-00"), Target(broken)), lambda: NOW).read(CompareView())
    assert found.contenders[0].trace is not None
    assert found.contenders[1].problem
    assert found.differences == ()
    with pytest.raises((UserError, Fault)):
        CompareFeed((Target(broken),), lambda: NOW).read(CompareView())


def test_a_run_at_rest_is_not_opened_again_until_something_else_is_looked_at(run: Path) -> None:
    opened: list[Path] = []

    def opener(path: Path) -> Reader:
        opened.append(path)
        return open_run(path)

    feed = CompareFeed((Target(run, 13), Target(run, 14)), lambda: NOW, opener)
    first = feed.read(CompareView())
    assert feed.read(CompareView()).contenders == first.contenders
    assert len(opened) == 1
    near = feed.read(CompareView(selection=CurveSelection(window=AxisWindow(150, 180))))
    assert len(opened) == 2
    assert near.contenders[0].trace != first.contenders[0].trace
    assert near.contenders[0].stages is first.contenders[0].stages


def test_a_live_trajectory_grows_and_the_other_stays_as_it_was(run: Path, engine: Engine) -> None:
    feed = CompareFeed((Target(run, 13), Target(run, 14)), lambda: NOW)
    before = feed.read(CompareView())
    assert feed.read(CompareView()).contenders == before.contenders
    engine.step(32)
    after = feed.read(CompareView())
    traces = [(c.trace, d.trace) for c, d in zip(before.contenders, after.contenders, strict=True)]
    assert all(one is not None and other is not None for one, other in traces)
    assert after.contenders[0].steps == before.contenders[0].steps + 1
    feed.close()


def test_a_run_file_is_one_text_a_key() -> None:
    settings = {"name": "x", "search": {"workers": 1, "seed": 5e-5}, "gate": {"mode": "auto", "on": True}}
    assert flat(settings) == {"search.workers": "1", "search.seed": "5e-5", "gate.mode": "auto", "gate.on": "True"}


def test_nothing_to_compare_is_no_difference() -> None:
    empty = (Contender("A", "x", problem="gone"), Contender("B", "y", problem="gone"))
    assert differences(empty) == ()
    assert partings(empty) == ()
    assert staircase((), lambda stage: stage.label) == ()


# ---- by keys -----------------------------------------------------------------------------------------------------


@asynccontextmanager
async def tree_of(
    run: Path, size: tuple[int, int] = (120, 40), *, ascii: bool = False
) -> AsyncIterator[tuple[Pilot[int], RunScreen]]:
    app = app_on(run, ascii=ascii)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await until(pilot, lambda: screen.selected == 13, "the running node")
        yield pilot, screen


async def compared(pilot: Pilot[int]) -> CompareScreen:
    """The comparison, with its curves drawn."""
    app = pilot.app
    await until(pilot, lambda: isinstance(app.screen, CompareScreen) and app.screen.snapshot, "the comparison")
    assert isinstance(app.screen, CompareScreen)
    return app.screen


def text_of(app: App[int]) -> str:
    """The whole screen as text."""
    strips = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip) for strip in strips)


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (160, 50)])
async def test_two_marked_nodes_are_laid_over_each_other(run: Path, engine: Engine, size: tuple[int, int]) -> None:
    async with tree_of(run, size) as (pilot, screen):
        await pilot.press("m", "down", "m")
        assert [target.node for target in screen.marks.marked] == [13, 14]
        await until(pilot, lambda: "◆A #13" in text_of(pilot.app) and "◆B #14" in text_of(pilot.app), "the marks")
        await pilot.press("c")
        await compared(pilot)
        await until(pilot, lambda: "temperature" in text_of(pilot.app), "what differs")
        shown = text_of(pilot.app)
        assert "#13 continue" in shown
        assert "0.637 [0.58, 0.69] n=256" in shown
        assert "1 → 0.8 @150" in shown
        assert "B branches off A in #10 at step 150" in shown
        assert "learning_rate" not in shown
        await pilot.press("escape")
        await until(pilot, lambda: pilot.app.screen is screen, "the run again")


async def test_a_single_mark_is_compared_with_the_node_under_the_cursor(run: Path, engine: Engine) -> None:
    async with tree_of(run) as (pilot, screen):
        assert not screen.check_action("compare", ())
        await pilot.press("m")
        assert not screen.check_action("compare", ()), "one node is no comparison"
        await pilot.press("down", "c")
        found = await compared(pilot)
        assert [target.node for target in found.feed.targets] == [13, 14]


async def test_a_fifth_mark_is_refused_and_a_mark_goes_as_it_came(run: Path, engine: Engine) -> None:
    async with tree_of(run) as (pilot, screen):
        screen.query_one(SearchTree).focus()
        await pilot.press("m", "up", "m", "up", "m", "up", "m", "up", "m")
        assert len(screen.marks.marked) == 4
        assert any("the most that can be compared" in notice.message for notice in pilot.app._notifications)
        await pilot.press("down", "m")
        assert len(screen.marks.marked) == 3


async def test_the_keys_of_the_plot_work_in_the_comparison(run: Path) -> None:
    async with tree_of(run) as (pilot, screen):
        screen.marks.marked = (Target(run, 13), Target(run, 12))
        screen.marks.action_compare()
        found = await compared(pilot)
        await pilot.press("f")
        assert found.panel.selection.window == AxisWindow(75, 181)
        await pilot.press("f")
        assert found.panel.selection.window is None
        await pilot.press("plus", "l")
        await until(pilot, lambda: found.panel.selection.window == AxisWindow(67.875, 158.375), "along")
        await pilot.press("u")
        await until(pilot, lambda: "training time" in str(found.panel.plot.border_subtitle), "time")
        await pilot.press("f")
        assert found.panel.selection.window is not None
        assert found.panel.selection.window.first == 75
        await pilot.press("0", "y", "s", "right_square_bracket")
        assert found.panel.metric == "kl"
        await until(pilot, lambda: str(found.panel.plot.border_title) == "kl", "another metric")
        assert "log · ema + raw" not in str(found.panel.plot.border_subtitle)
        assert "log · raw" in str(found.panel.plot.border_subtitle)


async def test_a_comparison_grows_with_a_live_run(run: Path, engine: Engine) -> None:
    async with tree_of(run) as (pilot, screen):
        screen.marks.marked = (Target(run, 13), Target(run, 14))
        screen.marks.action_compare()
        found = await compared(pilot)
        engine.step(33)
        await until(pilot, lambda: found.snapshot and found.snapshot.contenders[0].steps == 183, "two more steps")
        await until(pilot, lambda: "183 steps" in text_of(pilot.app), "in the legend")


async def test_runs_are_marked_in_the_list_and_compared(runs: Path) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.snapshot, "the list")
        await until(pilot, lambda: app.screen.check_action("mark", ()), "runs")
        await until(pilot, lambda: "reading" not in text_of(app), "all are read")
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        await pilot.press("m")
        await until(pilot, lambda: "◆" in text_of(app), "the mark")
        await pilot.press("down", "m", "c")
        await compared(pilot)
        await until(pilot, lambda: "no hyperparameter differs" in text_of(app), "what differs")
        assert sum(name in text_of(app) for name in ("knights-00", "knights-01", "sums-02")) == 2


async def test_a_table_with_a_scroll_bar_has_no_blank_lines(run: Path) -> None:
    app = app_on(None, run.parent)
    async with app.run_test(size=(100, 16)) as pilot:
        screen = CompareScreen(CompareFeed(tuple(Target(run, node) for node in (13, 14, 12, 9)), lambda: NOW))
        app.push_screen(screen)
        await until(pilot, lambda: screen.is_mounted and screen.snapshot is not None, "the comparison")
        await until(pilot, lambda: screen.query_one("#differences").max_scroll_y > 0, "the scroll bar")
        values = screen.query_one("#values")
        assert all(values.render_line(y).text.strip() for y in range(values.size.height))


async def test_a_comparison_in_ascii_is_ascii_and_hostile_names_are_text(run: Path) -> None:
    async with tree_of(run, (80, 24), ascii=True) as (pilot, screen):
        screen.marks.marked = (Target(run, 12), Target(run, 13), Target(run, 3), Target(run, 8))
        screen.marks.action_compare()
        await compared(pilot)
        for key in ("s", "s", "y", "f", "u", "right_square_bracket"):
            await pilot.press(key)
            await pilot.pause()
            shown = text_of(pilot.app)
            assert shown.isascii()
            assert "[b]len" in shown


async def test_a_run_that_is_deleted_meanwhile_is_said_and_the_rest_stays(runs: Path) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.snapshot, "the list")
        screen = app.screen
        assert isinstance(screen, RunsScreen)
        screen.marks.marked = (Target(runs / "knights-00"), Target(runs / "sums-02"))
        screen.marks.action_compare()
        await compared(pilot)
        shutil.rmtree(runs / "sums-02")
        app.poll()
        await until(pilot, lambda: "no run was started there" in text_of(app), "the reason")
        assert "knights-00" in text_of(app)

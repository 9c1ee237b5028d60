"""Curves as they are read: windows and their buckets, intervals, time in training, and how a parent went on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.domain.score import Score
from engine.store.reader import Reader, open_run
from llmzero_tui.feeds.curves import read_traces
from llmzero_tui.feeds.nodes import NodesFeed
from llmzero_tui.feeds.pieces import ClockBreak, continuation, spans, trajectory
from llmzero_tui.feeds.run import RunFeed
from llmzero_tui.values.curves import (
    Axis,
    AxisWindow,
    CurvePoint,
    CurveSelection,
    CurveTrace,
    bucket,
    other_axis,
    pan,
    smooth,
    zoom,
)
from llmzero_tui.values.nodes import Nodes
from llmzero_tui.values.snapshot import RunView
from tests.tui.sample_run import NOW, START

CLOCK = CurveSelection(Axis.CLOCK)


@pytest.fixture
def reader(runs: Path) -> Iterator[Reader]:
    """The finished sample run, asked as a feed asks it."""
    reader = open_run(runs / "knights-00")
    yield reader
    reader.close()


@pytest.fixture
def nodes(reader: Reader) -> Nodes:
    return NodesFeed().read(reader)


def one(
    reader: Reader, nodes: Nodes, node: int, selection: CurveSelection, metric: str = "reward", columns: int = 60
) -> CurveTrace:
    return read_traces(reader, nodes, node, (metric,), selection, columns)[0]


# ---- windows -----------------------------------------------------------------------------------------------------


@given(
    st.floats(0, 1e7), st.sampled_from(Axis),
    st.lists(st.one_of(st.sampled_from((0.5, 2.0, "left", "right"))), max_size=40),
)  # fmt: skip
def test_a_window_stays_within_the_trajectory_whatever_is_pressed(whole: float, axis: Axis, keys: list[object]) -> None:
    window: AxisWindow | None = None
    for key in keys:
        if isinstance(key, float):
            window = zoom(window, whole, key, axis)
        else:
            window = pan(window, whole, 0.25 if key == "right" else -0.25)
        if window is not None:
            assert 0 <= window.first < window.last <= whole * (1 + 1e-9)
            assert window.length >= axis.least * (1 - 1e-9)


def test_zooming_out_as_far_as_in_shows_everything_again() -> None:
    window = zoom(None, 1000, 0.5, Axis.STEPS)
    assert window == AxisWindow(250, 750)
    assert zoom(window, 1000, 2, Axis.STEPS) is None


def test_a_window_does_not_carry_over_from_steps_to_seconds() -> None:
    assert other_axis(CurveSelection(window=AxisWindow(5, 10))) == CLOCK
    assert other_axis(CLOCK) == CurveSelection()


@given(st.floats(0, 1e8), st.integers(1, 300), st.sampled_from(Axis))
def test_buckets_are_at_most_two_a_column_and_round(length: float, columns: int, axis: Axis) -> None:
    width = bucket(length, columns, axis)
    least = 1 if axis is Axis.STEPS else 0.1
    assert length / width <= 2 * columns + 1e-6
    assert width == least or length / width > 2 * columns / 2.6
    digits = f"{width * 10:.0f}".rstrip("0")
    assert digits in ("1", "2", "5")


def test_a_window_has_finer_buckets_that_do_not_move_with_it(reader: Reader, nodes: Nodes) -> None:
    whole = one(reader, nodes, 14, CurveSelection(), columns=20)
    near = one(reader, nodes, 14, CurveSelection(window=AxisWindow(100, 130)), columns=20)
    moved = one(reader, nodes, 14, CurveSelection(window=AxisWindow(104, 134)), columns=20)
    assert (whole.width, near.width) == (5, 1)
    inside = {p.x: p for p in near.points if 104 <= p.x <= 130}
    assert len(inside) == 27
    assert inside == {p.x: p for p in moved.points if 104 <= p.x <= 130}


def test_a_window_reads_steps_before_it_so_that_the_average_is_that_of_the_whole(reader: Reader, nodes: Nodes) -> None:
    whole = dict(smooth(one(reader, nodes, 14, CurveSelection(), columns=500).points))
    near = dict(smooth(one(reader, nodes, 14, CurveSelection(window=AxisWindow(120, 150)), columns=500).points))
    assert all(near[x] == pytest.approx(whole[x], abs=0.002) for x in near if x >= 120)


def test_a_bucket_knows_its_extremes_and_how_many_steps_it_holds(reader: Reader, nodes: Nodes) -> None:
    fine = one(reader, nodes, 14, CurveSelection(), columns=500)
    coarse = one(reader, nodes, 14, CurveSelection(), columns=10)
    assert all(p.low <= p.value <= p.high for p in coarse.points)
    assert sum(p.steps for p in coarse.points) == sum(p.steps for p in fine.points) == 190
    assert max(p.high for p in coarse.points) == max(p.value for p in fine.points)


def test_a_bucket_counts_for_the_average_as_the_steps_in_it() -> None:
    fine = tuple(CurvePoint(float(i), 1.0 if i > 50 else 0.0, 0, 1, 1, 1) for i in range(1, 101))
    coarse = tuple(CurvePoint(float(i), 1.0 if i > 50 else 0.0, 0, 1, 10, 1) for i in range(10, 101, 10))
    assert smooth(coarse)[-1][1] == pytest.approx(smooth(fine)[-1][1], abs=0.01)


# ---- scores ------------------------------------------------------------------------------------------------------


def test_validation_scores_have_the_interval_of_their_prompts(reader: Reader, nodes: Nodes) -> None:
    checks = one(reader, nodes, 13, CurveSelection()).checks
    rows = reader.rows("SELECT * FROM checkpoints WHERE node_id = 10 AND step = 50")
    measured = Score(rows[0]["n"], rows[0]["greedy"], rows[0]["sampled"])
    found = next(c for c in checks if c.x == 150)
    assert (found.value, found.n, found.node) == (measured.value, 256, 10)
    assert (found.low, found.high) == measured.interval
    assert 0.05 < found.high - found.value < 0.07, "of n prompts, not of two or three times as many"
    assert checks[0].x == 0, "the base is scored too"


def test_scores_beyond_the_branch_are_not_on_the_way(reader: Reader, nodes: Nodes) -> None:
    assert [c.x for c in one(reader, nodes, 12, CurveSelection()).checks] == [0, 25, 50, 75]


def test_only_the_reward_has_scores_beside_it(reader: Reader, nodes: Nodes) -> None:
    assert one(reader, nodes, 13, CurveSelection(), "kl").checks == ()


# ---- the parent's way on --------------------------------------------------------------------------------------------


def test_a_parent_goes_on_through_its_own_steps_and_the_child_that_kept_its_values(
    reader: Reader, nodes: Nodes
) -> None:
    assert [(p.node, p.first, p.last) for p in continuation(nodes, 12)] == [(5, 26, 50), (10, 1, 25)]
    trace = one(reader, nodes, 12, CurveSelection(beyond=True))
    assert trace.beyond_nodes == (5, 10)
    assert (trace.beyond[0].x, trace.beyond[-1].x) == (76, 125)
    assert one(reader, nodes, 12, CurveSelection()).beyond == ()


def test_an_unchanged_child_is_the_way_on_itself(nodes: Nodes) -> None:
    assert continuation(nodes, 10) == ()
    assert continuation(nodes, 1) == (), "the base does not train"
    assert continuation(nodes, 0) == ()


def test_a_trajectory_leaves_each_segment_where_the_next_one_began(nodes: Nodes) -> None:
    assert [(p.node, p.start, p.last) for p in trajectory(nodes, 12)][1:3] == [(1, 0, 50), (5, 50, 25)]


# ---- time --------------------------------------------------------------------------------------------------------


def test_time_counts_training_without_the_breaks_between_segments(reader: Reader, nodes: Nodes) -> None:
    trace = one(reader, nodes, 14, CLOCK)
    assert trace.extent == 190, "a second a step in the sample, though segments began minutes apart"
    assert [bound.x for bound in trace.bounds] == [50, 100, 150]
    assert [c.x for c in trace.checks] == [0, 25, 50, 75, 100, 125, 150, 175]
    assert trace.points[-1].x == 190


def test_a_pause_within_a_segment_is_left_out(runs: Path) -> None:
    run = runs / "knights-00"
    with duckdb.connect(str(run / "run.duckdb")) as con:
        later = START + timedelta(hours=9)
        con.execute("UPDATE metrics SET ts = ts + INTERVAL 9 HOUR WHERE node_id = 1 AND step > 20")
        con.execute("UPDATE nodes SET ended = ended + INTERVAL 9 HOUR WHERE node_id = 1")
        con.execute("DELETE FROM budget")
        begun = con.execute("SELECT started FROM nodes WHERE node_id = 1").fetchall()[0][0]
        for seq, (moment, wall) in enumerate(((START, 0.0), (begun + timedelta(seconds=20), 20.0),
                                              (begun + timedelta(hours=9, seconds=20), 20.0),
                                              (later + timedelta(hours=1), 3620.0))):  # fmt: skip
            con.execute("INSERT INTO budget (seq, steps, nodes, trainer_seconds, wall_seconds, fraction, ts) "
                        "VALUES (?, 0, 0, 0, ?, 0, ?)", [10_000 + seq, wall, moment])  # fmt: skip
    reader = open_run(run)
    trace = one(reader, NodesFeed().read(reader), 1, CLOCK)
    reader.close()
    assert trace.extent == pytest.approx(50, abs=1)
    assert all(after.x - before.x < 3 for before, after in itertools.pairwise(trace.points))


def test_a_break_in_which_some_training_lies_is_as_long_as_that() -> None:
    clock = spans(
        0, 100_000_000, 5.0, [ClockBreak(40_000_000, 60_000_000, 5.0), ClockBreak(200_000_000, 300_000_000, 0.0)]
    )
    assert [clock.at(second * 1_000_000) for second in (0, 40, 50, 60, 100)] == [5, 45, 47.5, 50, 90]
    assert clock.end == 90
    assert clock.at(-5) == 5


@given(
    st.integers(0, 10**9), st.integers(0, 10**9),
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(1, 10**8), st.floats(-1, 50)), max_size=6),
)  # fmt: skip
def test_time_never_runs_backwards(begun: int, length: int, found: list[tuple[int, int, float]]) -> None:
    breaks, free = [], 0
    for first, gap, counted in sorted(found):
        breaks.append(ClockBreak(max(first, free), max(first, free) + gap, counted))
        free = breaks[-1].last
    clock = spans(begun, begun + length, 0.0, breaks)
    places = [clock.at(begun + length * i // 20) for i in range(21)]
    assert places == sorted(places)
    assert clock.end == pytest.approx(places[-1])


def test_a_window_of_time_reads_that_time_alone(reader: Reader, nodes: Nodes) -> None:
    trace = one(reader, nodes, 14, CurveSelection(Axis.CLOCK, AxisWindow(120, 150)))
    assert trace.points[-1].x == 150
    assert trace.points[0].x >= 59
    assert trace.extent == 190


# ---- what the feed reads again --------------------------------------------------------------------------------------


def test_another_sight_reads_the_curve_and_nothing_else(runs: Path) -> None:
    feed = RunFeed(runs / "knights-00", lambda: NOW)
    view = RunView(node=14)
    first = feed.read(view).detail
    near = feed.read(replace(view, selection=CurveSelection(window=AxisWindow(100, 120)))).detail
    assert first is not None
    assert near is not None
    assert near.trace.selection.window == AxisWindow(100, 120)
    assert near.strip is first.strip
    assert feed.read(replace(view, selection=CurveSelection(window=AxisWindow(100, 120)))).detail is near


def test_several_metrics_come_together(runs: Path) -> None:
    detail = (
        RunFeed(runs / "knights-00", lambda: NOW)
        .read(RunView(node=14, selection=CurveSelection(also=("kl", "entropy"))))
        .detail
    )
    assert detail is not None
    assert [trace.metric for trace in detail.traces] == ["reward", "kl", "entropy"]
    assert [bool(trace.checks) for trace in detail.traces] == [True, False, False]

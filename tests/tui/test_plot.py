"""Drawing: whatever was logged, in any size and style, is a picture of exactly that size, and says what it shows."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmzero_tui.styles.themes import palette
from llmzero_tui.values.curves import (
    Axis,
    AxisWindow,
    CurvePoint,
    CurveSelection,
    CurveTrace,
    DrawingStyle,
    ScoredPoint,
    SegmentBound,
    Smoothing,
)
from llmzero_tui.widgets.appearance import Appearance
from llmzero_tui.widgets.plot.drawing import DrawnCurve, PlotContent, cut, draw
from llmzero_tui.widgets.plot.scale import AxisScale, fitted, moment_label, moments, rounds, ticks, value_label
from llmzero_tui.widgets.plot.widget import composed, describe, heading, panels

LOOK = Appearance(palette("llmzero-dark"))
ASCII = Appearance(palette("llmzero-light"), ascii=True)
ANY = st.one_of(
    st.floats(), st.floats(-1, 1), st.sampled_from((0.0, 1e300, -1e300, 1.7e308, 5e-324, math.nan, math.inf, -math.inf))
)
PLACES = st.one_of(st.floats(0, 2e6), st.integers(0, 5).map(float))


@st.composite
def points(draw_: st.DrawFn) -> tuple[CurvePoint, ...]:
    """Points in the order of the axis, several of them perhaps at one place, their values anything."""
    places = sorted(draw_(st.lists(PLACES, max_size=40)))
    found = []
    for x in places:
        value, low, high = draw_(ANY), draw_(ANY), draw_(ANY)
        if math.isfinite(low) and math.isfinite(high):
            low, high = min(low, high), max(low, high)
        found.append(CurvePoint(x, value, low, high, draw_(st.sampled_from((1, 1, 7, 5000))), draw_(st.integers(0, 3))))
    return tuple(found)


@st.composite
def traces(draw_: st.DrawFn) -> CurveTrace:
    axis = draw_(st.sampled_from(Axis))
    checks = tuple(
        ScoredPoint(draw_(PLACES), draw_(ANY), draw_(ANY), draw_(ANY), 256, 1) for _ in range(draw_(st.integers(0, 3)))
    )
    bounds = tuple(SegmentBound(x, node) for node, x in enumerate(sorted(draw_(st.lists(PLACES, max_size=5)))))
    return CurveTrace(
        metric=draw_(st.text(max_size=30)), width=1.0, columns=60, points=draw_(points()),
        broken=draw_(st.integers(0, 9)), selection=CurveSelection(axis), node=3, extent=draw_(PLACES), bounds=bounds,
        checks=tuple(sorted(checks)), beyond=draw_(points()),
    )  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(
    st.lists(traces(), max_size=4), st.builds(DrawingStyle, st.sampled_from(Smoothing), st.booleans()),
    st.one_of(st.none(), st.builds(lambda a, b: AxisWindow(a, a + b), PLACES, st.floats(0.5, 1e6))),
    st.integers(1, 130), st.integers(1, 45), st.booleans(), st.booleans(),
)  # fmt: skip
def test_any_curve_is_a_picture_of_exactly_the_size_asked_for(
    found: list[CurveTrace],
    style: DrawingStyle,
    window: AxisWindow | None,
    width: int,
    height: int,
    ascii: bool,
    overlaid: bool,
) -> None:
    appearance = ASCII if ascii else LOOK
    if overlaid:
        lines = tuple(DrawnCurve(trace, "good", letter, 5.0) for trace, letter in zip(found, "ABCD", strict=False))
        pictures: tuple[PlotContent, ...] = (PlotContent(lines, style, window),)
    else:
        pictures = tuple(PlotContent((DrawnCurve(trace),), style, window, heading(trace)) for trace in found)
    strips = composed(pictures, width, height, appearance)
    assert len(strips) == height
    assert all(strip.cell_length <= width for strip in strips)
    if ascii:
        assert all(strip.text.isascii() for strip in strips)
    for picture in pictures:
        for line in picture.lines:
            assert all(isinstance(note, str) for note in describe(line.trace, style, window))


def curve(values: list[float], **options: object) -> CurveTrace:
    """A curve of one step a value."""
    found = tuple(CurvePoint(float(i), v, v, v, 1, 1) for i, v in enumerate(values, 1))
    return CurveTrace("reward", 1.0, 60, found, extent=float(len(values)), **options)  # type: ignore[arg-type]


def text_of(
    trace: CurveTrace, style: DrawingStyle | None = None, window: AxisWindow | None = None, *, letter: str = ""
) -> str:
    picture = PlotContent((DrawnCurve(trace, letter=letter),), style or DrawingStyle(), window)
    return "\n".join(strip.text for strip in draw(picture, 60, 15, LOOK))


@pytest.mark.parametrize(
    ("values", "style", "words"),
    [
        ([], DrawingStyle(), "no metrics yet"),
        ([0.25], DrawingStyle(), "step 1: .25"),
        ([-1.0, -2.0], DrawingStyle(log=True), "no values above 0 for a log scale"),
    ],
)
def test_what_cannot_be_drawn_is_said_in_words(values: list[float], style: DrawingStyle, words: str) -> None:
    assert words in text_of(curve(values), style)


def test_a_window_without_anything_says_how_to_get_out() -> None:
    assert "press 0 to reset the zoom" in text_of(curve([0.1, 0.2]), window=AxisWindow(50, 90))


def test_an_interval_is_a_bar_from_its_lower_to_its_upper_end() -> None:
    trace = curve([0.4] * 50, checks=(ScoredPoint(25.0, 0.5, 0.4, 0.6, 96, 1),))
    lines = text_of(trace, DrawingStyle(Smoothing.AVERAGE)).splitlines()
    place = next(line.index("◆") for line in lines if "◆" in line)
    bar = [line[place] for line in lines[:-2]]
    assert bar.count("│") >= 10
    assert bar.count("◆") == 1
    assert abs(bar.index("◆") - len(bar) // 2) <= 1, "the score stands in the middle of its interval"


def test_segments_begin_at_a_line_with_the_number_of_the_node() -> None:
    text = text_of(curve([0.2] * 100, bounds=(SegmentBound(50.0, 7),)))
    assert "┊#7" in text


def test_boundaries_that_lie_too_close_are_left_out() -> None:
    text = text_of(curve([0.2] * 100, bounds=tuple(SegmentBound(float(x), x) for x in range(1, 99))))
    assert 3 < text.splitlines()[0].count("┊") < 20


def test_a_letter_stands_at_the_end_of_an_overlaid_line() -> None:
    assert text_of(curve([0.1, 0.2, 0.3]), letter="B").count("B") >= 1


def dotted(picture: str) -> int:
    """Cells with dots in them."""
    return sum("\u2800" < sign <= "\u28ff" for sign in picture)


def test_a_large_figure_has_bands_of_whole_cells() -> None:
    flat = tuple(CurvePoint(float(i), 0.5, 0.1, 0.9, 9, 1) for i in range(0, 2000, 9))
    picture = PlotContent((DrawnCurve(CurveTrace("reward", 9, 60, flat, extent=2000.0)),), DrawingStyle(Smoothing.RAW))
    large = "\n".join(strip.text for strip in draw(picture, 150, 40, LOOK))
    assert dotted(large) == large.count("⣿") > 3000


def test_a_bucket_of_many_steps_is_drawn_from_extreme_to_extreme() -> None:
    flat = tuple(CurvePoint(float(i), 0.5, 0.1, 0.9, 50, 1) for i in range(0, 2000, 50))
    band = text_of(CurveTrace("reward", 50, 60, flat, extent=2000.0), DrawingStyle(Smoothing.RAW))
    line = text_of(CurveTrace("reward", 50, 60, flat, extent=2000.0), DrawingStyle(Smoothing.AVERAGE))
    assert dotted(band) > 400, "the band fills its part of the picture"
    assert dotted(line) < 100


def test_a_line_is_cut_at_the_edges_of_the_window() -> None:
    assert cut([(0.0, 0.0), (10.0, 10.0)], AxisWindow(4, 6)) == [(4.0, 4.0), (6.0, 6.0)]
    assert cut([(0.0, 1.0), (1.0, 1.0)], AxisWindow(4, 6)) == []
    assert cut([(5.0, 1.0)], AxisWindow(4, 6)) == [(5.0, 1.0)]


# ---- axes --------------------------------------------------------------------------------------------------------


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=8), st.booleans(), st.integers(2, 20))
def test_an_axis_holds_its_values_and_its_ticks(values: list[float], log: bool, count: int) -> None:
    scale = fitted(values, log=log)
    assert scale.high > scale.low or not values
    assert all(0 <= scale.place(v) <= 1 for v in values)
    marks = ticks(scale, count)
    labels = [label for _, label in marks]
    assert len(labels) == len(set(labels)) <= 4 * count + 10
    assert all(math.isfinite(value) for value, _ in marks)


@given(st.floats(1e-3, 1e3), st.floats(1.01, 100), st.integers(2, 20))
def test_a_log_axis_of_any_reach_has_labels(low: float, times: float, count: int) -> None:
    scale = fitted([low, low * times], log=True)
    marks = ticks(scale, count)
    assert len(marks) >= 2
    assert all(value > 0 for value, _ in marks)
    assert all(scale.low - 1e-9 <= math.log10(value) <= scale.high + 1e-9 for value, _ in marks)


def test_a_loss_between_two_powers_of_ten_is_labelled_on_a_log_axis() -> None:
    labels = [label for _, label in ticks(fitted([0.23, 0.27, 0.46], log=True), 6)]
    assert labels[0] == ".25"


def test_labels_tell_ticks_apart_however_close_they_lie() -> None:
    labels = [label for _, label in ticks(AxisScale(0.43120, 0.43124), 4)]
    assert len(labels) >= 3
    assert all(label.startswith(".4312") for label in labels)
    assert value_label(0.5, 0.1) == ".5"
    assert value_label(-0.25, 0.05) == "-.25"
    assert value_label(1500.0, 500.0) == "1500"


@given(st.floats(0, 1e9), st.floats(0.5, 1e9), st.integers(2, 20))
def test_an_axis_of_steps_or_time_has_few_round_marks(first: float, length: float, count: int) -> None:
    for marks in (rounds(first, first + length, count, whole=True), moments(first, first + length, count)):
        assert len(marks) <= 2 * count + 2
        assert all(mark == round(mark) for mark in marks if mark not in (first, first + length))


def test_times_are_named_as_people_do() -> None:
    assert [moment_label(s) for s in (0, 40, 120, 150, 3600, 86_400, 90_000)] == [
        "0", "40s", "2m", "2m30s", "1h", "1d", "1d1h",
    ]  # fmt: skip


@given(st.integers(1, 9), st.integers(1, 250), st.integers(1, 70))
def test_plots_beside_each_other_all_have_room(count: int, width: int, height: int) -> None:
    grid = panels(count, width, height)
    assert 1 <= sum(grid) <= count
    assert len(grid) == 1 or height // len(grid) >= 7
    assert all(across * 40 < width or across == 1 for across in grid)

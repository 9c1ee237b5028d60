"""The pictures: sizes a model can take, all that is drawn, and no curve that breaks them."""

from __future__ import annotations

import io
import math
import subprocess
import sys
from dataclasses import replace

import pytest
from PIL import Image

from engine.advisors import plots
from engine.advisors.ollama_client import OllamaClient
from engine.advisors.probe import LETTERS, probe, riddles
from tests.fake_answers import serving
from tests.fake_ollama import Asked, Reply
from tests.unit.advice_cases import at_root, evidence


def opened(png: bytes) -> Image.Image:
    return Image.open(io.BytesIO(png))


def colours(picture: Image.Image) -> set[tuple[int, int, int]]:
    found = picture.convert("RGB").getcolors(1_000_000)
    assert found is not None
    return {colour for _, colour in found}  # type: ignore[misc]


def test_two_sheets_of_at_most_1024_pixels_show_the_segment_and_the_run() -> None:
    sheets = [opened(png) for png in plots.sheets(evidence())]
    assert len(sheets) == 2
    for sheet in sheets:
        assert sheet.format == "PNG"
        assert max(sheet.size) == 1024
        assert min(sheet.size) > 600
        assert {(214, 39, 40), (31, 119, 180)} & colours(sheet)


def test_intervals_stand_on_the_branch_to_here_alone() -> None:
    question = evidence()
    here = question.parent.start_steps + question.step
    at = [total for total, *_ in plots.validation_panel(question).bars]
    assert at == [total for total, _ in plots.validation_panel(question).lines[0].points]
    assert max(at) == here
    early = replace(question, step=question.parent.checkpoints[0].step)
    assert max(total for total, *_ in plots.validation_panel(early).bars) < here


def test_before_any_training_there_is_the_run_alone() -> None:
    (sheet,) = plots.sheets(at_root())
    assert opened(sheet).width == 1024


def test_six_panels_at_most_and_only_of_metrics_that_are_there() -> None:
    titles = [panel.title for panel in plots.segment_panels(evidence())]
    assert titles == [
        "reward", "entropy", "KL to the reference model", "completion length", "truncated completions",
        "zero-std groups",
    ]  # fmt: skip
    few = evidence(metrics={"reward": [(1, 0.5)], "entropy": [(1, None)], "kl": [(1, math.nan)]})
    assert [panel.title for panel in plots.segment_panels(few)] == ["reward"]


def test_siblings_stand_at_equal_total_steps() -> None:
    panel = plots.segment_panels(evidence())[0]
    lines = {line.name: line for line in panel.lines}
    assert lines["#8"].points[0][0] == 1
    assert lines["#8"].colour == plots.OTHER
    assert not lines["#4"].finite  # it ended where this segment begins


def test_the_line_here_and_the_best_one_are_drawn_with_intervals() -> None:
    panel = plots.validation_panel(evidence())
    here, best = panel.lines[0], panel.lines[1]
    assert [step for step, _ in here.points] == [0, 25, 50, 75, 100, 125, 150]
    assert [step for step, _ in best.points] == [0, 25, 50, 75, 100]
    assert len(panel.bars) >= 7


@pytest.mark.parametrize(
    "points",
    [
        [(1, math.nan), (2, 0.5), (3, math.inf), (4, 0.6)],
        [(1, 0.0), (2, 0.0)],
        [(1, -1e300), (2, 1e300)],
        [(1, 1e-9), (2, 1e9)],
        [(1, -5.0)],
        [(5, 0.1), (5, 0.2)],
    ],
)
def test_no_curve_breaks_a_panel(points: list[tuple[int, float]]) -> None:
    assert plots.draw(
        plots.EvidencePanel("$x_{broken", (plots.PanelCurve("[/b]", points),), legend=True), 341, 300
    ).size == (
        341,
        300,
    )


def test_the_engine_does_not_import_matplotlib_before_a_picture_is_drawn() -> None:
    code = "import sys, engine.advisors.ollama, engine.advisors.plots; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ---- the probe -------------------------------------------------------------------------------------------------------


def test_riddles_have_four_choices_and_answers_that_move_with_the_seed() -> None:
    rights = {tuple(r.right for r in riddles(seed)) for seed in range(6)}
    assert len(rights) > 1
    for riddle in riddles(0):
        assert len(set(riddle.choices)) == 4
        assert riddle.right in LETTERS
        assert max(opened(riddle.images[0]).size) == 1024


def test_the_probe_counts_right_answers_and_survives_failures() -> None:
    answers = [riddle.right for riddle in riddles(3)]

    def script(asked: Asked) -> Reply:
        number = asked.number
        if number == 1:
            return Reply(status=500, error="runner died")
        if number == 2:
            return Reply("I think it is B")
        wrong = next(letter for letter in LETTERS if letter != answers[number])
        return Reply('{"answer": "%s"}' % (answers[number] if number != 4 else wrong))

    with serving(script) as fake:
        client = OllamaClient(fake.host, timeout=60, stall=60)
        found = list(probe(client, client.card("qwen3-vl:8b"), riddles(3)))
        assert all(len(asked.body["messages"][1]["images"]) == 1 for asked in fake.chats)
    assert [answered.right for answered in found] == [True, False, False, True, False]
    assert [answered.error.split(":")[0] for answered in found] == [
        "",
        "http 500",
        "no JSON object in the answer",
        "",
        "",
    ]

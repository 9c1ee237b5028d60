"""Categories on the screens: chosen in the form, drawn as a staircase, read from a run's file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.domain.hyperparameters import OPTIONAL
from engine.domain.space import Space, Value
from llmzero_tui.format import parameter
from llmzero_tui.screens.edit import EditScreen, EditSubject
from llmzero_tui.values.rows import values_of
from llmzero_tui.widgets.choice import Choice
from llmzero_tui.widgets.stairs import stair
from tests.tui.conftest import until
from tests.tui.live_engine import Engine
from tests.tui.sample_run import DEFAULTS, SPACE
from tests.tui.test_decision_screen import deciding, shown

WIDE = Space([*SPACE.parameters, OPTIONAL["loss_type"], OPTIONAL["mask_truncated_completions"]])
BEFORE: dict[str, Value] = {**DEFAULTS, "loss_type": "dapo", "mask_truncated_completions": False}


@pytest.mark.parametrize(
    ("value", "text"),
    [("dr_grpo", "dr_grpo"), (True, "true"), (False, "false"), (3e-5, "3e-5"), (48, "48"), (None, "–")],
)
def test_a_value_is_written_as_in_the_run_file(value: Value | None, text: str) -> None:
    assert parameter(value) == text


def test_a_name_from_a_foreign_file_cannot_write_to_the_terminal() -> None:
    assert parameter("\x1b[31mred\x1b[0m\n") == "red"
    assert len(parameter("x" * 500)) == 40


def test_values_of_a_run_keep_names_and_truth_values() -> None:
    found = values_of('{"loss_type": "dr_grpo", "mask": true, "beta": 0.1, "list": [1], "none": null}')
    assert found == {"loss_type": "dr_grpo", "mask": True, "beta": 0.1}


def test_the_names_of_a_category_are_levels_in_the_order_they_come() -> None:
    rows = ["".join(c for c, _ in row) for row in stair(["dapo", "grpo", "dapo"], [12, 12, 12], "", "")]
    assert len(rows) == 2
    assert "grpo" in rows[0]
    assert rows[1].startswith("dapo")


async def test_a_category_is_chosen_with_the_arrows_and_sent_as_its_name(run: Path, engine: Engine) -> None:
    sent: list[Any] = []
    async with deciding(run) as (pilot, screen):
        subject = EditSubject("Edit", 6, (50, 25), BEFORE, {"loss_type": "grpo"}, "keep", "base", "")
        form = EditScreen(tuple(WIDE.to_json()), subject)
        screen.app.push_screen(form, sent.append)
        await until(pilot, lambda: form.query("#value-loss_type"), "the form")
        loss = form.query_one("#value-loss_type", Choice)
        mask = form.query_one("#value-mask_truncated_completions", Choice)
        assert (loss.value, mask.value) == ("grpo", "false")
        loss.focus()
        await pilot.press("right")
        assert "how the losses of tokens are summed" in shown(form, "#doc")
        mask.focus()
        await pilot.press("right")
        assert "loss_type dr_grpo, mask_truncated_completions true" in shown(form, "#verdict")
        await pilot.press("ctrl+r")
        assert (loss.value, mask.value) == ("grpo", "false")
        mask.focus()
        await pilot.press("right", "enter")
        await until(pilot, lambda: sent, "what is sent")
        assert sent[0].changes == {"loss_type": "grpo", "mask_truncated_completions": True}
        assert sent[0].label == "loss grpo mask true"

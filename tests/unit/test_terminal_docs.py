"""docs/terminal.md tells what the settings and the registry say."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from llmzero_tui.actions import REGISTRY
from llmzero_tui.styles.themes import PALETTES
from llmzero_tui.user.manual import renewed
from llmzero_tui.user.preferences import NAMES, checked

MANUAL = Path(__file__).parents[2] / "docs" / "terminal.md"


def test_the_tables_of_the_manual_are_those_of_the_program() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    assert renewed(text) == text, "run: python -m llmzero_tui.user.manual docs/terminal.md"
    for action in REGISTRY:
        assert all(f"`{screen}.{action.id}`" in text for screen in action.screens)
    for name in NAMES:
        assert f"| `{name}` |" in text


def test_the_example_of_the_manual_is_a_settings_file() -> None:
    text = MANUAL.read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    settings = checked(tomllib.loads(example))
    assert settings.keymap.bindings()["run.gate"] == "ctrl+g"
    assert all(f"`{name}`" in text for name in PALETTES)

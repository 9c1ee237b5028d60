"""docs/compare.md says of every setting of a strategy what the code says: whose it is, its default and its meaning."""

from __future__ import annotations

from engine.run import strategies
from llmzero_tui.text.run_file import docstrings
from tests.unit.cli_process import ROOT

PAGE = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")


def rows() -> list[str]:
    """A line of the table for each setting, in the order of the code."""
    docs = docstrings(strategies)
    classes = dict.fromkeys(each for each in strategies.SETTINGS.values() if each is not strategies.ReplaySettings)
    found = []
    for settings in classes:
        whose = ", ".join(f"`{name}`" for name, each in strategies.SETTINGS.items() if each is settings)
        for name, field in settings.model_fields.items():
            meaning = " ".join(docs[settings.__name__][name].split())
            found.append(f"| {whose} | `{name}` | {field.default:.3g} | {meaning} |")
    return found


def test_the_table_of_the_page_is_that_of_the_settings() -> None:
    table = PAGE.partition("| strategy | setting | default | meaning |\n|---|---|---|---|\n")[2].partition("\n\n")[0]
    assert table.splitlines() == rows()

"""The tables of docs/terminal.md: every setting and every key, made from the settings and the registry themselves.

`python -m llmzero_tui.user.manual docs/terminal.md` writes them between their marks in that file; a test says when they
have fallen behind. Nothing else calls it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from llmzero_tui.actions import REGISTRY, key_name, of
from llmzero_tui.format import toml_value
from llmzero_tui.text.run_file import docstrings
from llmzero_tui.user import preferences

SCREENS = {
    "runs": "The list of runs", "run": "A run", "decision": "A proposal in full", "samples": "Samples",
    "agents": "Agents", "trajectory": "Trajectory", "compare": "Comparison", "evidence": "Evidence", "sql": "SQL",
    "settings": "Settings", "help": "Help",
}  # fmt: skip


def settings_table() -> str:
    """Every setting: key, default, meaning."""
    docs = docstrings(preferences)["TerminalSettings"]
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for name in preferences.NAMES:
        default = "" if name == "keys" else f"`{toml_value(getattr(preferences.TerminalSettings(), name))}`"
        rows.append(f"| `{name}` | {default} | {docs[name]} |")
    return "\n".join(rows)


def keys_tables() -> str:
    """Every action of every screen: its keys, its name for [keys], what it does."""
    names = dict.fromkeys(screen for action in REGISTRY for screen in action.screens)
    parts = []
    for screen in sorted(names, key=lambda name: list(SCREENS).index(name) if name in SCREENS else len(SCREENS)):
        rows = [f"### {SCREENS.get(screen, screen.capitalize())}", "", "| key | name | |", "|---|---|---|"]
        for action in of(screen):
            keys = " ".join(f"`{_cell(key_name(key))}`" for key in action.keys) or "palette"
            rows.append(f"| {keys} | `{screen}.{action.id}` | {_cell(action.help)} |")
        parts.append("\n".join(rows))
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def renewed(text: str) -> str:
    """The manual with the tables of now."""
    for mark, table in (("settings", settings_table()), ("keys", keys_tables())):
        pattern = rf"(<!-- {mark}: [^\n]*-->\n).*?(<!-- end of {mark} -->)"
        text = re.sub(pattern, lambda match, table=table: f"{match[1]}\n{table}\n\n{match[2]}", text, flags=re.DOTALL)  # type: ignore[misc]
    return text


if __name__ == "__main__":
    manual = Path(sys.argv[1])
    manual.write_text(renewed(manual.read_text(encoding="utf-8")), encoding="utf-8")

"""No file of the repository cites a page that is not in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXTS = (".py", ".md", ".toml", ".sql", ".tcss", ".sh", ".yml", ".txt", "")
MADE = {"PAGE.md", "report.md", "gpu.md"}
"""Pages that a command writes where its user says: of a comparison, of runs, of a look at a GPU."""


def listed() -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [ROOT / name for name in names if name and (ROOT / name).is_file()]


def test_every_page_that_is_cited_is_there() -> None:
    files = listed()
    pages = {path.name for path in files if path.suffix == ".md"}
    assert "CONTRIBUTING.md" in pages
    missing = []
    for path in files:
        if path.suffix in TEXTS and path != Path(__file__):
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
                cited = {name for name in re.findall(r"([\w-]+\.md)\b", line) if name not in pages | MADE}
                missing += [f"{path.relative_to(ROOT)}:{number} {name}" for name in sorted(cited)]
    assert missing == []

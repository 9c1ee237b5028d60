"""Which code measured: the commit where the package runs from a checkout, else the package's version.

Asked by whatever writes down what was measured.
"""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("engine", "tasks")
"""What a result depends on; a change elsewhere does not make a commit "modified"."""


def revision() -> str:
    """E.g. "3f9ae61", "3f9ae61+modified" where the sources differ from the commit, "0.1.0" outside a checkout."""
    commit = _git("rev-parse", "--short=10", "HEAD") if (ROOT / ".git").exists() else ""
    if not commit:
        return version("llmzero-tui")
    return f"{commit}+modified" if _git("status", "--porcelain", "--", *SOURCES) else commit


def _git(*words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(ROOT), *words],
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

"""The plots that an advisor was shown, opened with the system's viewer: a terminal draws no PNG.

Called by the run and the agents screen. Only files below the run's own directory are opened, never a name that a model
wrote.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SHEETS = 2
"""A decision has at most so many pictures."""


def newest(run: Path, node: int) -> tuple[Path, ...]:
    """The pictures of the latest decision about a node; none where no seeing advisor looked."""
    pictures = sorted((run / "segments" / str(node) / "plots").glob("*.png"), key=lambda p: (p.stat().st_mtime, p.name))
    return tuple(pictures[-SHEETS:])


def of_call(run: Path, names: Sequence[str]) -> tuple[Path, ...]:
    """The pictures of one call that are there: PNG files below the run's directory, whatever the row names."""
    home = run.resolve()
    named = ((run / name) for name in names[:SHEETS] if "\0" not in name)
    return tuple(p for p in named if p.suffix == ".png" and p.resolve().is_relative_to(home) and p.is_file())


def viewer() -> str | None:
    """The program that opens a picture; None where there is no screen to open it on."""
    if sys.platform == "darwin":
        return shutil.which("open")
    on_screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    return shutil.which("xdg-open") if on_screen else None


def show(pictures: Sequence[Path]) -> str:
    """Open them, or say where they are; one line for the user."""
    if not pictures:
        return "no plots of this node: they are drawn when a model with vision reviews it"
    program = viewer()
    if program is None:
        return "no image viewer found; the plots are " + " ".join(map(str, pictures))
    for picture in pictures:
        subprocess.Popen(
            [program, str(picture.resolve())], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    return f"opened {', '.join(picture.name for picture in pictures)}"

"""Plots open in the system's viewer: the node's own latest, and a word with their names where there is no viewer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmzero_tui import plots
from tests.tui.conftest import until
from tests.tui.live_engine import RUNNING, Engine
from tests.tui.test_run_screen import opened


def drawn(run: Path, node: int, *names: str) -> list[Path]:
    directory = run / "segments" / str(node) / "plots"
    directory.mkdir(parents=True, exist_ok=True)
    for age, name in enumerate(reversed(names)):
        (directory / name).write_bytes(b"\x89PNG")
        os.utime(directory / name, (1000 - age, 1000 - age))
    return [directory / name for name in names]


def test_the_latest_two_pictures_of_a_node_are_meant(tmp_path: Path) -> None:
    _, *latest = drawn(tmp_path, 5, "step25-run-4.png", "step50-curves-9.png", "step50-run-9.png")
    assert plots.newest(tmp_path, 5) == tuple(latest)
    assert plots.newest(tmp_path, 6) == ()


def test_without_a_viewer_the_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    pictures = drawn(tmp_path, 5, "step50-run-9.png")
    assert plots.show(pictures).endswith("step50-run-9.png")
    assert plots.show(()).startswith("no plots of this node")


async def test_the_key_opens_the_plots_of_the_selected_node(
    run: Path, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (picture,) = drawn(run, RUNNING, "step25-curves-9.png")
    seen = tmp_path / "seen"
    viewer = tmp_path / "xdg-open"
    viewer.write_text(f'#!/bin/sh\necho "$1" >> {seen}\n')
    viewer.chmod(0o755)
    monkeypatch.setattr(plots, "viewer", lambda: str(viewer))
    async with opened(run) as (pilot, _):
        await pilot.press("o")
        await until(pilot, lambda: seen.exists() and seen.read_text().strip() == str(picture.resolve()), "the viewer")

"""Fixtures of the face's tests: copies of the sample runs, an app with an injected clock, waiting for a condition."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.css.model import RuleSet
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot

from llmzero_tui.app import LLMZeroApp
from tests.tui import pictures, sample_run
from tests.tui.live_engine import Engine, live

WAIT_SECONDS = 60.0


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three sample runs, built once."""
    directory = tmp_path_factory.mktemp("built")
    sample_run.main(directory)
    return directory


@pytest.fixture(scope="session", autouse=True)
def parsed_once() -> Iterator[None]:
    """A style sheet is parsed once for all apps of a process that look alike; its rules are read and never changed."""
    known: dict[tuple[object, ...], list[RuleSet]] = {}
    parse = Stylesheet._parse_rules

    def parsed(sheet: Stylesheet, *source: Any, **how: Any) -> list[RuleSet]:
        key = (*source, *how.items(), *sheet._variables.items())
        if key not in known:
            known[key] = parse(sheet, *source, **how)
        return known[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stylesheet, "_parse_rules", parsed)
        yield


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No animations, no settings of the machine."""
    monkeypatch.setenv("TEXTUAL_ANIMATIONS", "none")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "xdg"))


@pytest.fixture
def runs(built: Path, tmp_path: Path) -> Path:
    """A directory with the three sample runs, the test's own."""
    return Path(shutil.copytree(built, tmp_path / "runs"))


@pytest.fixture
def run(runs: Path) -> Path:
    """The sample run that trains (nobody holds it: see `engine`)."""
    return runs / "knights-01"


@pytest.fixture
def engine(run: Path) -> Iterator[Engine]:
    """A live engine that holds the sample run and answers nothing by itself."""
    with live(run) as engine:
        yield engine


@pytest.fixture
def picture(
    snap_compare: Callable[..., bool], runs: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> pictures.Take:
    """Compares what is shown after some keys with the picture that is kept of it."""
    return pictures.camera(snap_compare, runs, monkeypatch)


def app_on(run: Path | None, runs: Path | None = None, *, ascii: bool = False) -> LLMZeroApp:
    """The app at the sample's time."""
    directory = runs if runs is not None else (run.parent if run else Path())
    return LLMZeroApp(directory, run, ascii=ascii, clock=lambda: sample_run.NOW)


async def until(pilot: Pilot[int], condition: Callable[[], object], what: str) -> None:
    """Let the app run until the condition holds."""
    for _ in range(int(WAIT_SECONDS / 0.02)):
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"never happened: {what}")

"""The registry: what it promises on the footer and in the help is what the keys do."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text
from textual.widgets import Input

from llmzero_tui.actions import REGISTRY, Action, ActionContext, allowed, footer, key_name, lacking, lasting, of
from llmzero_tui.screens.agents import AgentsScreen
from llmzero_tui.screens.base import KeyedScreen
from llmzero_tui.screens.compare import CompareScreen
from llmzero_tui.screens.decision import DecisionScreen
from llmzero_tui.screens.evidence import EvidenceScreen
from llmzero_tui.screens.help import HelpScreen, keys_table
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.runs import RunsScreen
from llmzero_tui.screens.samples import SamplesScreen
from llmzero_tui.screens.settings import SettingsScreen
from llmzero_tui.screens.sql import SqlScreen
from llmzero_tui.screens.trajectory import TrajectoryScreen
from llmzero_tui.styles.themes import palette
from llmzero_tui.values.nodes import NodeRow, Target
from llmzero_tui.values.snapshot import ProposalRow
from llmzero_tui.widgets.appearance import Appearance
from llmzero_tui.widgets.keybar import KeyBar
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import RUNNING, Engine
from tests.tui.sample_run import NOW

SCREENS: dict[str, type[KeyedScreen]] = {
    "run": RunScreen,
    "runs": RunsScreen,
    "sql": SqlScreen,
    "help": HelpScreen,
    "decision": DecisionScreen,
    "trajectory": TrajectoryScreen,
    "samples": SamplesScreen,
    "agents": AgentsScreen,
    "compare": CompareScreen,
    "evidence": EvidenceScreen,
    "settings": SettingsScreen,
}
NODE = NodeRow(7, 2, 50, "finished", "keep", "keep", 50, 50, 50, False, kept=(50,))
ROOT = NodeRow(0, None, None, "finished", "base", "base", 0, 0, 0, False, kept=(0,))
PROPOSAL = ProposalRow(1, 1, 8, 7, 50, "change", "lr↓", {}, "keep", "base", "", "", "rules", None, NOW, {})
CONTEXTS = [
    ActionContext(screen, state, live, node, target, waiting, runs, busy, pages=busy)
    for screen, state, live, node, target, waiting, runs, busy in itertools.product(
        SCREENS, ("training", "paused", "finished", "crashed"), (True, False), (None, NODE, ROOT),
        (None, PROPOSAL), (0, 2), (0, 3), (True, False),
    )
]  # fmt: skip


def test_no_key_means_two_things_at_once() -> None:
    for context in CONTEXTS:
        keys = [key for a in of(context.screen) if a.guard(context) for key in a.keys]
        assert len(keys) == len(set(keys)), context


def test_the_footer_has_at_most_seven_keys_and_only_those_that_work() -> None:
    for context in CONTEXTS:
        shown = footer(context)
        assert all(allowed(a.id, context) and a.keys for a in shown)


async def test_a_small_screen_names_how_to_decide_and_how_to_leave(run: Path, engine: Engine) -> None:
    app = app_on(run)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        screen.look_at(16)
        await until(pilot, lambda: screen.context().target is not None, "the proposal")
        keys = screen.query_one(KeyBar)
        await until(pilot, lambda: "Approve" in str(keys.render()), "its keys")
        for each in ("a Approve", "e Edit", "r Reject", "? Help", "q Detach"):
            assert each in str(keys.render())
        assert Text(str(keys.render())).cell_len <= 80
        await pilot.resize_terminal(12, 24)
        await until(pilot, lambda: keys.size.width == 12, "a tiny screen")
        assert str(keys.render()) == " ? Help"


def test_a_view_that_only_watches_names_no_key_that_changes_something() -> None:
    for context in CONTEXTS:
        shown = footer(context, watching=True)
        assert not [action.id for action in shown if lasting(action)]
        assert [action for action in footer(context) if not lasting(action)] == shown


def test_no_command_is_offered_without_a_living_engine() -> None:
    told = {a.id for a in REGISTRY if a.group == "Steer"}
    for context in CONTEXTS:
        if not context.live or context.state in ("finished", "crashed"):
            assert not told & {a.id for a in of(context.screen) if a.guard(context)}


@pytest.mark.parametrize("action", REGISTRY, ids=lambda a: f"{a.id}-{'-'.join(a.screens)}")
def test_every_action_is_a_method_of_its_screens(action: Action) -> None:
    for screen in action.screens:
        assert callable(getattr(SCREENS[screen], f"action_{action.id}", None)), (screen, action.id)


@pytest.mark.parametrize("screen", SCREENS)
def test_the_help_names_every_key(screen: str) -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(keys_table(screen, Appearance(palette("llmzero-dark"))))
    text = console.export_text()
    for action in of(screen):
        assert action.help[:40] in text
        assert all(key_name(key) in text for key in action.keys)


@pytest.mark.parametrize("action", [a for a in of("run") if a.keys], ids=lambda a: f"{a.id}-{a.keys[0]}")
async def test_the_key_of_the_registry_runs_its_action(
    action: Action, run: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each key is pressed where its guard lets it: on a finished node, a pending proposal, a paused run."""
    pressed: list[str] = []
    if action.id == "resume":
        engine.writer.update("runs", {"name": "knights-01"}, state="paused")
        engine.writer.flush()
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        if action.id == "compare":
            screen.marks.marked = (Target(run, 13), Target(run, 14))
        screen.look_at(16 if action.id in ("approve", "edit", "reject", "decide") else RUNNING)
        await until(pilot, lambda: allowed(action.id, screen.context()), f"{action.id} is allowed")
        monkeypatch.setattr(RunScreen, f"action_{action.id}", lambda _self: pressed.append(action.id))
        await pilot.press(action.keys[0])
        await until(pilot, lambda: pressed, f"{action.keys[0]} does {action.id}")
    assert pressed == [action.id]


def test_no_word_is_said_about_a_key_that_does_something() -> None:
    for context in CONTEXTS:
        now = {key for action in of(context.screen) if action.guard(context) for key in action.keys}
        told = {key for action in of(context.screen) for key in action.keys if lacking(key, context)}
        assert not told & now
        assert told >= {key for a in of(context.screen) if a.needs and not a.guard(context) for key in a.keys} - now
    assert lacking("Q", CONTEXTS[0]) == ""


async def test_a_key_that_can_do_nothing_says_once_what_it_needs(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmzero_tui.screens.base.NEEDS_SECONDS", 600.0)
    app = app_on(runs / "knights-00", runs)
    said = {
        "B": "Budget: needs a running engine",
        "x": "Prune: needs a running engine, and a node below the root that is not pruned",
        "c": "Compare: needs at least two marks",
    }
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "the run that is over")
        told: list[str] = []
        monkeypatch.setattr(app, "notify", lambda words, **how: told.append(words))
        await pilot.press(*"BBBxxcc")
        assert told == list(said.values())
        assert isinstance(app.screen, RunScreen)
        await pilot.press("slash", *"Bxc")
        assert app.screen.query_one("#filter", Input).value == "Bxc"
        assert told == list(said.values())

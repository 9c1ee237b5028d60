"""The settings on screen: they take effect at once, are kept, and keys of one's own are the keys everywhere."""

from __future__ import annotations

import io
import tomllib
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from llmzero_tui.actions import REGISTRY, find
from llmzero_tui.app import LLMZeroApp
from llmzero_tui.screens.dialogs import AskText
from llmzero_tui.screens.help import HelpScreen, keys_table
from llmzero_tui.screens.run import RunScreen
from llmzero_tui.screens.runs import RunsScreen
from llmzero_tui.screens.settings import PressKey, SettingsScreen
from llmzero_tui.styles.themes import PALETTES, PREFIX
from llmzero_tui.user.preferences import TerminalSettings
from llmzero_tui.user.settings import load
from llmzero_tui.widgets.keybar import KeyBar
from llmzero_tui.widgets.setting import Setting
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine
from tests.tui.sample_run import NOW


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A settings file of the test's own."""
    file = tmp_path / "config.toml"
    monkeypatch.setenv("LLMZERO_CONFIG", str(file))
    return file


def kept(file: Path) -> dict[str, Any]:
    return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


async def opened(pilot: Pilot[int], app: LLMZeroApp) -> SettingsScreen:
    await until(pilot, lambda: isinstance(app.screen, RunsScreen | RunScreen) and app.screen.ready, "the app")
    await pilot.press("comma")
    await until(pilot, lambda: isinstance(app.screen, SettingsScreen) and app.screen.query("#bindings"), "settings")
    assert isinstance(app.screen, SettingsScreen)
    return app.screen


async def on_action(pilot: Pilot[int], screen: SettingsScreen, action_id: str, on: str) -> None:
    """Put the cursor on an action of the list of keys."""
    action = find(action_id, on)
    assert action is not None
    keys = screen.query_one("#bindings", OptionList)
    keys.focus()
    keys.highlighted = keys.get_option_index(str(REGISTRY.index(action)))
    await pilot.pause()


async def test_a_theme_shows_as_one_walks_and_is_kept(runs: Path, file: Path) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        await opened(pilot, app)
        for name in [*list(PALETTES)[1:], "dark"]:
            await pilot.press("right")
            assert app.theme == PREFIX + name
            assert app.look.palette == PALETTES[name]
            assert app.screen.styles.background.hex.lower() == PALETTES[name].background
        await pilot.press("left")
        await until(pilot, lambda: kept(file).get("theme") == "colour-blind-light", "it is kept")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen), "back")


async def test_every_setting_takes_effect_and_the_next_start_has_it(runs: Path, file: Path) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app)
        before = app._ticker
        for setting in screen.query(Setting):
            assert setting.has_focus
            await pilot.press("space" if setting.options else "tab", *(["down"] if setting.options else []))
        await until(pilot, lambda: app._saving is False and kept(file).get("desktop"), "all of it is kept")
        assert app.look.ascii
        assert app._ticker is not before
        assert load() == app.settings == TerminalSettings(
            theme="light", ascii=True, mouse=False, refresh_seconds=2.0, bell=True, desktop=True
        )  # fmt: skip
    again = LLMZeroApp(runs, settings=load(), clock=lambda: NOW)
    async with again.run_test(size=(120, 40)):
        assert again.theme == "llmzero-light"
        assert again.look.ascii
        assert again.has_class("-ascii")


async def test_a_theme_one_starts_with_looks_like_one_that_was_turned_to(runs: Path) -> None:
    """The first paint takes the theme before any style sheet is read."""
    seen = []
    for name, press in (("light", False), ("dark", True)):
        app = LLMZeroApp(runs, settings=TerminalSettings(theme=name), clock=lambda: NOW)  # type: ignore[arg-type]
        async with app.run_test(size=(120, 40)) as pilot:
            screen = await opened(pilot, app)
            if press:
                await pilot.press("right")
            await pilot.pause()
            shown = [(each.styles.background, each.styles.color, each.styles.border) for each in screen.query("*")]
            seen.append((app.theme, set(app.classes), app.theme_variables, shown))
    assert seen[0] == seen[1]


async def test_glyphs_go_and_come_back_while_one_looks(run: Path, engine: Engine) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: getattr(app.screen, "snapshot", None), "a snapshot")
        for ascii in (True, False):
            screen = await opened(pilot, app)
            screen.query_one("#setting-ascii").focus()
            await pilot.press("right", "escape")
            await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")
            app.poll()
            await until(pilot, lambda: not app._reading, "another look")
            await pilot.pause()
            text = "".join(s.text for line in app.screen._compositor.render_strips() for s in line)
            assert text.isascii() == ascii, [text[i - 40 : i + 20] for i, c in enumerate(text) if not c.isascii()][:3]


async def test_the_command_is_typed_as_words_and_never_a_shell_line(runs: Path, file: Path) -> None:
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        screen = await opened(pilot, app)
        screen.query_one("#setting-notify-command").focus()
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, AskText), "the question")
        app.screen.query_one(Input).value = "page 'two words' $HOME; ls"
        await pilot.press("enter")
        await until(pilot, lambda: kept(file), "it is kept")
        assert app.settings.notify_command == ("page", "two words", "$HOME;", "ls")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, AskText), "the question")
        app.screen.query_one(Input).value = "page 'open"
        await pilot.press("enter")
        await until(pilot, lambda: any("No closing quotation" in n.message for n in app._notifications), "the mistake")
        assert app.settings.notify_command == ("page", "two words", "$HOME;", "ls")


async def test_a_pressed_key_becomes_the_key_in_footer_help_and_file(run: Path, engine: Engine, file: Path) -> None:
    app = app_on(run)
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app)
        await on_action(pilot, screen, "inbox", "run")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, PressKey), "the question")
        await pilot.press("x")
        await until(pilot, lambda: "both on 'x'" in str(app.screen.query_one("#wrong", Static).render()), "taken")
        await pilot.press("j")
        await until(pilot, lambda: "moves, chooses" in str(app.screen.query_one("#wrong", Static).render()), "reserved")
        await pilot.press("ctrl+o")
        await until(pilot, lambda: app.screen is screen, "it was taken")
        await until(pilot, lambda: kept(file).get("keys") == {"run.inbox": ["ctrl+o"]}, "it is kept")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen), "the run")
        run_screen = app.screen
        assert isinstance(run_screen, RunScreen)
        await until(pilot, lambda: run_screen.snapshot, "a snapshot")
        await until(pilot, lambda: "^o Inbox" in str(run_screen.query_one(KeyBar).render()), "the footer has it")
        await pilot.press("i")
        assert not run_screen.context().in_inbox
        await pilot.press("ctrl+o")
        await until(pilot, lambda: run_screen.context().in_inbox, "it works")
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen), "the help")
        console = Console(width=120, record=True, file=io.StringIO())
        console.print(keys_table("run", app.look))
        assert "^o" in next(line for line in console.export_text().splitlines() if "Go to the proposals that" in line)


async def test_backspace_gives_an_action_its_own_keys_again(runs: Path, file: Path) -> None:
    file.write_text('# mine\n[keys]\nruns.sort = "s"\nruns.delete = "ctrl+d"\n', encoding="utf-8")
    app = LLMZeroApp(runs, settings=load())
    async with app.run_test(size=(120, 40)) as pilot:
        screen = await opened(pilot, app)
        await on_action(pilot, screen, "sort", "runs")
        await pilot.press("backspace")
        await until(pilot, lambda: kept(file).get("keys") == {"runs": {"delete": "ctrl+d"}}, "its own key again")
        assert file.read_text(encoding="utf-8").startswith("# mine\n")
        await pilot.press("escape")
        runs_screen = app.screen_stack[1]
        assert isinstance(runs_screen, RunsScreen)
        await until(pilot, lambda: app.screen is runs_screen and runs_screen.query("#table"), "the list")
        await until(pilot, lambda: runs_screen.snapshot and runs_screen.snapshot.runs, "the runs")
        await pilot.press("s")
        assert runs_screen.sorted_by == "age"
        await pilot.press("o")
        assert runs_screen.sorted_by == "run"


@pytest.mark.parametrize(
    ("keys", "pressed", "does"),
    [
        ({"run.pause": ("P",)}, "P", "pause"),
        ({"run.resume": ("P",)}, "space", "pause"),
        ({"run.gate": ("ctrl+g",)}, "ctrl+g", "gate"),
        ({"run.pause": ("x",), "run.resume": ("x",), "run.prune": ("space",)}, "x", "pause"),
        ({"run.help": (",",), "run.settings": ("?",)}, "comma", "help"),
        ({"run.approve": ("f7", "ctrl+y"), "run.pause": ()}, "r", "reject"),
    ],
)
async def test_remapped_keys_do_what_they_are_mapped_to_and_leave_the_others_alone(
    run: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, keys: dict[str, Any], pressed: str, does: str
) -> None:
    did: list[str] = []
    for name in ("pause", "resume", "prune", "gate", "help", "settings", "approve", "reject"):
        monkeypatch.setattr(RunScreen, f"action_{name}", lambda _self, name=name: did.append(name))
    app = LLMZeroApp(run.parent, run, settings=TerminalSettings(keys=keys), clock=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        assert isinstance(app.screen, RunScreen)
        app.screen.look_at(16)
        await until(pilot, lambda: app.screen.context().target, "a proposal")  # type: ignore[attr-defined]
        await pilot.press(pressed)
        await until(pilot, lambda: did, "it did something")
        assert did == [does]


async def test_letters_typed_into_a_field_are_text_whatever_they_are_mapped_to(runs: Path) -> None:
    app = LLMZeroApp(
        runs, settings=TerminalSettings(keys={"runs.sort": ("z",), "runs.settings": ("s",)}), clock=lambda: NOW
    )
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.ready, "the list")
        await pilot.press("slash", *"zsz")
        assert isinstance(app.screen, RunsScreen)
        assert app.screen.query_one("#filter", Input).value == "zsz"
        assert app.screen.sorted_by == "age"


async def test_a_file_that_cannot_be_written_is_told_and_the_setting_holds_for_now(
    runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LLMZERO_CONFIG", str(tmp_path / "file" / "config.toml"))
    app = app_on(None, runs)
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await opened(pilot, app)
        await pilot.press("right")
        await until(pilot, lambda: any("not saved" in n.message for n in app._notifications), "told")
        assert app.theme == "llmzero-light"

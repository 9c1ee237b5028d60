"""`attach --web`: a run in a browser of this machine, by the real server and as many tabs as there are."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.run.rundir import RunDirectory
from llmzero_tui.commands import look
from tests.unit.cli_process import environment, finished_run, llmzero

SECONDS = 30
needs_server = pytest.mark.skipif(
    find_spec("textual_serve") is None, reason="needs textual-serve: make setup EXTRAS=web"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    finished_run(tmp_path / "runs", "shown")
    return tmp_path


@pytest.fixture
def view(place: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server of a view that only watches, and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "llmzero_tui", "attach", "shown", "--web"], cwd=place, env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


def test_without_textual_serve_the_line_says_what_installs_it(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from llmzero_tui import cli

    monkeypatch.chdir(place)
    monkeypatch.setattr(look, "find_spec", lambda _name: None)
    assert cli.main(["attach", "shown", "--web"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "textual-serve" in line
    assert "web" in line.partition("install")[2] + line.partition("EXTRAS=")[2]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--web", "80000"], ["'80000'", "1 to 65535"]),
        (["--web", "--headless"], ["--headless", "--web"]),
        (["--steer"], ["--steer", "--web"]),
        (["--web", "--steer", "--watch"], ["--watch", "--steer"]),
    ],
)
def test_options_that_mean_nothing_together_are_one_line(place: Path, arguments: list[str], words: list[str]) -> None:
    done = llmzero("attach", "shown", *arguments, cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert all(word in line for word in words)


@needs_server
def test_a_port_in_use_is_one_line(place: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = llmzero("attach", "shown", "--web", str(port), cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert f"--web {port}: address already in use" in line


@needs_server
@pytest.mark.parametrize("steer", [True, False])
def test_a_tab_only_watches_unless_it_is_to_steer(place: Path, steer: bool) -> None:
    from llmzero_tui.commands.web import viewer

    command = viewer(RunDirectory(place / "runs" / "shown"), steer=steer, ascii=False)
    assert ("--watch" in command.split()) is not steer


@needs_server
def test_nothing_answers_without_the_token(view: tuple[subprocess.Popen[str], str]) -> None:
    import aiohttp

    address = view[1]
    server, token = address.rstrip("/").rsplit("/", 1)
    assert server.startswith("http://127.0.0.1:")
    assert len(token) >= 43
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")

    async def ask() -> dict[str, tuple[int, str]]:
        async with aiohttp.ClientSession() as session:
            paths = [
                "/", "/ws", "/static/js/textual.js", f"/{wrong}", f"/{wrong}/", f"/{wrong}/ws", f"/{token[:-1]}/",
                f"/{token}x/", f"/{wrong}/static/js/textual.js", f"/{token}/static/nothing",
                f"/{token}/static/..%2Fserver.py", f"/{token}", f"/{token}/", f"/{token}/static/js/textual.js",
            ]  # fmt: skip
            answers = {}
            for path in paths:
                async with session.get(server + path) as answer:
                    answers[path] = (answer.status, answer.headers["Referrer-Policy"])
            return answers

    answers = asyncio.run(ask())
    assert {policy for _, policy in answers.values()} == {"no-referrer"}
    found = [path for path, (status, _) in answers.items() if status == 200]
    assert found == [f"/{token}", f"/{token}/", f"/{token}/static/js/textual.js"]
    assert {status for status, _ in answers.values()} == {200, 404}


@needs_server
def test_two_tabs_show_the_run_and_ctrl_c_ends_them_and_their_processes(
    view: tuple[subprocess.Popen[str], str], place: Path
) -> None:
    import aiohttp

    process, address = view

    async def until_shown(tab: Any, words: str) -> None:
        shown = b""
        while words.encode() not in shown:
            message = await tab.receive()
            assert message.type in (aiohttp.WSMsgType.BINARY, aiohttp.WSMsgType.TEXT), message
            shown += message.data if message.type is aiohttp.WSMsgType.BINARY else b""

    async def look_twice() -> list[psutil.Process]:
        async with aiohttp.ClientSession() as session:
            closed, tab = [await session.ws_connect(f"{address}ws?width=120&height=40") for _ in range(2)]
            for each in (closed, tab):
                await until_shown(each, "shown")
            assert len(psutil.Process(process.pid).children()) == 2
            await closed.close()
            await tab.send_str(json.dumps(["stdin", ","]))
            await until_shown(tab, "this view only watches")
            children = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            while (await tab.receive()).type is aiohttp.WSMsgType.BINARY:
                pass
            return children

    children = asyncio.run(asyncio.wait_for(look_twice(), SECONDS))
    _, said = process.communicate(timeout=SECONDS)
    assert process.returncode == 0, said
    assert "ssh -N -L" in said
    assert len(said.splitlines()) == 2
    assert psutil.wait_procs(children, SECONDS)[1] == []
    assert sorted(each.name for each in (place / "runs" / "shown").iterdir()) == ["run.duckdb", "run.toml", "segments"]


@needs_server
def test_a_server_that_is_killed_leaves_no_tab_behind(view: tuple[subprocess.Popen[str], str]) -> None:
    import aiohttp

    process, address = view

    async def open_and_kill() -> list[psutil.Process]:
        async with aiohttp.ClientSession() as session:
            tab = await session.ws_connect(f"{address}ws")
            while (await tab.receive()).type is not aiohttp.WSMsgType.BINARY:
                pass
            children = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            return children

    children = asyncio.run(asyncio.wait_for(open_and_kill(), SECONDS))
    assert children
    assert psutil.wait_procs(children, SECONDS)[1] == []

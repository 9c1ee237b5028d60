"""News by webhook, against a real HTTP server: what arrives, what goes wrong, how often, and that its address is a
secret."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from engine.errors import UserError
from llmzero_tui import cli
from llmzero_tui.user import webhook
from llmzero_tui.user.notify import Notifier
from llmzero_tui.user.preferences import TerminalSettings, checked
from llmzero_tui.user.settings import load
from llmzero_tui.user.webhook import MOST, Webhook, address, post
from llmzero_tui.values.snapshot import News

SECRET = "T0PSECRET"


@dataclass
class Server:
    """What was posted, by path; `answer` is the status of every answer."""

    where: str = ""
    answer: int = 200
    got: list[tuple[str, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


@contextmanager
def serving() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            made.got.append((self.path, json.loads(body)))
            self.send_response(made.answer)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_GET = do_POST

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    made.where = f"http://127.0.0.1:{http.server_port}/hooks/{SECRET}"
    try:
        yield made
    finally:
        http.shutdown()
        http.server_close()
        thread.join()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("LLMZERO_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.delenv(webhook.VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_news_arrive_as_slacks_json_and_mention_nobody(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(webhook.VARIABLE, server.where)
    notifier = Notifier(TerminalSettings(), pytest.fail, pytest.fail)
    notifier.tell(News(Path("runs/a"), "a", "failed", reason="<!channel> & \x1b[31mevil"))
    notifier.tell(News(Path("runs/a"), "a", "collapsed", 7))
    notifier.tell(News(Path("runs/a"), "a", "no signal", reason="all rewards are 0"))
    wait(lambda: len(server.got) == 3)
    assert server.got == [
        (f"/hooks/{SECRET}", {"text": text})
        for text in (
            "a failed: &lt;!channel&gt; &amp; evil",
            "a: segment #7 collapsed and was stopped",
            "a: no learning signal: all rewards are 0",
        )
    ]


@pytest.mark.parametrize("answer", [404, 500, 302])
def test_what_is_not_taken_is_said_without_the_address(
    server: Server, home: Path, monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    monkeypatch.setenv(webhook.VARIABLE, server.where)
    server.answer = answer
    said: list[str] = []
    Notifier(TerminalSettings(), pytest.fail, said.append).tell(News(Path(), "a", "finished"))
    wait(lambda: said)
    assert said == [f"webhook: it answered {answer}"]
    assert [path for path, _ in server.got] == [f"/hooks/{SECRET}"], "a redirect is not followed"
    assert SECRET not in (home / "state" / "llmzero" / "notify.log").read_text()


def test_an_address_where_nobody_is_is_said_without_it() -> None:
    with serving() as gone:
        where = gone.where
    assert post(where, "x") == "it cannot be reached: Connection refused"
    assert SECRET not in post(f"http://no-such-host.invalid/{SECRET}", "x")
    assert SECRET not in post(f"http://127.0.0.1:1/{SECRET} x", "x")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"", "it closed the connection without an answer"),
        (b"SSH-2.0-OpenSSH\r\n", "what answered there does not speak HTTP"),
        (None, "it did not answer within 0.2 s"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(monkeypatch: pytest.MonkeyPatch, said: bytes | None, words: str) -> None:
    monkeypatch.setattr(webhook, "SECONDS", 0.2 if said is None else 10.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = threading.Event()

        def answer() -> None:
            taken, _ = listening.accept()
            with taken:
                if said is None:
                    done.wait(20)
                else:
                    taken.recv(65536)
                    taken.sendall(said)

        thread = threading.Thread(target=answer)
        thread.start()
        assert post(f"http://127.0.0.1:{listening.getsockname()[1]}/{SECRET}", "x") == words
        done.set()
        thread.join()


def test_what_does_not_speak_https_is_said(server: Server) -> None:
    assert "does not speak HTTPS" in post(server.where.replace("http://", "https://"), "x")


@pytest.mark.parametrize(
    "wrong", [f"http://127.0.0.1:1/{SECRET} x", f"http://a..b/{SECRET}", f"http://x:99999/{SECRET}"]
)
def test_an_address_that_cannot_be_posted_to_is_said_without_it(wrong: str) -> None:
    said = post(wrong, "x")
    assert said
    assert "Error" not in said
    assert "URL" not in said
    assert SECRET not in said


def test_more_than_so_many_messages_are_left_out_and_counted(server: Server) -> None:
    at = [0.0]
    hook = Webhook(server.where, clock=lambda: at[0])
    for number in range(MOST + 3):
        assert hook.tell(f"news {number}") == ""
    assert len(server.got) == MOST
    at[0] = webhook.WINDOW_SECONDS + 1
    assert hook.tell("later") == ""
    assert server.got[-1][1] == {"text": "later (3 more before it were not sent)"}
    assert hook.tell("and again") == ""
    assert server.got[-1][1] == {"text": "and again"}
    assert SECRET not in repr(hook)


@pytest.mark.parametrize(
    "wrong", [f"ftp://x/{SECRET}", f"{SECRET}", f"https:///{SECRET}", f"http://[{SECRET}", f"http://x:99999/{SECRET}"]
)
def test_an_address_that_is_none_is_refused_without_being_quoted(wrong: str) -> None:
    with pytest.raises(UserError) as error:
        address("", {webhook.VARIABLE: wrong})
    assert SECRET not in str(error.value)
    assert webhook.VARIABLE in str(error.value)
    assert "https://… or http://…, with a port of 1 to 65535" in str(error.value)


@pytest.mark.parametrize("wrong", [SECRET, 7, [SECRET]])
def test_a_wrong_setting_is_refused_without_being_quoted(wrong: object) -> None:
    with pytest.raises(UserError, match="webhook: must be an address") as error:
        checked({"webhook": wrong})
    assert SECRET not in str(error.value)


def test_the_environment_goes_before_the_settings_and_neither_is_shown() -> None:
    settings = checked({"webhook": f"https://a/{SECRET}"})
    assert SECRET not in repr(settings)
    assert address(settings.webhook, {}) == f"https://a/{SECRET}"
    assert address(settings.webhook, {webhook.VARIABLE: "https://b/"}) == "https://b/"


def test_a_test_message_is_sent_from_the_command_line(
    server: Server, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["alerts", "--test"]) == 2
    assert "no webhook; set LLMZERO_WEBHOOK" in capsys.readouterr().err
    (home / "config.toml").write_text(f'webhook = "{server.where}"\n')
    assert load().webhook == server.where
    assert cli.main(["alerts", "--test"]) == 0
    assert server.got == [(f"/hooks/{SECRET}", {"text": "LLMZero: this is a test message"})]
    capsys.readouterr()
    assert cli.main(["--json", "alerts", "--test"]) == 0
    assert json.loads(capsys.readouterr().out) == {"answer": "the webhook took a test message"}
    server.answer = 403
    assert cli.main(["alerts", "--test"]) == 1
    said = capsys.readouterr()
    assert "it answered 403" in said.err
    assert SECRET not in said.out + said.err


def wait(condition: Any) -> None:
    deadline, pause = time.monotonic() + 20, threading.Event()
    while not condition():
        assert time.monotonic() < deadline
        pause.wait(0.01)

"""Carries news out of the terminal: its bell, the desktop, a command of the user's, a webhook.

Called by the app for each piece of news, once, and by `llmzero alerts`. The command gets facts in its environment and
nothing in its words, and there is no shell; what fails is told and logged, and nothing waits for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from queue import Empty, SimpleQueue
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from engine.errors import UserError
from llmzero_tui.format import plain
from llmzero_tui.user.places import state_dir
from llmzero_tui.user.webhook import Webhook, address
from llmzero_tui.values.snapshot import News

if TYPE_CHECKING:
    from llmzero_tui.user.preferences import TerminalSettings

HOOK_SECONDS = 30.0
IDLE_SECONDS = 5.0
"""The thread that runs commands ends when there was nothing to run for so long."""
BACKLOG = 32


def sentence(news: News) -> str:
    """The news in one line of plain text."""
    name, reason = plain(news.name, 64), plain(news.reason, 120)
    if news.kind == "waiting":
        return f"{name}: proposal #{news.node} waits for you"
    if news.kind == "collapsed":
        return f"{name}: segment #{news.node} collapsed and was stopped"
    if news.kind == "no signal":
        return f"{name}: no learning signal" + (f": {reason}" if reason else "")
    if news.kind == "lost":
        return f"{name}: the engine ended without a message; llmzero resume continues the run"
    return f"{name} {news.kind}" + (f": {reason}" if reason else "")


def facts(news: News) -> dict[str, str]:
    """What the command finds in its environment."""
    return {
        "LLMZERO_EVENT": news.kind,
        "LLMZERO_RUN": plain(news.name, 64),
        "LLMZERO_RUN_DIR": str(news.path.absolute()),
        "LLMZERO_NODE": "" if news.node is None else str(news.node),
        "LLMZERO_REASON": plain(news.reason, 300),
        "LLMZERO_TEXT": sentence(news),
    }


@dataclass(frozen=True, slots=True)
class _NotificationJob:
    """`run` does it and returns why it failed, or ""."""

    name: str
    run: Callable[[], str]


class Notifier:
    """Tells news the ways the settings name. `bell` rings the terminal's; `failed` hears why a command did not work, in
    a thread."""

    def __init__(self, settings: TerminalSettings, bell: Callable[[], None], failed: Callable[[str], None]) -> None:
        self.settings = settings
        self._bell = bell
        self._failed = failed
        self._jobs: SimpleQueue[_NotificationJob] = SimpleQueue()
        self._lock = threading.Lock()
        self._running = False
        self._webhook: Webhook | None = None

    def tell(self, news: News) -> None:
        """Ring, show, run; returns at once."""
        if self.settings.bell:
            self._bell()
        if self.settings.desktop:
            self._show(news)
        if self.settings.notify_command:
            self._call(self.settings.notify_command, facts(news))
        if (hook := self._webhook_of_now()) is not None:
            self._queue(_NotificationJob("webhook", partial(hook.tell, sentence(news))))

    def _webhook_of_now(self) -> Webhook | None:
        """The same object for as long as the address stays: it counts what it sends."""
        try:
            where = address(self.settings.webhook)
        except UserError as error:
            self._failed(f"webhook: {error}")
            return None
        if self._webhook is None or self._webhook.where != where:
            self._webhook = Webhook(where) if where else None
        return self._webhook

    def _show(self, news: News) -> None:
        program = shutil.which("notify-send")
        if program is None:
            self._failed("desktop: there is no notify-send on the PATH")
            return
        urgency = "critical" if news.kind in ("failed", "lost", "collapsed", "no signal") else "normal"
        body = sentence(news).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        self._call((program, "--app-name=LLMZero", f"--urgency={urgency}", "--", "LLMZero", body), {})

    def _call(self, words: Sequence[str], environment: dict[str, str]) -> None:
        self._queue(_NotificationJob(words[0], partial(call, words, environment)))

    def _queue(self, job: _NotificationJob) -> None:
        if self._jobs.qsize() >= BACKLOG:
            self._failed(f"{job.name}: {BACKLOG} of its calls are already waiting; this one is skipped")
            return
        self._jobs.put(job)
        with self._lock:
            if not self._running:
                self._running = True
                threading.Thread(target=self._work, name="notify", daemon=True).start()

    def _work(self) -> None:
        """One command after the other; the thread is a daemon, so that leaving waits for none of them."""
        while True:
            try:
                job = self._jobs.get(timeout=IDLE_SECONDS)
            except Empty:
                with self._lock:
                    if self._jobs.empty():
                        self._running = False
                        return
                continue
            error = job.run()
            if error:
                self._failed(f"{plain(job.name, 80)}: {error}{_log(job.name, error)}")


def call(words: Sequence[str], environment: dict[str, str]) -> str:
    """Run a command to its end, at most half a minute. Returns why it failed, or ""."""
    with TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                list(words), env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=said, start_new_session=True,
            )  # fmt: skip
        except (OSError, ValueError) as error:
            return f"cannot be run: {getattr(error, 'strerror', None) or error}"
        try:
            code = process.wait(HOOK_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            return f"not done after {HOOK_SECONDS:.0f} seconds: killed"
        if code == 0:
            return ""
        said.seek(0)
        words_of_it = plain(said.read(4096).decode("utf-8", "replace"), 160)
        return f"exit code {code}" + (f": {words_of_it}" if words_of_it else "")


def _log(program: str, error: str) -> str:
    """One line in notify.log; returns what to add to the message when even that fails."""
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {plain(program, 200)}: {plain(error, 300)}\n"
    try:
        state_dir().mkdir(parents=True, exist_ok=True, mode=0o700)
        with (state_dir() / "notify.log").open("a", encoding="utf-8") as file:
            file.write(line)
    except OSError as trouble:
        return f" (not logged: {trouble.strerror})"
    return ""

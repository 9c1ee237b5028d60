"""`llmzero alerts`: news of the live runs without a screen, by the ways that the settings name, until Ctrl+C.

`--test` sends one message to the webhook and says whether it was taken.
"""

from __future__ import annotations

import argparse
import threading
from dataclasses import asdict

from engine.errors import Fault, UserError
from llmzero_tui.feeds.news import NewsFeed
from llmzero_tui.format import plain
from llmzero_tui.text.output import emit, note
from llmzero_tui.user import webhook
from llmzero_tui.user.notify import Notifier, sentence
from llmzero_tui.user.settings import load
from llmzero_tui.values.answers import to_json


def alerts(options: argparse.Namespace) -> int:
    """Tell what happens in the runs of the directory; exit code 1 when a test message was not taken."""
    settings = load()
    where = webhook.address(settings.webhook)
    if options.test:
        if not where:
            raise UserError(f"no webhook; set {webhook.VARIABLE}, or webhook in the settings (docs/terminal.md)")
        if wrong := webhook.post(where, "LLMZero: this is a test message"):
            raise Fault(f"the webhook did not take the test message: {wrong}")
        said = "the webhook took a test message"
        emit(to_json({"answer": said}) if options.json else said)
        return 0
    if not (where or settings.notify_command or settings.desktop):
        raise UserError(f"no way to tell news: set {webhook.VARIABLE}, or webhook, notify_command or desktop")
    notifier = Notifier(settings, lambda: None, lambda why: note(f"llmzero: {plain(why, 300)}"))
    feed = NewsFeed(options.runs_dir)
    note(f"telling the news of {options.runs_dir} until Ctrl+C")
    waiting = threading.Event()
    try:
        while True:
            for news in feed.read():
                emit(to_json({**asdict(news), "text": sentence(news)}, None) if options.json else sentence(news))
                notifier.tell(news)
            waiting.wait(settings.refresh_seconds)
    finally:
        feed.close()

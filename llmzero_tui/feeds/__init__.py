"""Feeds: what a screen shows, read from a run's database in a worker thread. One module for each screen that has one.

A feed offers `read(view, quick=…)` and `close()`; the app's tick calls the one of the screen in front. DuckDB and Arrow
are imported when a reader is first needed: not before the first paint.
"""

from engine.store.reader import Reader, open_run
from llmzero_tui.feeds.run import RunFeed
from llmzero_tui.feeds.runs import RunsFeed
from llmzero_tui.feeds.source import OpenRun, Source

__all__ = ["OpenRun", "Reader", "RunFeed", "RunsFeed", "Source", "open_run"]

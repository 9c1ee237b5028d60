"""Tells what happened in the runs of a directory, whatever screen is in front: a proposal that started to wait, a
segment that collapsed, a run that ended or learns nothing, an engine that is gone.

Used by the app's tick, after the screen in front was read. The first look at a run finds nothing new: what was there
before this viewer came is no news. Only runs with an engine cost a query; the others cost a glance at their files.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from engine.analysis.summary import FINAL_STATES
from engine.errors import Fault, UserError
from engine.store.queries import load as sql
from engine.store.reader import OpenRun, open_run
from llmzero_tui.feeds.source import Source, held
from llmzero_tui.values.snapshot import News, Row


@dataclass
class _WatchedRun:
    """One run with an engine: what is known of it, and whether its end was told."""

    source: Source
    waiting: frozenset[int] = frozenset()
    collapsed: frozenset[int] = frozenset()
    no_signal: str = ""
    known: bool = False
    over: bool = False


SocketMark = tuple[int, int] | None
"""Inode and time of a socket; None where there is none."""


@dataclass
class NewsFeed:
    """News of all live runs of a directory and of one more run, which may lie elsewhere."""

    directory: Path
    opener: OpenRun = open_run
    _watched: dict[Path, _WatchedRun] = field(default_factory=dict)
    _dead: dict[Path, SocketMark] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, also: Path | None = None) -> tuple[News, ...]:
        """What is new since the last look. Two looks at a time would tell things twice: the second one sees nothing."""
        if not self._lock.acquire(blocking=False):
            return ()
        try:
            for path in self._alive(also):
                self._watched.setdefault(path, _WatchedRun(Source(path, self.opener)))
            return tuple(news for path in list(self._watched) for news in self._look(path))
        finally:
            self._lock.release()

    def close(self) -> None:
        """Let go of all readers."""
        with self._lock:
            for watched in self._watched.values():
                watched.source.close()
            self._watched.clear()

    def _alive(self, also: Path | None) -> Iterable[Path]:
        """Runs with a socket that is not a dead engine's."""
        try:
            names = [entry.name for entry in os.scandir(self.directory)]
        except OSError:
            names = []
        base = str(self.directory)
        paths = {Path(base, name) for name in names if os.path.exists(f"{base}/{name}/engine.sock")}  # noqa: PTH110
        if also is not None and held(also):
            paths.add(also)
        return [path for path in sorted(paths) if self._dead.get(path) != _socket(path)]

    def _look(self, path: Path) -> list[News]:
        watched = self._watched[path]
        try:
            with watched.source.reader() as reader:
                live, rows = reader.live, reader.rows(sql("ui_news"))
        except Fault:
            return []  # on its way out, or slow: the next look knows more
        except UserError as error:
            if getattr(error, "pid", None) is not None:
                return []  # somebody holds the file and does not answer yet
            rows, live = [], False  # no run any more
        if not live:
            self._watched.pop(path).source.close()
            self._dead[path] = _socket(path)
        return _told(path, watched, rows[0], live) if rows else []


def _told(path: Path, watched: _WatchedRun, row: Row, live: bool) -> list[News]:
    """The news between what was known of a run and its row of now."""
    name, state, reason = str(row["name"]), str(row["state"]), str(row["reason"] or "")
    waiting = frozenset(int(node) for node in row["waiting"])
    news: list[News] = []
    collapsed, no_signal = frozenset(int(node) for node in row["collapsed"]), str(row["no_signal"] or "")
    if watched.known and live and state not in FINAL_STATES:
        news = [News(path, name, "waiting", node) for node in sorted(waiting - watched.waiting)]
    if watched.known:
        news += [News(path, name, "collapsed", node) for node in sorted(collapsed - watched.collapsed)]
        news += [News(path, name, "no signal", reason=no_signal)] if no_signal not in ("", watched.no_signal) else []
    if watched.known and not watched.over:
        if state in FINAL_STATES:
            news.append(News(path, name, state, reason=reason))  # type: ignore[arg-type]
        elif not live:
            news.append(News(path, name, "lost"))
    watched.over = state in FINAL_STATES or not live
    watched.known, watched.waiting, watched.collapsed, watched.no_signal = True, waiting, collapsed, no_signal
    return news


def _socket(path: Path) -> SocketMark:
    """Tells an engine's socket from that of the engine before, whose inode it may have been given again."""
    try:
        status = (path / "engine.sock").stat()
    except OSError:
        return None
    return status.st_ino, status.st_mtime_ns

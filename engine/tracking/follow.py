"""`python -m engine.tracking.follow RUN_DIR TRACKER`: tells a tracker what the run stores, until no engine holds it.

Started by the daemon, once for each tracker, and never waited for: it reads through the run's socket as a viewer does,
and may fail, hang or be killed at any time. How far it came is in a file, so that a resume goes on from there; of
a run and a tracker there is one such process at a time.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import logging
import math
import subprocess
import sys
import tempfile
import threading
from itertools import groupby
from pathlib import Path
from typing import Any

from engine import own_packages
from engine.errors import Fault, UserError
from engine.files import whole
from engine.run.config import load
from engine.run.rundir import Holder, RunDirectory
from engine.store.reader import Reader, ask_run
from engine.tracking.trackers import TRACKERS, TrackedNode, Tracker

_log = logging.getLogger("tracking")

POLL_SECONDS = 2.0
AT_ONCE = 20_000
"""Rows of one look."""
OPEN_FOR_EACH_WORKER = 2
"""Nodes that a tracker holds open, those told last: the one that a worker trains, and some room for slow ones."""
REPORT_SECONDS = 300.0

NEWS = """
SELECT seq, node_id, step, name, value FROM metrics WHERE seq > ?
UNION ALL BY NAME
SELECT seq, node_id, step, 'validation' AS name, value FROM checkpoints WHERE seq > ?
ORDER BY seq LIMIT ?
"""
NODES = "SELECT node_id, parent_id, branch_step, intent, label, seed, configuration FROM nodes"


def main() -> int:
    """Follow the run to its end."""
    parser = argparse.ArgumentParser(prog="engine.tracking.follow")
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("tracker", choices=TRACKERS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    directory = RunDirectory(options.run_dir.resolve())
    config = load(directory.config)
    engine = directory.holder()
    place = directory.path / "tracking" / options.tracker
    place.mkdir(parents=True, exist_ok=True)
    with (place / "lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the one before may still tell the rest; however it ends, the kernel frees it
        tracker = TRACKERS[options.tracker](config.tracking, directory.name, place)
        at_once = OPEN_FOR_EACH_WORKER * config.executor.workers
        RunTeller(directory, tracker, place, at_once).follow(engine)
    return 0


class RunTeller:
    """From the rows of a run to one tracker, which holds so many nodes open at once."""

    def __init__(self, directory: RunDirectory, tracker: Tracker, place: Path, at_once: int) -> None:
        self._directory = directory
        self._tracker = tracker
        self._mark = place / "told.json"
        self._told = int(json.loads(self._mark.read_text())["seq"]) if self._mark.is_file() else 0
        self._nodes: dict[int, TrackedNode] = {}
        self._open: dict[int, None] = {}  # the one told last is the last
        self._at_once = at_once

    def follow(self, engine: Holder | None) -> None:
        """Tell what is new, look by look; after the engine has gone, or another has come, what is left, and the
        artifacts."""
        pause = threading.Event()
        while True:
            holder = self._directory.holder()
            alive = holder is not None and (holder == engine or not holder.pid)  # without a name: it goes or comes
            more = self._tell()
            if not more and not alive:
                break
            if not more:
                pause.wait(POLL_SECONDS)
        with tempfile.TemporaryDirectory(prefix="llmzero-tracking-") as made:
            self._tracker.close(self._artifacts(Path(made)))

    def _tell(self) -> bool:
        """Whether there may be more at once."""
        try:
            rows = ask_run(self._directory.path, self._read)
        except (Fault, UserError) as error:  # its engine comes or goes
            _log.info("%s", error)
            return False
        for (node, step), values in groupby(rows, key=lambda row: (row["node_id"], row["step"])):
            finite = {row["name"]: row["value"] for row in values if math.isfinite(row["value"])}
            if finite and node in self._nodes:
                self._log(self._nodes[node], step, finite)
        if rows:
            self._told = rows[-1]["seq"]
            with whole(self._mark) as file:
                file.write(json.dumps({"seq": self._told}).encode())
        return len(rows) == AT_ONCE

    def _log(self, node: TrackedNode, step: int, values: dict[str, float]) -> None:
        self._open.pop(node.id, None)
        if len(self._open) == self._at_once:
            oldest = next(iter(self._open))
            del self._open[oldest]
            self._tracker.leave(self._nodes[oldest])
        self._open[node.id] = None
        self._tracker.log(node, step, values)

    def _read(self, reader: Reader) -> list[dict[str, Any]]:
        rows = reader.rows(NEWS, (self._told, self._told, AT_ONCE), lane="long")
        if {row["node_id"] for row in rows} - self._nodes.keys():
            self._nodes |= {row["node_id"]: _node(row) for row in reader.rows(NODES)}
        return rows

    def _artifacts(self, made: Path) -> list[Path]:
        """The strategy, and the report as `llmzero report` writes it; what cannot be made is left out."""
        files = [self._directory.strategy] if self._directory.strategy.is_file() else []
        command = own_packages.command("llmzero_tui")
        command += ["report", str(self._directory.path), "-o", str(made / "report")]
        try:
            subprocess.run(command, check=True, timeout=REPORT_SECONDS, stdin=subprocess.DEVNULL, stdout=sys.stderr)
        except (OSError, subprocess.SubprocessError) as error:
            _log.warning("no report: %s", error)
        return files + [file for file in [made / "report" / "report.html"] if file.is_file()]


def _node(row: dict[str, Any]) -> TrackedNode:
    """The facts are the configuration, and where the node stands."""
    place = {"node": row["node_id"], "parent": row["parent_id"], "branch_step": row["branch_step"],
             "intent": row["intent"], "seed": row["seed"]}  # fmt: skip
    configuration = json.loads(row["configuration"] or "{}")
    known = {name: value for name, value in place.items() if value is not None}
    return TrackedNode(row["node_id"], row["parent_id"], str(row["label"]), {**configuration, **known})


if __name__ == "__main__":
    raise SystemExit(main())

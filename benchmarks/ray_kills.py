"""What a run on a Ray cluster loses when processes are killed: twenty, at random, while small real searches run.

Run `python -m benchmarks.ray_kills`; it writes docs/benchmark-ray-kills.md. Needs Ray (`make setup EXTRAS=ray`). The
cluster is a head that runs nothing and three raylets of one core on this machine. Killed, by SIGKILL, are raylets
(another one joins then), the actors of our workers, the worker processes, and the engine (then `resume`). It takes some
twenty minutes.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import signal
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from engine.errors import Fault, UserError
from engine.executors.lease import LEASE_SECONDS
from engine.host import machine
from engine.run.rundir import RunDirectory
from engine.words import counted
from tests.engine import acknowledged, live

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmark-ray-kills.md"
KINDS = ("raylet", "actor", "worker", "engine")
RAYLETS = 3
WORKERS = 2
SEARCH = {"nodes": 8, "segment_steps": 24, "workers": WORKERS, "kind": "ray"}
IDLE = "nothing"
QUIET_SECONDS = (1.0, 12.0)
"""From the moment that training went on to the next kill."""
HEARD_WITHIN = 90.0
"""Seconds in which the engine says that it lost something; a victim of which it says nothing had no work."""
GOES_ON_WITHIN = 240.0
GONE_WITHIN = LEASE_SECONDS + 15.0
"""Seconds after its engine or its actor in which a process of ours has to end."""


@dataclass(frozen=True)
class Kill:
    """One kill: in which run, of what, what that process had in hand, seconds until this was gone on with."""

    run: int
    kind: str
    work: str
    seconds: float | None


@dataclass
class Result:
    """What came of all of them."""

    kills: list[Kill] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    acknowledged: int = 0
    lost: list[Any] = field(default_factory=list)
    doubled: list[Any] = field(default_factory=list)
    orphans: list[str] = field(default_factory=list)
    crashed: int = 0
    segments: int = 0


class Machines:
    """A cluster on this machine whose raylets can be killed and replaced."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self._raylets = [self._cluster.add_node(num_cpus=1) for _ in range(RAYLETS)]
        self._cluster.wait_for_nodes()
        self.address: str = self._cluster.address

    def kill_one(self, chance: random.Random) -> None:
        """SIGKILL to a raylet alone; Ray's other processes of that machine notice by themselves."""
        raylet = self._raylets.pop(chance.randrange(len(self._raylets)))
        os.kill(raylet.all_processes["raylet"][0].process.pid, signal.SIGKILL)
        self._cluster.remove_node(raylet, allow_graceful=False)

    def replace(self) -> None:
        """Add machines until there are as many as at first."""
        while len(self._raylets) < RAYLETS:
            self._raylets.append(self._cluster.add_node(num_cpus=1))

    def close(self) -> None:
        self._cluster.shutdown()


def actors() -> list[psutil.Process]:
    """The processes of the actors that keep our workers."""
    return [each for each in psutil.process_iter(["cmdline"]) if "RayWorker" in " ".join(each.info["cmdline"] or [])]


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def asked(directory: RunDirectory, sql: str, *params: object) -> list[dict[str, Any]]:
    """Rows of a run, none while its engine is between two lives."""
    try:
        return live.rows(directory, sql, *params)
    except (UserError, Fault, OSError):
        return []


GOES_ON = """
SELECT min(ts) AS ts FROM (
    SELECT ts, node_id, seq FROM metrics
    UNION ALL SELECT ts, node_id, seq FROM checkpoints
    UNION ALL SELECT ts, node_id, seq FROM evaluations
    UNION ALL SELECT ts, node_id, seq FROM events WHERE kind IN ('ended', 'winner')
    UNION ALL SELECT ts, node_id, seq + 1 FROM events WHERE kind = 'requeued' AND message LIKE '%trained all of%'
) WHERE seq > ? AND ts > ? AND coalesce(node_id = ?, true) HAVING min(ts) IS NOT NULL
"""


class Killing:
    """Kills in one run after the other until enough were killed."""

    def __init__(self, machines: Machines, where: Path, kills: int, seed: int) -> None:
        self._machines = machines
        self._where = where
        self._chance = random.Random(seed)
        self._kinds = [KINDS[number % len(KINDS)] for number in range(kills)]
        self._chance.shuffle(self._kinds)
        self.result = Result()

    def all(self) -> Result:
        """Kill, and see every run to its end."""
        while self._kinds:
            self._one_run(len(self.result.states) + 1)
        return self.result

    def _one_run(self, number: int) -> None:
        directory = live.create(self._where, name=f"kills-{number}", address=self._machines.address, **SEARCH)
        live.start(directory)
        kept: Counter[acknowledged.Row] = Counter()
        try:
            live.wait_for_rows(directory, "SELECT 1 FROM metrics", seconds=300)
            while self._kinds and directory.holder() is not None:
                time.sleep(self._chance.uniform(*QUIET_SECONDS))  # the random moment is what is tried
                with suppress(UserError, Fault, OSError):  # it has just come to its end
                    kept |= acknowledged.rows(directory)
                    self._kill(directory, number)
            self.result.states.append(live.wait_for_end(directory, 900))
        finally:
            live.kill(directory)
        self._count(directory, kept, number)

    def _kill(self, directory: RunDirectory, number: int) -> None:
        """One kill of the kind that is next, unless the run has come to its end or no such process lives."""
        kind, holder = self._kinds[-1], directory.holder()
        ours = {"actor": actors(), "worker": live.workers_in(directory)}
        if holder is None or not ours.get(kind, [holder]):
            return
        [row] = live.rows(
            directory, "SELECT max(seq) AS seq FROM (SELECT seq FROM events UNION SELECT seq FROM metrics)"
        )
        killed = datetime.now(UTC).replace(tzinfo=None)
        if kind == "raylet":
            self._machines.kill_one(self._chance)
        else:
            os.kill(holder.pid if kind == "engine" else self._chance.choice(ours[kind]).pid, signal.SIGKILL)
        self._kinds.pop()
        if kind == "engine":
            live.wait_for("the lock to be free", lambda: directory.holder() is None)
            live.start(directory)
            self._notice_orphans("an engine that was killed", [*ours["actor"], *ours["worker"]])
            work, again = "the run", goes_on(directory, row["seq"], killed, None)
        else:
            work, again = self._after_loss(directory, row["seq"], killed)
        self._machines.replace()
        kill = Kill(number, kind, work, (again - killed).total_seconds() if again else None)
        self.result.kills.append(kill)
        print(f"kill {len(self.result.kills)}: {kill}", flush=True)

    def _after_loss(self, directory: RunDirectory, before: int, killed: datetime) -> tuple[str, datetime | None]:
        """What was in hand, by the engine's word, and when that was gone on with."""
        sql = "SELECT seq, kind, node_id FROM events WHERE seq > ? AND level <> 'info' ORDER BY seq"
        deadline = time.monotonic() + HEARD_WITHIN
        while time.monotonic() < deadline and directory.holder() is not None:
            for event in asked(directory, sql, before):
                if event["kind"] in ("requeued", "evaluation"):
                    work = "an evaluation" if event["node_id"] is None else f"segment {event['node_id']}"
                    return work, goes_on(directory, event["seq"], killed, event["node_id"])
                if event["kind"] == "ended":
                    return f"segment {event['node_id']}, its second loss: crashed", None
            time.sleep(0.1)
        return IDLE, None

    def _notice_orphans(self, of: str, processes: list[psutil.Process]) -> None:
        deadline = time.monotonic() + GONE_WITHIN
        while any(alive(each) for each in processes) and time.monotonic() < deadline:
            time.sleep(0.2)
        self.result.orphans += [f"process {each.pid} of {of}" for each in processes if alive(each)]

    def _count(self, directory: RunDirectory, kept: Counter[acknowledged.Row], number: int) -> None:
        self._notice_orphans(f"run {number}, which has ended", [*actors(), *live.workers_in(directory)])
        result = self.result
        result.acknowledged += kept.total()
        lost, doubled = acknowledged.lost(directory, kept), acknowledged.doubled(directory)
        result.lost += lost
        result.doubled += doubled
        [row] = live.rows(
            directory,
            "SELECT count(*) AS n, count(*) FILTER (state = 'crashed') AS crashed FROM nodes WHERE node_id > 0 "
            "AND started IS NOT NULL",
        )
        result.segments += row["n"]
        result.crashed += row["crashed"]
        print(
            f"run {number}: {result.states[-1]}, {kept.total()} rows, {lost=}, {doubled=}, {result.orphans=}",
            flush=True,
        )


def goes_on(directory: RunDirectory, after: int, killed: datetime, node: int | None) -> datetime | None:
    """When the first row was written after row `after`, of a node if there is one; None if the run ends without."""
    deadline = time.monotonic() + GOES_ON_WITHIN
    while time.monotonic() < deadline:
        ended = directory.holder() is None
        if rows := asked(directory, GOES_ON, after, killed, node):
            moment: datetime = rows[0]["ts"]
            return moment
        if ended:
            break
        time.sleep(0.1)
    return None


def page(result: Result, seed: int) -> str:
    """The result as Markdown."""
    by_kind = []
    for kind in KINDS:
        these = [kill for kill in result.kills if kill.kind == kind]
        seconds = [kill.seconds for kill in these if kill.seconds is not None]
        spread = f"{median(seconds):.0f} ({min(seconds):.0f} … {max(seconds):.0f})" if seconds else "–"
        second = sum(kill.work.endswith("crashed") for kill in these)
        idle = sum(kill.work == IDLE for kill in these)
        by_kind.append(f"| {kind} | {len(these)} | {idle} | {second} | {spread} |")
    each = []
    for number, kill in enumerate(result.kills, 1):
        after = "–" if kill.seconds is None else f"{kill.seconds:.0f}"
        each.append(f"| {number} | {kill.run} | {kill.kind} | {kill.work} | {after} |")
    return PAGE_TEXT.format(
        kills=len(result.kills), seed=seed, runs=len(result.states), raylets=RAYLETS, workers=WORKERS,
        segments=SEARCH["nodes"], steps=SEARCH["segment_steps"], least=QUIET_SECONDS[0], most=QUIET_SECONDS[1],
        result=result, lost=len(result.lost), doubled=len(result.doubled), orphans=len(result.orphans),
        gone=GONE_WITHIN, lease=LEASE_SECONDS, by_kind="\n".join(by_kind), each="\n".join(each),
        ends=", ".join(f"{n} {state}" for state, n in Counter(result.states).items()),
        machine=f"{counted(machine.cores(), 'CPU core')}, shared, {platform.system()} {platform.machine()}",
        load=os.getloadavg()[0],
        python=platform.python_version(),
    )  # fmt: skip


PAGE_TEXT = """# Kills in a Ray cluster

{kills} kills (SIGKILL, seed {seed}) in {runs} real searches with `executor.kind = "ray"`, on a cluster of a head that
runs nothing and {raylets} raylets of one core, all on one machine: {workers} workers, {segments} segments of {steps}
steps on the task knights, the shipped base of 0.3M parameters. {least:g} to {most:g} s after training went on, the next
process was killed, its kind and which of them drawn at random. A raylet was replaced by another, an engine by `resume`.

| | |
|---|---|
| acknowledged rows seen before a kill | {result.acknowledged} |
| of them lost or changed at the end | {lost} |
| rows that are there twice | {doubled} |
| orphans: workers or actors alive {gone:g} s after their engine | {orphans} |
| how the runs ended | {ends} |
| segments | {result.segments}, of them {result.crashed} crashed: they lost two workers |

Acknowledged is what a reader of the run saw before the kill: metrics up to the last scored checkpoint of their segment,
checkpoints with their scores, evaluations, finished segments, events.

| killed | times | had no work | the second loss of a segment | seconds until the work went on, median (least … most) |
|---|---|---|---|---|
{by_kind}

From the kill to the first row of the segment or evaluation that was cut off; after a kill of the engine, of the run.
A worker whose machine Ray takes for dead is waited for until its lease of {lease:g} s is over
([clusters.md](clusters.md)): it may only be cut off, and still write.

| | run | killed | in its hands | seconds |
|---|---|---|---|---|
{each}

Machine: {machine}, Python {python}; load average at the end {load:.1f}.
Written by `python -m benchmarks.ray_kills`.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    machines = Machines()
    try:
        with tempfile.TemporaryDirectory() as where:
            result = Killing(machines, Path(where), options.kills, options.seed).all()
    finally:
        machines.close()
    PAGE.write_text(page(result, options.seed), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()

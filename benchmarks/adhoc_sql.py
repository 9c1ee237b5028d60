"""What ad-hoc SQL costs a live run: `python -m benchmarks.adhoc_sql [ROWS]`. Prints a table for docs/sql.md.

An engine writes metrics all the time; a viewer asks its quick question; beside them run ad-hoc queries of all kinds.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import quantiles

import duckdb
import psutil

from engine.errors import Fault, UserError
from engine.store.query_process import QueryLimits, end_all
from engine.store.reader import Reader, open_run
from engine.store.writer import Writer
from tests.engine.store_engine import engine_process, small_search

SECONDS = 10.0
QUICK = "SELECT * FROM metrics WHERE seq > (SELECT max(seq) - 20 FROM metrics)"
QUERIES = {
    "none": "",
    "a mean over all metrics": "SELECT name, avg(value) FROM metrics GROUP BY ALL",
    "a list of 3e9 numbers": "SELECT range(3000000000)",
    "a product": "SELECT count(*) FROM metrics a, metrics b WHERE a.value * b.value = 3",
}


def fill(path: Path, rows: int) -> float:
    """A run with that many metrics; its size in MB."""
    writer = Writer(path)
    small_search(writer)
    writer.close()
    with duckdb.connect(str(path)) as file:
        file.execute(
            "INSERT INTO metrics BY NAME SELECT 1000 + range AS seq, now()::TIMESTAMP AS ts, (range // 20000)::INT AS "
            "node_id, (range % 20000)::INT AS step, 'reward' AS name, random() AS value FROM range(?)",
            [rows],
        )
    return path.stat().st_size / 1e6


def ask_until(reader: Reader, sql: str, over: threading.Event, times: list[float]) -> None:
    """Ad-hoc queries, one after the other; what the limits end counts as well."""
    while sql and not over.is_set():
        begun = time.monotonic()
        with suppress(UserError, Fault):
            reader.query(sql, lane="adhoc")
        times.append(time.monotonic() - begun)


def measure(directory: Path, sql: str, memory: Callable[[], float]) -> str:
    """One line of the table."""
    asking, looking = open_run(directory), open_run(directory)
    asking.limits = QueryLimits(seconds=5)
    over, adhoc, quick, most = threading.Event(), list[float](), list[float](), 0.0
    thread = threading.Thread(target=ask_until, args=(asking, sql, over, adhoc))
    thread.start()
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        begun = time.monotonic()
        looking.rows(QUICK)
        quick.append((time.monotonic() - begun) * 1000)
        most = max(most, memory())
        time.sleep(0.02)
    over.set()
    thread.join()
    asking.close()
    looking.close()
    cuts = quantiles(quick, n=20)
    first = f"{min(adhoc):.2f} s" if adhoc else ""
    return f"{cuts[9]:.0f} ms | {cuts[18]:.0f} ms | {most:.0f} MB | {first} |"


def main(rows: int) -> None:
    """All of it, on a fresh run."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        size = fill(directory / "run.duckdb", rows)
        print(f"run.duckdb {size:.0f} MB, {rows} metrics, {psutil.cpu_count()} processors")
        print("| ad-hoc query | quick question, median | 95th percentile | engine's memory | fastest answer |")
        print("|---|---|---|---|---|")
        with engine_process(directory) as engine:
            assert engine.stdin is not None
            assert engine.stdout is not None
            engine.stdin.write("write\n")
            engine.stdin.flush()
            threading.Thread(target=lambda: [None for _ in engine.stdout or ()], daemon=True).start()
            process = psutil.Process(engine.pid)
            for name, sql in QUERIES.items():
                print(f"| {name} | {measure(directory, sql, lambda: process.memory_info().rss / 1e6)}", flush=True)
        end_all()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 8_000_000)

"""A run directory as a real search leaves it, built straight from schema.sql: for tests and benchmarks of the face.

Deterministic: one seed, one clock (`NOW`). Some texts are hostile on purpose: markup, escapes, bidirectional marks.
`python -m tests.tui.sample_run DIR` writes it (and a finished and a failed companion) for looking at by hand.
"""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from engine.domain.space import Space, Value
from engine.run import config
from engine.store.database import prepare
from tests.tui import sample_words

START = datetime(2026, 3, 2, 9, 0, 0)
NOW = START + timedelta(minutes=14, seconds=3)
HOSTILE = "[/foo] [b]bold[/b] \x1b[31mred\x1b[0m \u202eevil\u202c \x07bell [@click=app.quit]x[/]"

RUN_FILE = """
name = "{name}"
[task]
name = "knights"
[model]
path = "assets/tiny/knights"
[budget]
steps = 1500
minutes = 40
[search]
segment_steps = 50
[gate]
mode = "manual"
"""

SPACE = Space.build(
    {
        "learning_rate": {"low": 1e-6, "high": 5e-4, "default": 1e-4},
        "beta": {"default": 0.0},
        "temperature": {"low": 0.6, "high": 1.4, "default": 1.0},
        "max_completion_length": {"low": 24, "high": 96, "default": 64},
        "epsilon_high": {"low": 0.2, "high": 0.4, "default": 0.2},
    },
    batch_size=32,
)
DEFAULTS = SPACE.default()


@dataclass(frozen=True)
class Segment:
    """One node of the sample: where it hangs, what it changes, how good it gets."""

    node: int
    parent: int
    step: int
    state: str
    intent: str
    label: str
    changes: dict[str, float]
    final: float
    reason: str = ""
    trained: int = 50
    reference: str = "base"
    optimizer: str = "keep"


SEGMENTS = (
    Segment(1, 0, 0, "finished", "root", "lr 1e-4", {"learning_rate": 1e-4}, 0.355),
    Segment(2, 0, 0, "finished", "root", "lr 5e-5 temp 1.2", {"learning_rate": 5e-5, "temperature": 1.2}, 0.298),
    Segment(3, 0, 0, "early-stopped", "root", "lr 5e-4", {"learning_rate": 5e-4}, 0.148,
            "at step 34 reward 0.11 trails the best curve 0.29 by 4.1 standard errors", 34),
    Segment(4, 0, 0, "finished", "root", "kl .04 G 16", {"beta": 0.04, "num_generations": 16}, 0.317),
    Segment(5, 1, 50, "finished", "keep", "continue", {}, 0.462),
    Segment(6, 1, 50, "finished", "change", "temp↑ clip↑", {"temperature": 1.2, "epsilon_high": 0.28}, 0.441),
    Segment(7, 2, 50, "finished", "keep", "continue", {}, 0.402),
    Segment(8, 4, 50, "nan", "change", "lr↑ kl 0", {"learning_rate": 3e-4, "beta": 0.0}, 0.2,
            "loss is NaN at step 12", 12),
    Segment(9, 4, 50, "out-of-memory", "change", "len 96 G 32",
            {"max_completion_length": 96, "num_generations": 32}, 0.3, "CUDA out of memory at step 2", 2),
    Segment(10, 5, 50, "finished", "keep", "continue", {}, 0.587),
    Segment(11, 5, 50, "finished", "change", "lr↓ kl .01", {"learning_rate": 5e-5, "beta": 0.01}, 0.541,
            reference="branch point"),
    Segment(12, 5, 25, "crashed", "change", "[b]len↑[/b]", {"max_completion_length": 80}, 0.47, HOSTILE, 21),
    Segment(13, 10, 50, "running", "keep", "continue", {}, 0.668, trained=31),
    Segment(14, 10, 50, "stopped", "change", "temp↓ G 16", {"temperature": 0.8, "num_generations": 16}, 0.6,
            "a human asked", 40, optimizer="reset"),
    Segment(15, 10, 50, "proposed", "change", "lr↓ clip↑", {"learning_rate": 5e-5, "epsilon_high": 0.28}, 0.7,
            trained=0),
    Segment(16, 6, 50, "proposed", "change", "kl .02", {"beta": 0.02}, 0.5, trained=0),
)  # fmt: skip
BASE = (256, 36, 54)
PENDING = {15: (2, 41), 16: (1, 88)}
"""Proposed node → (revision, seconds it has waited)."""
BY_HAND = (14,)
"""Nodes that a human made."""
NOTES = {5: "The branch to beat: compare every change below with it.", 12: HOSTILE}
"""Node → what a human wrote on it."""

PROMPTS = (
    ("K A:B=C B:B=C C:B->", "+++yyn;++-nny;+-+#--+", "--+"),
    ("K A:A=B B:C>A C:A=C->", "+-+ynn;-+-yyn;#-+-", "-+-"),
    ("K A:C>B B:A=C C:B=A->", HOSTILE, "+--"),
)


def configuration(node: int) -> dict[str, Value]:
    """Values of every parameter at `node`: the changes along its path over the defaults."""
    by_id = {s.node: s for s in SEGMENTS}
    path: list[Segment] = []
    while node:
        path.append(by_id[node])
        node = by_id[node].parent
    values = dict(DEFAULTS)
    for segment in reversed(path):
        values.update(segment.changes)
    return values


def start_steps(node: int) -> int:
    """GRPO steps from the base to the beginning of `node`."""
    by_id = {s.node: s for s in SEGMENTS}
    segment = by_id[node]
    return 0 if segment.parent == 0 else start_steps(segment.parent) + segment.step


def scored(value: float, n: int = 256) -> tuple[int, int, int]:
    """(n, greedy, sampled) whose steering value is about `value`."""
    sampled = round(max(0.0, value - 0.04) * n)
    return n, max(0, min(n, round(3 * n * value) - 2 * sampled)), sampled


def metric_rows(segment: Segment, first: float, rng: random.Random) -> Iterable[tuple[int, str, float]]:
    """(step, name, value) of a segment: reward climbs from `first`, entropy falls, the rest wobbles."""
    heat = segment.changes.get("learning_rate", 1e-4) / 1e-4
    for step in range(1, segment.trained + 1):
        share = 1 - math.exp(-3 * step / 50)
        reward = first + (segment.final - first) * share + rng.gauss(0, 0.035)
        if segment.state == "early-stopped" and step > 12:
            reward -= 0.006 * (step - 12)
        yield step, "reward", max(0.0, min(1.0, reward))
        yield step, "kl", abs(0.004 * heat * share + rng.gauss(0, 0.0006))
        yield step, "entropy", max(0.05, 1.9 - 1.1 * share * min(2.0, heat) + rng.gauss(0, 0.05))
        yield step, "completions/mean_length", 21 + 9 * share + rng.gauss(0, 0.8)
        yield step, "completions/clipped_ratio", max(0.0, 0.02 + 0.05 * share + rng.gauss(0, 0.01))
        yield step, "clip_ratio/region_mean", max(0.0, 0.01 * heat + rng.gauss(0, 0.004))
        yield step, "grad_norm", abs(0.6 + 0.5 * math.sin(step / 5) * heat + rng.gauss(0, 0.15))
        yield step, "frac_reward_zero_std", max(0.0, 0.3 - 0.2 * share + rng.gauss(0, 0.03))
        yield step, "loss", float("nan") if segment.state == "nan" and step == 12 else rng.gauss(0, 0.02)
        yield step, "step_seconds", 0.27 + rng.gauss(0, 0.02)
    if segment.state == "nan":
        yield 12, "grad_norm", float("inf")


class _Rows:
    """Collects rows with one running seq and writes each table at once."""

    def __init__(self) -> None:
        self.seq = 0
        self.tables: dict[str, list[Sequence[Any]]] = {}

    def next(self) -> int:
        self.seq += 1
        return self.seq

    def add(self, table: str, *row: Any) -> None:
        self.tables.setdefault(table, []).append(row)

    def write(self, con: duckdb.DuckDBPyConnection) -> None:
        import pyarrow as pa

        for table, rows in self.tables.items():
            described = con.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = ?", [table])
            columns = [str(name) for (name,) in described.fetchall()]
            # What a row does not give, at its end, is NULL.
            data = pa.table(
                {name: [row[i] if i < len(row) else None for row in rows] for i, name in enumerate(columns)}
            )
            con.register("incoming", data)
            con.execute(f"INSERT INTO {table} SELECT * FROM incoming")  # noqa: S608 - our own names
            con.unregister("incoming")


def _root(rows: _Rows) -> None:
    n, greedy, sampled = BASE
    rows.add(
        "nodes",
        0,
        None,
        None,
        0,
        "finished",
        "",
        "base",
        "base",
        json.dumps(DEFAULTS),
        "{}",
        "keep",
        "base",
        "The untrained base model.",
        "",
        "",
        None,
        0,
        0,
        0,
        0,
        0.0,
        False,
        START,
        START,
        START,
    )
    rows.add("checkpoints", rows.next(), 0, 0, "", 0, n, greedy, sampled, (greedy + 2 * sampled) / (3 * n),
             True, START, None, None, None)  # fmt: skip


def _rationale(segment: Segment) -> str:
    if segment.intent == "keep":
        return (
            f"#{segment.parent} looks healthy; continue with the same settings. Evidence: reward rose by 0.08 over the "
            "last 50 steps, kl 0.004 and entropy 1.1 are stable."
        )
    if segment.state == "crashed":
        return HOSTILE
    names = ", ".join(f"{k} → {v:g}" for k, v in segment.changes.items())
    return (
        f"Entropy fell by 52% (1.9 → 0.91, steps 8–50) while reward gained only 0.02 after step 35. Fix: "
        f"restore exploration, with {names}."
    )


def _node(rows: _Rows, segment: Segment, depth: int, begun: datetime, rng: random.Random) -> None:
    waiting = segment.state == "proposed"
    ended = None if segment.state in ("running", "proposed") else begun + timedelta(seconds=segment.trained)
    rows.add("nodes", segment.node, segment.parent, segment.step, depth, segment.state, segment.reason,
             segment.intent, segment.label, json.dumps(configuration(segment.node)),
             json.dumps(segment.changes), segment.optimizer, segment.reference, _rationale(segment),
             "reward at least 0.05 above continuing within 50 steps, entropy above 1.0",
             "human" if segment.node in BY_HAND else "rules", segment.node,
             segment.node * 7, 50, segment.trained, start_steps(segment.node), segment.trained * 0.31, False,
             begun, None if waiting else begun, ended, NOTES.get(segment.node))  # fmt: skip
    first = 0.2 if segment.parent == 0 else next(s.final for s in SEGMENTS if s.node == segment.parent)
    for step, name, value in metric_rows(segment, first, rng):
        rows.add("metrics", rows.next(), segment.node, step, name, value, begun + timedelta(seconds=step))
    for step in (25, 50):
        if step <= segment.trained:
            value = first + (segment.final - first) * (0.62 if step == 25 else 1.0)
            n, greedy, sampled = scored(value)
            rows.add("checkpoints", rows.next(), segment.node, step, f"segments/{segment.node}/checkpoint-{step}",
                     3_700_000, n, greedy, sampled, (greedy + 2 * sampled) / (3 * n), segment.node != 7,
                     begun + timedelta(seconds=step), None, None, None)  # fmt: skip


def _texts(rows: _Rows, segment: Segment, begun: datetime) -> None:
    node = segment.node
    if segment.trained:
        for step in (25, 50):
            for prompt, completion, answer in PROMPTS if step <= segment.trained else ():
                right = completion.endswith(answer)
                shape = {"answer": float(right), "format": float("#" not in completion)}
                rows.add("completions", rows.next(), node, step, prompt, completion, answer, float(right), right,
                         "#" not in completion, begun + timedelta(seconds=step), json.dumps(shape),
                         "train")  # fmt: skip
            if step <= segment.trained:
                sample_words.answers(rows.add, rows.next, node, step, begun + timedelta(seconds=step))
        rows.add("events", rows.next(), "info", "segment-started", node, f"#{node} {segment.label} begins", "", begun)
    if segment.state in ("nan", "crashed", "out-of-memory", "early-stopped"):
        level = "warning" if segment.state == "early-stopped" else "error"
        rows.add(
            "events",
            rows.next(),
            level,
            f"segment-{segment.state}",
            node,
            f"#{node} {segment.state}: {segment.reason}",
            "",
            begun + timedelta(seconds=segment.trained),
        )
    if segment.parent:
        call = node
        rows.add("agent_calls", call, rows.next(), segment.parent, "rules", "diagnose", "", "1", "{}", "{}",
                 "", "[]", 0, 0, 1.8, "", begun)  # fmt: skip
        rows.add("diagnoses", rows.next(), segment.parent, call,
                 *(("healthy", 0.1) if segment.intent == "keep" else ("entropy collapse", 0.7)),
                 "entropy 1.9 → 0.91 (−52%) over steps 8–50", "[]", begun)  # fmt: skip


def _proposals(rows: _Rows) -> None:
    for segment in SEGMENTS:
        revision, waited = PENDING.get(segment.node, (1, 0))
        pending = segment.node in PENDING
        created = NOW - timedelta(seconds=waited) if pending else START
        rows.add("proposals", segment.node, revision, segment.node, segment.parent, segment.step, segment.intent,
                 segment.label, json.dumps(segment.changes), segment.optimizer, segment.reference,
                 _rationale(segment), "reward at least 0.05 above continuing within 50 steps", "rules", None,
                 "pending" if pending else "approved", "", None, "" if pending else "gate", created,
                 None if pending else created)  # fmt: skip


def _spent(rows: _Rows, done: bool) -> None:
    for count in range(0, 16):
        steps = count * 42
        rows.add("budget", rows.next(), steps, count, steps * 0.31, count * 56.0, steps / 1500,
                 START + timedelta(seconds=count * 56))  # fmt: skip
    if done:
        rows.add("budget", rows.next(), 1500, 16, 465.0, 1400.0, 1.0, NOW)


def build(directory: Path, *, name: str = "knights-01", state: str = "training", reason: str = "") -> Path:
    """Write `directory`/`name`/run.duckdb and return the run's directory."""
    run = directory / name
    run.mkdir(parents=True, exist_ok=True)
    settings = config.parse(RUN_FILE.format(name=name))
    (run / "run.toml").write_text(settings.to_toml(), encoding="utf-8")
    rng = random.Random(7)
    rows = _Rows()
    ended = NOW if state in ("finished", "stopped", "failed") else None
    done = state == "finished"
    picked = (10, 50, "segments/10/checkpoint-50") if done else (None, None, None)
    named = ("#10 step 50", "[[10,50]]") if done else (None, None)
    rows.add("runs", name, "knights", "assets/tiny/knights", "llmzero", "rules", state, reason,
             settings.model_dump_json(), json.dumps(SPACE.to_json()), 0, "0.1.0", START, START, ended, *picked,
             "manual", settings.budget.model_dump_json(), None, *named)  # fmt: skip
    _root(rows)
    depth = {0: 0}
    for position, segment in enumerate(SEGMENTS):
        depth[segment.node] = depth[segment.parent] + 1
        begun = START + timedelta(seconds=52 * position)
        if segment.state == "running":
            begun = NOW - timedelta(seconds=segment.trained + 0.4)
        _node(rows, segment, depth[segment.node], begun, rng)
        _texts(rows, segment, begun)
    _proposals(rows)
    rows.add("commands", 1, "pause", None, None, None, "{}", "tui", START + timedelta(minutes=4))
    rows.add("command_results", rows.next(), 1, "taken", "", START + timedelta(minutes=4, seconds=1))
    rows.add("command_results", rows.next(), 1, "done", "paused after step 12", START + timedelta(minutes=4, seconds=2))
    for number, (node, text) in enumerate(NOTES.items(), 2):
        at = START + timedelta(minutes=4 + number)
        rows.add("commands", number, "annotate", node, None, None, json.dumps({"text": text}), "ada", at)
        rows.add("command_results", rows.next(), number, "done", f"#{node} note kept", at)
    sample_words.answers(rows.add, rows.next, 0, 0, START)
    sample_words.calls(rows.add, rows.next, START, HOSTILE)
    _spent(rows, done=done)
    if done:
        rows.add("evaluations", rows.next(), 10, 50, "segments/10/checkpoint-50", "final", "test", 0, 1024, 612, 551,
                 2.1, NOW, None, None, *named)  # fmt: skip
    with duckdb.connect(str(run / "run.duckdb")) as con:
        prepare(con, run / "run.duckdb")
        rows.write(con)
    return run


def main(directory: Path) -> None:
    """Three runs to look at: training (without an engine: crashed), finished, failed with a hostile reason."""
    build(directory)
    build(directory, name="knights-00", state="finished")
    build(directory, name="sums-02", state="failed", reason=HOSTILE)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Writes generated run files for measuring the terminal at scale: a wide tree, or one very long curve.

    python -m benchmarks.big_run DIR            10,000 nodes with 1,000,000 metric rows, and a curve of 1,000,000
    python -m benchmarks.big_run --live RUN     hold one as an engine would and append two steps a second

Nothing in these files was trained: the run's name and reason say so, and so does the screen. Deterministic: the same
numbers give the same rows. The rows are made by DuckDB itself, in seconds.
"""

from __future__ import annotations

import argparse
import json
import math
import threading
from datetime import timedelta
from itertools import count
from pathlib import Path

import duckdb

from engine.run import config
from engine.store.database import prepare
from tests.tui.live_engine import Engine, live, obey
from tests.tui.sample_run import DEFAULTS, RUN_FILE, SPACE, START

METRICS = (
    "reward", "kl", "entropy", "completions/mean_length", "completions/clipped_ratio", "clip_ratio/region_mean",
    "grad_norm", "frac_reward_zero_std", "loss", "step_seconds",
)  # fmt: skip
SEGMENT = 10
PROPOSED = 40
NEW_NODE_SECONDS = 5

SHAPE = """
CREATE MACRO chance(i, salt) AS (hash(i * 7919 + salt) % 1000003) / 1000003.0;
CREATE TEMP TABLE shape AS
WITH RECURSIVE hung AS (
    SELECT i, CASE WHEN i <= 8 THEN 0 ELSE CAST(floor(i * (0.2 + 0.75 * chance(i, 1))) AS INTEGER) END AS parent
    FROM (SELECT CAST(unnest(range(1, $nodes)) AS INTEGER) AS i)
), walked AS (
    SELECT i, parent, 1 AS depth FROM hung WHERE parent = 0
    UNION ALL SELECT hung.i, hung.parent, walked.depth + 1 FROM hung JOIN walked ON hung.parent = walked.i
)
SELECT i, parent, depth, depth - 1 AS before, CAST(chance(i, 3) * 5 AS INTEGER) AS kind,
    .2 + .6 * (1 - exp(-depth / 6.0)) + .1 * chance(i, 4) AS score, $start + to_seconds(i) AS ts,
    CASE WHEN i >= $nodes - 40 THEN 'proposed' WHEN i = $nodes - 41 THEN 'running'
         WHEN chance(i, 2) < .04 THEN 'early-stopped' WHEN chance(i, 2) < .05 THEN 'nan'
         WHEN chance(i, 2) < .06 THEN 'out-of-memory' ELSE 'finished' END AS state
FROM walked;
"""
ROOT = """
INSERT INTO nodes BY NAME SELECT 0 AS node_id, 0 AS depth, 'finished' AS state, '' AS reason, 'base' AS intent,
    'base' AS label, $values AS configuration, '{}' AS changes, 'keep' AS optimizer, 'base' AS reference,
    'The untrained base model.' AS rationale, '' AS expected, '' AS advisor, 0 AS seed, 0 AS planned_steps,
    0 AS trained_steps, 0 AS start_steps, 0 AS trainer_seconds, false AS pruned, $start AS created, $start AS started,
    $start AS ended;
"""
TREE = """
INSERT INTO nodes BY NAME SELECT i AS node_id, parent AS parent_id, depth, state, '' AS reason,
    CASE WHEN parent = 0 THEN 0 ELSE $segment END AS branch_step,
    CASE WHEN parent = 0 THEN 'root' WHEN kind = 0 THEN 'keep' ELSE 'change' END AS intent,
    ['keep', 'lr↓ clip↑', 'temp↑', 'kl .02', 'len 96', 'lr↑ kl 0'][kind + 1] AS label, $values AS configuration,
    CASE kind WHEN 0 THEN '{}' ELSE '{"learning_rate": ' || CAST(1e-5 * (1 + kind) AS VARCHAR) || '}' END AS changes,
    'keep' AS optimizer, 'base' AS reference, 'Entropy fell by 52% (1.9 → .91) while reward gained only .02: '
    || 'exploration dries up before the plateau. #' || i AS rationale, 'reward at least .05 above keep' AS expected,
    'rules' AS advisor, i AS proposal_id, i AS seed, $segment AS planned_steps,
    CASE state WHEN 'proposed' THEN 0 ELSE $segment END AS trained_steps, $segment * before AS start_steps,
    3.1 * $segment AS trainer_seconds, chance(i, 5) < .01 AS pruned, ts AS created,
    CASE WHEN state <> 'proposed' THEN ts END AS started,
    CASE WHEN state NOT IN ('proposed', 'running') THEN ts + INTERVAL 30 SECONDS END AS ended
FROM shape ORDER BY i;
INSERT INTO metrics BY NAME SELECT row_number() OVER (ORDER BY i, step, m) AS seq, i AS node_id, step,
    $names[m] AS name,
    CASE m WHEN 1 THEN greatest(0, score - .1 + .01 * step + .03 * (chance(i * 100 + step, 6) - .5))
         ELSE chance(i * 100 + step, 6 + m) END AS value, ts + to_seconds(step) AS ts
FROM shape, (SELECT unnest(range(1, $segment + 1)) AS step), (SELECT unnest(range(1, len($names) + 1)) AS m)
WHERE state <> 'proposed' ORDER BY seq;
INSERT INTO checkpoints BY NAME SELECT 2000000 + row_number() OVER (ORDER BY i, step) AS seq, i AS node_id, step,
    'segments/' || i || '/checkpoint-' || step AS path, 3700000 AS bytes, 256 AS n,
    CAST(floor(256 * score * step / $segment) AS INTEGER) AS greedy, score * step / $segment AS value,
    CAST(floor(250 * score * step / $segment) AS INTEGER) AS sampled, chance(i, 8) < .3 AS kept,
    ts + to_seconds(step) AS ts
FROM shape, (SELECT unnest([$segment // 2, $segment]) AS step) WHERE state IN ('finished',
    'early-stopped') ORDER BY seq;
INSERT INTO completions BY NAME SELECT 3000000 + row_number() OVER (ORDER BY i, k) AS seq, i AS node_id,
    $segment AS step,
    'K A:B=C B:B=C C:B-> ' || k AS prompt, '+++yyn;++-nny;+-+#--+' AS completion, '--+' AS answer,
    CAST(chance(i, k) < .5 AS DOUBLE) AS reward, chance(i, k) < .5 AS correct, false AS truncated, ts
FROM shape, (SELECT unnest(range(1, 9)) AS k) WHERE state <> 'proposed' ORDER BY seq;
INSERT INTO agent_calls BY NAME SELECT i AS call_id, 4000000 + i AS seq, parent AS node_id, 'ollama' AS advisor,
    'analyst' AS role, 'qwen3-vl:8b' AS model, '1' AS prompt_version, 'Look at the curves of #' || parent AS request,
    '{"pathology": "entropy collapse"}' AS response, 'The curve is flat from step 4 on.' AS rationale, '[]' AS images,
    1800 AS prompt_tokens, 240 AS completion_tokens, 5200 + 900 * chance(i, 9) AS milliseconds, '' AS error, ts
FROM shape ORDER BY i;
INSERT INTO diagnoses BY NAME SELECT 5000000 + i AS seq, parent AS node_id, i AS call_id,
    'entropy collapse' AS pathology, chance(i, 10) AS severity, 'entropy 1.9 → .91 over the segment' AS evidence,
    '[]' AS signals, ts FROM shape ORDER BY i;
INSERT INTO events BY NAME SELECT 6000000 + i AS seq, 'info' AS level, 'segment-started' AS kind, i AS node_id,
    '#' || i || ' begins' AS message, '' AS detail, ts FROM shape WHERE state <> 'proposed' ORDER BY i;
INSERT INTO proposals BY NAME SELECT i AS proposal_id, 1 AS revision, i AS node_id, parent AS parent_id,
    $segment AS branch_step, 'change' AS intent, 'lr↓ clip↑' AS label, '{"learning_rate": 5e-05}' AS changes,
    'keep' AS optimizer, 'base' AS reference, 'Because.' AS rationale, 'reward rises' AS expected, 'rules' AS advisor,
    CASE state WHEN 'proposed' THEN 'pending' ELSE 'approved' END AS state, '' AS reason, '' AS decided_by,
    ts AS created
FROM shape ORDER BY i;
INSERT INTO budget BY NAME SELECT 7000000 + i AS seq, i AS steps, i // 10 AS nodes, i * .31 AS trainer_seconds,
    i * 1.2 AS wall_seconds, i / ($nodes * 1.2) AS fraction, ts FROM shape WHERE i % 100 = 1 ORDER BY i;
"""
OVER = """
UPDATE nodes SET state = 'finished', ended = started WHERE state = 'running';
UPDATE nodes SET state = 'rejected' WHERE state = 'proposed';
UPDATE proposals SET state = 'superseded' WHERE state = 'pending';
"""
CURVE = """
INSERT INTO nodes BY NAME SELECT * REPLACE (1 AS node_id, 0 AS parent_id, 0 AS branch_step, 1 AS depth,
    'root' AS intent,
    'keep' AS label, $points AS planned_steps, $points AS trained_steps) FROM nodes;
INSERT INTO metrics BY NAME SELECT s AS seq, 1 AS node_id, s AS step, 'reward' AS name,
    .2 + .5 * (1 - exp(-3.0 * s / $points))
    + .1 * ((hash(s) % 1000003) / 1000003.0 - .5) + CASE WHEN s % 100003 = 0 THEN .2 ELSE 0 END AS value,
    $start + to_seconds(s) AS ts FROM range(1, $points + 1) r(s) ORDER BY s;
INSERT INTO checkpoints BY NAME SELECT $points + k AS seq, 1 AS node_id, k * $points // 10 AS step, '' AS path,
    0 AS bytes, 256 AS n, 20 * k AS greedy, 18 * k AS sampled, .07 * k AS value, false AS kept, $start AS ts
FROM range(1, 11) r(k);
INSERT INTO budget BY NAME SELECT $points + 100 AS seq, $points AS steps, 1 AS nodes, $points * .3 AS trainer_seconds,
    $points * .3 AS wall_seconds, 1.0 AS fraction, $start AS ts;
"""


def write(run: Path, what: str, statements: str, state: str, values: dict[str, object]) -> Path:
    """A run file of the present schema, filled by `statements`; its name and reason say that it is generated."""
    run.mkdir(parents=True)
    settings = config.parse(RUN_FILE.format(name=run.name).replace("steps = 1500", "steps = 0"))
    (run / "run.toml").write_text(settings.to_toml(), encoding="utf-8")
    ended = START + timedelta(days=3) if state == "finished" else None
    given = {"values": json.dumps(DEFAULTS), "start": START, "segment": SEGMENT, "names": list(METRICS), **values}
    with duckdb.connect(str(run / "run.duckdb")) as con:
        prepare(con, run / "run.duckdb")
        con.execute(
            "INSERT INTO runs BY NAME SELECT $1 AS name, 'knights' AS task, 'assets/tiny/knights' AS model, "
            "'llmzero' AS strategy, 'rules' AS advisor, $2 AS state, $3 AS reason, $4 AS config, $5 AS space, "
            "0 AS seed, '0' AS engine_version, $6 AS created, $6 AS started, $7 AS ended, 'manual' AS gate",
            [run.name, state, f"generated, nothing was trained: {what}", settings.model_dump_json(),
             json.dumps(SPACE.to_json()), START, ended],
        )  # fmt: skip
        for statement in con.extract_statements(ROOT + statements):
            con.execute(statement, {name: given[name] for name in statement.named_parameters})
        con.execute("DROP MACRO IF EXISTS chance")
    return run


def build(directory: Path, *, name: str = "generated-tree", nodes: int = 10_000, state: str = "finished") -> Path:
    """A run of `nodes` trained nodes with a hundred metric rows each, 10 names and 10 steps; a root, 40 proposals."""
    rows, every = nodes * SEGMENT * len(METRICS), nodes + 1 + PROPOSED
    statements = SHAPE + TREE + (OVER if state == "finished" else "")
    return write(directory / name, f"{nodes:,} nodes, {rows:,} metric rows", statements, state, {"nodes": every})


def build_curve(directory: Path, *, name: str = "generated-curve", points: int = 1_000_000) -> Path:
    """A run with one node of `points` steps, one metric."""
    return write(directory / name, f"one curve of {points:,} points", CURVE, "finished", {"points": points})


def serve(run: Path) -> None:
    """Hold the run as its engine does: two steps a second of the running node, a finished node every five seconds."""
    pause = threading.Event()
    with live(run, obey) as engine:
        running = engine.writer.rows("SELECT max(node_id) AS node FROM nodes WHERE state = 'running'")[0]["node"]
        for beat in count(SEGMENT + 1):
            grow(engine, running, beat)
            if pause.wait(0.5):
                return


def grow(engine: Engine, node: int, step: int) -> None:
    """One more step of a node; now and then a node more."""
    for place, name in enumerate(METRICS):
        value = 0.6 + 0.05 * math.sin(step / 7 + place)
        engine.writer.insert("metrics", node_id=node, step=step, name=name, value=value)
    engine.writer.update("nodes", {"node_id": node}, trained_steps=step)
    if step % (2 * NEW_NODE_SECONDS) == 0:
        row = engine.writer.rows("SELECT * FROM nodes WHERE node_id = ?", [node - 1])[0]
        new = engine.writer.next_id("nodes")
        engine.writer.insert("nodes", **{**row, "node_id": new, "proposal_id": None, "label": f"new {new}"})
        engine.writer.insert("events", level="info", kind="segment-started", node_id=new, message=f"#{new}", detail="")
    engine.writer.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("directory", type=Path, help="where the run files go; with --live a run")
    parser.add_argument("--live", action="store_true", help="hold this run and append to it until killed")
    parser.add_argument("--nodes", type=int, default=10_000)
    options = parser.parse_args()
    if options.live:
        serve(options.directory)
        return
    for run in (
        build(options.directory, nodes=options.nodes),
        build(options.directory, name="generated-live", nodes=options.nodes, state="training"),
        build_curve(options.directory),
    ):
        print(run)


if __name__ == "__main__":
    main()

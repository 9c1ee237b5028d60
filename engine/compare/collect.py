"""One finished run as one line of evidence: what it spent, every score on the way, and the test score.

Reads the run's database through the ordinary reader; writes nothing. No weights, no prompts, no texts but labels.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.analysis.reported import read_header
from engine.compare.packing import pack
from engine.domain.tree import NodeState
from engine.errors import Fault
from engine.store.base import Reader
from engine.store.reader import ask_run

NODES = """
SELECT node_id AS id, parent_id AS parent, branch_step, intent, label, state, start_steps, trained_steps AS steps,
    round(trainer_seconds, 2) AS seconds, changes, optimizer, reference, seed, advisor
FROM nodes WHERE state <> 'rejected' ORDER BY node_id
"""

SCORES = """
WITH completions AS (  -- of one generation, which is told once and may serve several steps
    SELECT node_id, coalesce(CAST(configuration ->> 'steps_per_generation' AS DOUBLE), 1) * coalesce(
        CAST(configuration ->> 'prompts_per_step' AS DOUBLE) * CAST(configuration ->> 'num_generations' AS DOUBLE), ?
    ) AS count FROM nodes
), spent AS (
    SELECT seq, sum(value) FILTER (name = 'step_seconds') OVER past AS seconds,
        sum(value * count) FILTER (name = 'completions/mean_length') OVER past AS tokens,
        count(*) FILTER (name = 'step_seconds') OVER past AS steps
    FROM metrics JOIN completions USING (node_id) WHERE name IN ('step_seconds', 'completions/mean_length')
    WINDOW past AS (ORDER BY seq ROWS UNBOUNDED PRECEDING)
)
SELECT c.node_id, c.step, c.n, c.greedy, c.sampled, c.outcomes, coalesce(s.steps, 0) AS steps,
    round(coalesce(s.seconds, 0), 2) AS seconds, coalesce(s.tokens, 0) AS tokens,
    (SELECT coalesce(max(tokens), 0) FROM spent) AS all_tokens
FROM checkpoints c ASOF LEFT JOIN spent s ON s.seq <= c.seq ORDER BY c.seq
"""

SPENT = """
SELECT (SELECT sum(trained_steps) FROM nodes) AS steps, (SELECT sum(trainer_seconds) FROM nodes) AS trainer_seconds,
    (SELECT max(wall_seconds) FROM budget) AS wall_seconds, (SELECT sum(seconds) FROM evaluations) AS closing_seconds,
    (SELECT sum(milliseconds) / 1000 FROM agent_calls) AS advice_seconds,
    (SELECT count(*) FROM nodes WHERE trained_steps > 0) AS segments
"""

STEERED = """
SELECT DISTINCT kind FROM commands JOIN command_results USING (command_id)
WHERE state = 'done' AND kind NOT IN ('annotate', 'pause', 'resume', 'stop')
UNION SELECT DISTINCT kind FROM events WHERE kind = 'edited'
ORDER BY kind
"""
"""What a human changed: commands that were carried out, and edits of the run file between two engines."""

EVALUATIONS = "SELECT * EXCLUDE (path, ts, seq) FROM evaluations ORDER BY seq"


def check_not_steered(run_dir: Path) -> None:
    """Raises Fault where a human changed how a run trains: it is no measurement of what the plan describes."""
    changed = ask_run(run_dir, lambda reader: [row["kind"] for row in reader.rows(STEERED)])
    if changed:
        raise Fault(
            f"its run was steered by hand ({', '.join(changed)}), so it is not recorded; rename {run_dir} to keep it, "
            "or delete it, and the cell is run again"
        )


SCHEDULE = """
SELECT config, (SELECT coalesce(sum(trained_steps), 0) FROM nodes WHERE list_contains(?, state)) AS steps
FROM run_header
"""


def check_whole_schedule(run_dir: Path) -> None:
    """Raises Fault where a replay did not train all steps of its schedule: a segment failed, and what it had trained
    was spent of the budget that is the schedule's length."""
    trained_on = [state.value for state in NodeState if state.goes_on]
    row = ask_run(run_dir, lambda reader: reader.rows(SCHEDULE, [trained_on])[0])
    stages = json.loads(row["config"])["search"]["settings"].get("stages", [])
    wanted = sum(stage["steps"] for stage in stages)
    if row["steps"] < wanted:
        raise Fault(
            f"{row['steps']} of the {wanted} steps of its schedule were trained, so it is not recorded; "
            f"delete {run_dir}, and it is trained again"
        )


def collect(run_dir: Path) -> dict[str, Any]:
    """The line of a finished run, without the cell's own keys.

    Raises:
        Fault: the run has no test score.
    """
    return ask_run(run_dir, _line)


def _line(reader: Reader) -> dict[str, Any]:
    run = read_header(reader.rows)
    batch = int(json.loads(run["config"])["training"]["batch_size"])
    evaluations, scores = reader.rows(EVALUATIONS), reader.rows(SCORES, [batch])
    if not run["base_test_n"] or not run["test_n"]:
        raise Fault(f"run {run['name']} is {run['state']} and has no test score")
    return {
        "version": run["engine_version"],
        "advisor": run["advisor"],
        "created": run["created"].isoformat(timespec="seconds"),
        "spent": _spent(reader.rows(SPENT)[0], scores[0]["all_tokens"]),
        "base": _measured(_test(run, "base_test_", 0, 0)),
        "test": _measured(_test(run, "test_", run["best_node"], run["best_step"])),
        "best": {"node": run["best_node"], "step": run["best_step"], "soup": run["best_kind"] == "soup"},
        "evaluations": [_measured(e) | {"kind": e["kind"]} for e in evaluations if e["split"] == "validation"],
        "nodes": [_node(row) for row in reader.rows(NODES)],
        "scores": [_score(row) for row in scores],
    }


def _spent(row: Mapping[str, Any], tokens: float) -> dict[str, float | int]:
    seconds = {name: round(row[name] or 0.0, 1) for name in row if name.endswith("_seconds")}
    return {"steps": row["steps"] or 0, "segments": row["segments"], "tokens": round(tokens), **seconds}


def _measured(row: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation; which prompts it got right, where the run's schema has that."""
    checkpoint = {name: row[name] for name in ("node_id", "step", "n", "greedy", "sampled", "seed")}
    return checkpoint | ({"outcomes": pack(row["outcomes"])} if row["outcomes"] else {})


def _test(run: Mapping[str, Any], prefix: str, node: int, step: int) -> dict[str, Any]:
    """A test score of the header, as a row of evaluations has it."""
    measurement = {name: run[f"{prefix}{name}"] for name in ("n", "greedy", "sampled", "seed", "outcomes")}
    return {"node_id": node, "step": step, **measurement}


def _node(row: Mapping[str, Any]) -> dict[str, Any]:
    """A node without what is as usual, so that a line stays small."""
    usual = {"optimizer": "keep", "reference": "base", "state": "finished", "label": "keep", "advisor": "search"}
    node = {**row, "changes": json.loads(row["changes"] or "{}")}
    return {k: v for k, v in node.items() if v not in (None, "", {}) and usual.get(k) != v}


def _score(row: Mapping[str, Any]) -> list[float | int | str]:
    """[node, step, n, greedy, sampled, GRPO steps, trainer seconds and tokens of the whole run until then, packed
    outcomes]."""
    return [
        row["node_id"], row["step"], row["n"], row["greedy"], row["sampled"], row["steps"], row["seconds"],
        round(row["tokens"]), pack(row["outcomes"] or ""),
    ]  # fmt: skip

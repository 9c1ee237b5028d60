-- The tables of a run (run.duckdb), version 1. Every table and column carries its meaning and unit as a COMMENT, so that
-- DESCRIBE and duckdb_columns() are the documentation. All times are TIMESTAMP in UTC. One writer assigns every seq.
-- No foreign keys: appends must never block. Paths are relative to the run's directory.

CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

CREATE TABLE runs (
    name VARCHAR PRIMARY KEY, task VARCHAR NOT NULL, model VARCHAR NOT NULL, strategy VARCHAR NOT NULL,
    advisor VARCHAR NOT NULL, state VARCHAR NOT NULL, reason VARCHAR NOT NULL, config VARCHAR NOT NULL,
    space VARCHAR NOT NULL, seed BIGINT NOT NULL, engine_version VARCHAR NOT NULL, created TIMESTAMP NOT NULL,
    started TIMESTAMP, ended TIMESTAMP, best_node INTEGER, best_step INTEGER, best_path VARCHAR
);
CREATE TABLE nodes (
    node_id INTEGER PRIMARY KEY, parent_id INTEGER, branch_step INTEGER, depth INTEGER NOT NULL,
    state VARCHAR NOT NULL, reason VARCHAR NOT NULL, intent VARCHAR NOT NULL, label VARCHAR NOT NULL,
    configuration VARCHAR NOT NULL, changes VARCHAR NOT NULL, optimizer VARCHAR NOT NULL, reference VARCHAR NOT NULL,
    rationale VARCHAR NOT NULL, expected VARCHAR NOT NULL, advisor VARCHAR NOT NULL, proposal_id INTEGER,
    seed BIGINT NOT NULL, planned_steps INTEGER NOT NULL, trained_steps INTEGER NOT NULL,
    start_steps INTEGER NOT NULL, trainer_seconds DOUBLE NOT NULL, pruned BOOLEAN NOT NULL,
    created TIMESTAMP NOT NULL, started TIMESTAMP, ended TIMESTAMP
);
CREATE TABLE checkpoints (
    seq BIGINT PRIMARY KEY, node_id INTEGER NOT NULL, step INTEGER NOT NULL, path VARCHAR NOT NULL,
    bytes BIGINT NOT NULL, n INTEGER NOT NULL, greedy INTEGER NOT NULL, sampled INTEGER NOT NULL,
    value DOUBLE NOT NULL, kept BOOLEAN NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE metrics (
    seq BIGINT NOT NULL, node_id INTEGER NOT NULL, step INTEGER NOT NULL, name VARCHAR NOT NULL,
    value DOUBLE NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE completions (
    seq BIGINT NOT NULL, node_id INTEGER NOT NULL, step INTEGER NOT NULL, prompt VARCHAR NOT NULL,
    completion VARCHAR NOT NULL, answer VARCHAR NOT NULL, reward DOUBLE NOT NULL, correct BOOLEAN NOT NULL,
    truncated BOOLEAN NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE evaluations (
    seq BIGINT PRIMARY KEY, node_id INTEGER NOT NULL, step INTEGER NOT NULL, path VARCHAR NOT NULL,
    kind VARCHAR NOT NULL, split VARCHAR NOT NULL, seed BIGINT NOT NULL, n INTEGER NOT NULL,
    greedy INTEGER NOT NULL, sampled INTEGER NOT NULL, seconds DOUBLE NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE agent_calls (
    call_id INTEGER PRIMARY KEY, seq BIGINT NOT NULL, node_id INTEGER, advisor VARCHAR NOT NULL, role VARCHAR NOT NULL,
    model VARCHAR NOT NULL, prompt_version VARCHAR NOT NULL, request VARCHAR NOT NULL, response VARCHAR NOT NULL,
    rationale VARCHAR NOT NULL, images VARCHAR NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, milliseconds DOUBLE NOT NULL, error VARCHAR NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE diagnoses (
    seq BIGINT PRIMARY KEY, node_id INTEGER NOT NULL, call_id INTEGER NOT NULL, pathology VARCHAR NOT NULL,
    severity DOUBLE NOT NULL, evidence VARCHAR NOT NULL, signals VARCHAR NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE proposals (
    proposal_id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, node_id INTEGER NOT NULL, parent_id INTEGER NOT NULL,
    branch_step INTEGER NOT NULL, intent VARCHAR NOT NULL, label VARCHAR NOT NULL, changes VARCHAR NOT NULL,
    optimizer VARCHAR NOT NULL, reference VARCHAR NOT NULL, rationale VARCHAR NOT NULL, expected VARCHAR NOT NULL,
    advisor VARCHAR NOT NULL, call_id INTEGER, state VARCHAR NOT NULL, reason VARCHAR NOT NULL,
    deadline TIMESTAMP, decided_by VARCHAR NOT NULL, created TIMESTAMP NOT NULL, decided TIMESTAMP
);
CREATE TABLE commands (
    command_id INTEGER PRIMARY KEY, kind VARCHAR NOT NULL, node_id INTEGER, proposal_id INTEGER, revision INTEGER,
    payload VARCHAR NOT NULL, author VARCHAR NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE command_results (
    seq BIGINT PRIMARY KEY, command_id INTEGER NOT NULL, state VARCHAR NOT NULL, message VARCHAR NOT NULL,
    ts TIMESTAMP NOT NULL
);
CREATE TABLE events (
    seq BIGINT PRIMARY KEY, level VARCHAR NOT NULL, kind VARCHAR NOT NULL, node_id INTEGER, message VARCHAR NOT NULL,
    detail VARCHAR NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE budget (
    seq BIGINT PRIMARY KEY, steps INTEGER NOT NULL, nodes INTEGER NOT NULL, trainer_seconds DOUBLE NOT NULL,
    wall_seconds DOUBLE NOT NULL, fraction DOUBLE NOT NULL, ts TIMESTAMP NOT NULL
);

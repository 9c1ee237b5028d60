-- Views for the questions people ask. Replaced at every opening for writing, so that an old run gets the new ones.

-- The 95% Wilson interval of k successes out of n trials (k may be fractional); NULL where n is 0.
CREATE OR REPLACE MACRO wilson_low(k, n) AS CASE WHEN n > 0 THEN greatest(0.0, least(k / n,
    (k / n + 1.9207294 / n - 1.959963985 * sqrt((k / n) * (1 - k / n) / n + 0.9603647 / (n * n))) / (1 + 3.8414588 / n))) END;
CREATE OR REPLACE MACRO wilson_high(k, n) AS CASE WHEN n > 0 THEN least(1.0, greatest(k / n,
    (k / n + 1.9207294 / n + 1.959963985 * sqrt((k / n) * (1 - k / n) / n + 0.9603647 / (n * n))) / (1 + 3.8414588 / n))) END;

CREATE OR REPLACE VIEW scores AS
SELECT c.node_id, c.step, n.start_steps + c.step AS total_steps, c.n,
    c.value, wilson_low(c.value * c.n, c.n) AS value_low, wilson_high(c.value * c.n, c.n) AS value_high,
    c.greedy / c.n AS greedy, wilson_low(c.greedy, c.n) AS greedy_low, wilson_high(c.greedy, c.n) AS greedy_high,
    c.sampled / c.n AS sampled, wilson_low(c.sampled, c.n) AS sampled_low, wilson_high(c.sampled, c.n) AS sampled_high,
    c.kept, c.path, c.seq, c.ts
FROM checkpoints c JOIN nodes n USING (node_id);

CREATE OR REPLACE VIEW best_checkpoint AS
SELECT s.* FROM scores s LEFT JOIN runs r ON s.node_id = r.best_node AND s.step = r.best_step
ORDER BY (r.best_node IS NOT NULL) DESC, s.value DESC, s.seq DESC LIMIT 1;

CREATE OR REPLACE VIEW best_trajectory AS
WITH RECURSIVE path(node_id, leaves_at, back) AS (
    SELECT node_id, step, 0 FROM best_checkpoint
    UNION ALL
    SELECT n.parent_id, n.branch_step, path.back + 1
    FROM path JOIN nodes n USING (node_id) WHERE n.parent_id IS NOT NULL
)
SELECT CAST(max(path.back) OVER () - path.back AS INTEGER) AS stage, n.node_id, path.leaves_at AS steps,
    n.start_steps, n.start_steps + path.leaves_at AS total_steps, n.intent, n.label, n.configuration, n.changes,
    n.optimizer, n.reference, n.seed, n.advisor, n.rationale,
    s.n, s.value, s.value_low, s.value_high, s.greedy, s.sampled
FROM path JOIN nodes n USING (node_id) LEFT JOIN scores s ON s.node_id = n.node_id AND s.step = path.leaves_at
ORDER BY stage;

CREATE OR REPLACE VIEW trajectory_parameters AS
SELECT n.node_id, n.parent_id, b.stage, n.start_steps, n.start_steps + n.trained_steps AS end_steps, e.key AS parameter,
    TRY_CAST(e.value AS DOUBLE) AS value, TRY_CAST(json_extract(p.configuration, '$."' || e.key || '"') AS DOUBLE) AS parent_value,
    json_exists(n.changes, '$."' || e.key || '"') AS changed, b.stage IS NOT NULL AS on_best_trajectory
FROM nodes n CROSS JOIN json_each(n.configuration) e
LEFT JOIN nodes p ON p.node_id = n.parent_id LEFT JOIN best_trajectory b ON b.node_id = n.node_id;

CREATE OR REPLACE VIEW cost AS
SELECT advisor, role, model, count(*) AS calls, count(*) FILTER (error <> '') AS errors,
    CAST(sum(prompt_tokens) AS BIGINT) AS prompt_tokens, CAST(sum(completion_tokens) AS BIGINT) AS completion_tokens,
    sum(milliseconds) / 1000 AS seconds, avg(milliseconds) AS milliseconds_per_call
FROM agent_calls GROUP BY ALL ORDER BY seconds DESC;

CREATE OR REPLACE VIEW failures AS
SELECT n.node_id, n.state, n.reason, n.label, n.trained_steps, n.planned_steps, n.trainer_seconds, n.ended,
    (SELECT min(r.node_id) FROM nodes r WHERE r.parent_id = n.parent_id AND r.intent = 'repair' AND r.node_id > n.node_id) AS repaired_by
FROM nodes n WHERE n.state IN ('out-of-memory', 'nan', 'crashed', 'hung') ORDER BY n.node_id;

CREATE OR REPLACE VIEW current_state AS
WITH spent AS (SELECT * FROM budget ORDER BY seq DESC LIMIT 1),
counts AS (
    SELECT count(*) FILTER (node_id > 0 AND state NOT IN ('proposed', 'rejected')) AS nodes,
        list(node_id ORDER BY node_id) FILTER (state = 'running') AS running,
        count(*) FILTER (state = 'queued') AS queued,
        count(*) FILTER (state IN ('out-of-memory', 'nan', 'crashed', 'hung')) AS failed FROM nodes),
waiting AS (SELECT count(*) AS pending_proposals FROM proposals WHERE state = 'pending'),
said AS (SELECT message AS last_event, ts AS last_event_ts FROM events ORDER BY seq DESC LIMIT 1)
SELECT r.name, r.state, r.reason, r.task, r.model, r.strategy, r.advisor, counts.*, waiting.*,
    spent.steps, spent.trainer_seconds, spent.wall_seconds, spent.fraction AS budget_fraction,
    b.node_id AS best_node, b.step AS best_step, b.n AS best_n, b.value AS best_value, b.value_low AS best_low,
    b.value_high AS best_high, said.*, r.created, r.started, r.ended
FROM runs r CROSS JOIN counts CROSS JOIN waiting LEFT JOIN spent ON true LEFT JOIN best_checkpoint b ON true LEFT JOIN said ON true;

CREATE OR REPLACE VIEW documentation AS
SELECT table_name AS "table", '' AS "column", '' AS type, comment, 0 AS position FROM duckdb_tables() WHERE NOT internal
UNION ALL SELECT view_name, '', 'view', comment, 0 FROM duckdb_views() WHERE NOT internal
UNION ALL SELECT c.table_name, c.column_name, c.data_type, c.comment, c.column_index FROM duckdb_columns() c WHERE NOT internal
ORDER BY "table", position;

CREATE OR REPLACE VIEW visible_nodes AS
SELECT * FROM nodes WHERE state <> 'rejected'
    OR proposal_id NOT IN (SELECT proposal_id FROM proposals WHERE state = 'superseded');

COMMENT ON VIEW visible_nodes IS 'Nodes without those whose proposal the engine itself withdrew before a human decided.';
COMMENT ON VIEW scores IS 'Each checkpoint with its accuracies, in [0, 1], and their 95% Wilson intervals.';
COMMENT ON VIEW best_checkpoint IS 'The incumbent: the picked policy, else the best one by validation. One row, none before the first score.';
COMMENT ON VIEW best_trajectory IS 'The stages from the base model to the best policy: how many steps of each are used, and the score there.';
COMMENT ON VIEW trajectory_parameters IS 'Value of every hyperparameter at every node, its value at the parent, and whether the node is on the best trajectory.';
COMMENT ON VIEW cost IS 'What the advisors cost: calls, errors, tokens and seconds by role and model.';
COMMENT ON VIEW failures IS 'Segments that ended by a fault, with the reason and the node that repaired them.';
COMMENT ON VIEW current_state IS 'Where the run stands: state, counts, budget, incumbent, last event. One row.';
COMMENT ON VIEW documentation IS 'What every table, view and column is, with types and units.';

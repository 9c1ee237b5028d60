-- The header of a run: what it is, how far it is, what it spent, and its best validation and test scores. One row.
WITH spent AS (SELECT * FROM budget ORDER BY seq DESC LIMIT 1),
best AS (SELECT node_id, step, n, value FROM checkpoints ORDER BY value DESC, node_id LIMIT 1),
test AS (SELECT node_id, n, greedy, sampled FROM evaluations
         WHERE split = 'test' AND (kind IN ('final', 'soup') OR kind = 'baseline' AND (SELECT best_node FROM runs) = 0) ORDER BY (greedy + 2 * sampled) / n DESC LIMIT 1),
counts AS (SELECT count(*) FILTER (state NOT IN ('proposed', 'rejected') AND node_id > 0) AS nodes FROM nodes)
SELECT r.name, r.task, r.model, r.strategy, r.advisor, r.state, r.reason, r.config, r.space, r.created, r.started, r.ended,
    r.best_node, r.best_step, r.gate, r.budget, counts.nodes,
    best.node_id AS top_node, best.step AS top_step, best.n AS top_n, best.value AS top_value,
    test.node_id AS test_node, test.n AS test_n, (test.greedy + 2 * test.sampled) / (3.0 * test.n) AS test_value,
    spent.steps AS spent_steps, spent.wall_seconds, spent.trainer_seconds, spent.fraction, spent.ts AS spent_ts
FROM runs r CROSS JOIN counts LEFT JOIN spent ON true LEFT JOIN best ON true LEFT JOIN test ON true

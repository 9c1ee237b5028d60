-- The run in one row: what it is, its state, budget, incumbent with interval, test scores of the pick and of the base, age.
WITH final AS (SELECT * FROM evaluations WHERE kind = 'final' ORDER BY seq DESC LIMIT 1),
baseline AS (SELECT * FROM evaluations WHERE kind = 'baseline' ORDER BY seq DESC LIMIT 1),
last AS (
    SELECT max(ts) AS last_ts FROM (
        SELECT max(ts) AS ts FROM events UNION ALL SELECT max(ts) FROM budget UNION ALL SELECT max(ts) FROM checkpoints)
)
SELECT s.*, r.config, r.space, r.seed, r.engine_version, r.best_path,
    f.node_id AS test_node, f.step AS test_step, f.n AS test_n, f.greedy AS test_greedy, f.sampled AS test_sampled,
    b.n AS base_n, b.greedy AS base_greedy, b.sampled AS base_sampled,
    last.last_ts, epoch(make_timestamp(epoch_us(now()))) - epoch(last.last_ts) AS age_seconds
FROM current_state s CROSS JOIN runs r CROSS JOIN last LEFT JOIN final f ON true LEFT JOIN baseline b ON true;

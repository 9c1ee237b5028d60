-- Every scored checkpoint of some nodes ($1 = their ids as a JSON list), and the time at which its step was logged, in microseconds of
-- the epoch (NULL where nothing was, as at the base).
WITH wanted AS (
    SELECT node_id, step, n, greedy, sampled, outcomes FROM checkpoints WHERE list_contains(CAST($1 AS JSON)::INTEGER[], node_id)
)
SELECT w.node_id AS node, w.step, any_value(w.n) AS n, any_value(w.greedy) AS greedy, any_value(w.sampled) AS sampled,
    any_value(w.outcomes) AS outcomes,
    epoch_us(min(m.ts)) AS at
FROM wanted w LEFT JOIN metrics m ON m.node_id = w.node_id AND m.step = w.step
GROUP BY w.node_id, w.step ORDER BY w.node_id, w.step

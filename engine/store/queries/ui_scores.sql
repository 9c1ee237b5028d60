-- Every scored checkpoint of some nodes ($1 = their ids as a JSON list), in the order of steps.
SELECT node_id, step, n, value, score_low(value, n, effective_n) AS low, score_high(value, n, effective_n) AS high, kept FROM checkpoints
WHERE list_contains(CAST($1 AS JSON)::INTEGER[], node_id) ORDER BY node_id, step

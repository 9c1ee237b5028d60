-- Every scored checkpoint of some nodes ($1 = their ids as a JSON list).
SELECT node_id AS node, step, n, greedy, sampled, outcomes
FROM checkpoints WHERE list_contains(CAST($1 AS JSON)::INTEGER[], node_id) ORDER BY node_id, step

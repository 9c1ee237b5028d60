-- Every scored checkpoint of the run, in the order of steps.
SELECT node_id, step, n, greedy, sampled, value, kept FROM checkpoints ORDER BY node_id, step

-- What was tried from node $1: its children with the step each left at, how each ended, and its best score among those on the most prompts.
SELECT n.node_id, n.branch_step, n.label, n.intent, n.state, n.reason, n.trained_steps, s.value, s.n,
    score_low(s.value, s.n, s.effective_n) AS low, score_high(s.value, s.n, s.effective_n) AS high
FROM visible_nodes n LEFT JOIN (
    SELECT node_id, arg_max(value, (n, value)) AS value, max(n) AS n, arg_max_null(effective_n, (n, value)) AS effective_n FROM checkpoints GROUP BY node_id) s USING (node_id)
WHERE n.parent_id = $1 ORDER BY n.branch_step, n.node_id

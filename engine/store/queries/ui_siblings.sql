-- What was tried from node $1: its children with the step each left at, how each ended, and its best score.
SELECT n.node_id, n.branch_step, n.label, n.intent, n.state, n.reason, n.trained_steps, s.value, s.n, s.value_low AS low, s.value_high AS high
FROM visible_nodes n LEFT JOIN node_scores s USING (node_id)
WHERE n.parent_id = $1 ORDER BY n.branch_step, n.node_id

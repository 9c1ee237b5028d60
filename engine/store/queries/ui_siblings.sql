-- What was tried from node $1: its children with the step each left at, how each ended, and its best score.
SELECT n.node_id, n.branch_step, n.label, n.intent, n.state, n.reason, n.trained_steps, s.value, s.n
FROM visible_nodes n LEFT JOIN (SELECT node_id, max(value) AS value, arg_max(n, value) AS n FROM checkpoints GROUP BY node_id) s USING (node_id)
WHERE n.parent_id = $1 ORDER BY n.branch_step, n.node_id

-- The trajectory from the root to node $1: every segment, where it was left, its whole configuration, and why the search selected it,
-- unless that is the rationale, as where the search itself decides the changes.
WITH RECURSIVE path AS (
    SELECT node_id, parent_id, branch_step, NULL::INTEGER AS left_at, 0 AS up FROM nodes WHERE node_id = $1
    UNION ALL
    SELECT p.node_id, p.parent_id, p.branch_step, c.branch_step, c.up + 1 FROM nodes p JOIN path c ON p.node_id = c.parent_id
)
SELECT n.node_id, n.parent_id, n.branch_step, path.left_at, n.state, n.reason, n.intent, n.label, n.configuration, n.changes, n.optimizer,
    n.reference, n.rationale, n.expected, n.advisor, n.planned_steps, n.trained_steps, n.start_steps, n.trainer_seconds, n.started, n.ended,
    nullif((SELECT arg_max(message, seq) FROM events WHERE kind = 'selected' AND node_id = n.node_id), n.rationale) AS selected
FROM path JOIN nodes n USING (node_id) ORDER BY path.up DESC

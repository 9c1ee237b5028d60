-- The stages from the base model to one node: $1 node. How many steps of each are used, and the score where it is left.
WITH RECURSIVE path(node_id, leaves_at, back) AS (
    SELECT node_id, trained_steps, 0 FROM nodes WHERE node_id = $1
    UNION ALL
    SELECT n.parent_id, n.branch_step, path.back + 1
    FROM path JOIN nodes n USING (node_id) WHERE n.parent_id IS NOT NULL
)
SELECT CAST(max(path.back) OVER () - path.back AS INTEGER) AS stage, n.node_id, path.leaves_at AS steps, n.start_steps,
    n.state, n.intent, n.label, n.configuration, n.changes, n.optimizer, n.reference, n.seed, n.advisor, n.rationale,
    s.n, s.value, s.value_low, s.value_high
FROM path JOIN nodes n USING (node_id) LEFT JOIN scores s ON s.node_id = n.node_id AND s.step = path.leaves_at
ORDER BY stage;

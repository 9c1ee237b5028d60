-- Every metric of node $1, and with $2 those of the way to it, up to the checkpoints it went through; steps from the base too.
WITH RECURSIVE path AS (
    SELECT node_id, parent_id, branch_step, NULL::INTEGER AS left_at FROM nodes WHERE node_id = $1
    UNION ALL
    SELECT p.node_id, p.parent_id, p.branch_step, c.branch_step
    FROM nodes p JOIN path c ON p.node_id = c.parent_id WHERE CAST($2 AS BOOLEAN)
)
SELECT m.node_id, m.step, n.start_steps + m.step AS total_steps, m.name, m.value, m.ts
FROM path JOIN nodes n USING (node_id) JOIN metrics m USING (node_id)
WHERE path.left_at IS NULL OR m.step <= path.left_at
ORDER BY total_steps, m.node_id, m.name, m.seq

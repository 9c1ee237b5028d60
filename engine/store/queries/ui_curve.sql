-- Metric $2 along the trajectory to node $1, in buckets of $3 steps counted from the base: never more points than a plot has columns.
WITH RECURSIVE path AS (
    SELECT node_id, parent_id, branch_step, start_steps, 2147483647 AS left_at FROM nodes WHERE node_id = $1
    UNION ALL
    SELECT p.node_id, p.parent_id, p.branch_step, p.start_steps, c.branch_step FROM nodes p JOIN path c ON p.node_id = c.parent_id
)
SELECT m.node_id, CAST(floor((path.start_steps + m.step - 1) / CAST($3 AS INTEGER)) AS INTEGER) AS bucket,
    max(path.start_steps + m.step) AS step, avg(m.value) FILTER (isfinite(m.value)) AS value,
    count(*) FILTER (NOT isfinite(m.value)) AS broken
FROM path JOIN metrics m ON m.node_id = path.node_id AND m.name = $2 AND m.step <= path.left_at
GROUP BY m.node_id, bucket ORDER BY step

-- The reward along the path to node $1 in at most $2 parts of equal length, steps counted from the base: for a small picture.
WITH RECURSIVE path AS (
    SELECT node_id, parent_id, branch_step, start_steps, trained_steps AS used FROM nodes WHERE node_id = $1
    UNION ALL
    SELECT p.node_id, p.parent_id, p.branch_step, p.start_steps, c.branch_step FROM nodes p JOIN path c ON p.node_id = c.parent_id
),
whole AS (SELECT greatest(max(start_steps + used), 1) AS steps FROM path)
SELECT CAST(max(path.start_steps + m.step) AS INTEGER) AS step, avg(m.value) AS value, bool_or(m.node_id = $1) AS own
FROM path CROSS JOIN whole JOIN metrics m ON m.node_id = path.node_id AND m.name = 'reward' AND m.step <= path.used
WHERE isfinite(m.value)
GROUP BY m.node_id, CAST(floor((path.start_steps + m.step - 1) * CAST($2 AS INTEGER) / whole.steps) AS INTEGER) ORDER BY step

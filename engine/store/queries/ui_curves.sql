-- Metric $2 of pieces of segments ($1 = JSON list of {line, node, first, last, start}: steps first to last of a node that begins after
-- `start` steps), in buckets of $3 steps counted from the base, so that they stay where they are while a window moves over them:
-- average, extremes and number of the finite values, and how many others there were. All pieces lie within steps $4 to $5 of their
-- nodes: said once more, so that DuckDB skips what does not.
WITH piece AS (
    SELECT unnest(from_json(CAST($1 AS JSON),
        '[{"line":"INTEGER","node":"INTEGER","first":"INTEGER","last":"INTEGER","start":"INTEGER"}]'), recursive := true)
)
SELECT line, node, bucket, CAST(max(x) AS DOUBLE) AS x, avg(v) AS value, min(v) AS low, max(v) AS high, count(v) AS steps,
    count(*) - count(v) AS broken
FROM (
    SELECT p.line, p.node, (p.start + m.step - 1) // CAST($3 AS INTEGER) AS bucket, p.start + m.step AS x,
        CASE WHEN isfinite(m.value) THEN m.value END AS v
    FROM piece p JOIN metrics m ON m.node_id = p.node AND m.step BETWEEN p.first AND p.last
    WHERE m.name = $2 AND m.step BETWEEN CAST($4 AS INTEGER) AND CAST($5 AS INTEGER)
)
GROUP BY line, node, bucket ORDER BY line, x, node

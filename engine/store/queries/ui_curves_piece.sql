-- Metric $2 of one piece of one segment: steps $4 to $5 of node $1, which begins after $6 steps, as line $7. The same rows as ui_curves
-- gives, in a third of its time: nothing is joined. For zooming in a long segment.
SELECT CAST($7 AS INTEGER) AS line, node_id AS node, bucket, CAST(max(x) AS DOUBLE) AS x, avg(v) AS value, min(v) AS low, max(v) AS high,
    count(v) AS steps, count(*) - count(v) AS broken
FROM (
    SELECT node_id, (CAST($6 AS INTEGER) + step - 1) // CAST($3 AS INTEGER) AS bucket, CAST($6 AS INTEGER) + step AS x,
        CASE WHEN isfinite(value) THEN value END AS v
    FROM metrics WHERE node_id = CAST($1 AS INTEGER) AND name = $2 AND step BETWEEN CAST($4 AS INTEGER) AND CAST($5 AS INTEGER)
)
GROUP BY node_id, bucket ORDER BY x

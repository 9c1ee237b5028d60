-- One curve in few points: $1 node, $2 metric, $3 first and $4 last step of the range, $5 most buckets.
-- Buckets are as wide as a whole number of steps and aligned to the range, so that they do not move while the node trains.
-- NaN and infinite values are counted in `broken`, not drawn.
WITH width AS (SELECT greatest(1, CAST(ceil((CAST($4 AS BIGINT) - CAST($3 AS BIGINT) + 1) / CAST($5 AS BIGINT)) AS BIGINT)) AS steps)
SELECT CAST($3 AS BIGINT) + (m.step - CAST($3 AS BIGINT)) // w.steps * w.steps AS step, w.steps AS width,
    min(m.value) FILTER (isfinite(m.value)) AS low, max(m.value) FILTER (isfinite(m.value)) AS high,
    avg(m.value) FILTER (isfinite(m.value)) AS mean, count(*) FILTER (isfinite(m.value)) AS points,
    count(*) FILTER (NOT isfinite(m.value)) AS broken
FROM metrics m CROSS JOIN width w
WHERE m.node_id = $1 AND m.name = $2 AND m.step BETWEEN $3 AND $4
GROUP BY ALL ORDER BY step;

-- Metric $2 of pieces of segments over time ($1 = JSON list of {line, node, first, last, since, until, offset, rate}: what was logged
-- from `since` until before `until`, microseconds of the epoch, lies at `offset` seconds of the axis and `rate` seconds a second from
-- there on), in buckets of $3 seconds: average, extremes and number of the finite values, and how many others there were. All of it
-- was logged from $4 until before $5: said once more, so that DuckDB skips what was not.
WITH piece AS (
    SELECT line, node, first, last, make_timestamp(since) AS since, make_timestamp(until) AS until, "offset", rate
    FROM (SELECT unnest(from_json(CAST($1 AS JSON), '[{"line":"INTEGER","node":"INTEGER","first":"INTEGER","last":"INTEGER",
        "since":"BIGINT","until":"BIGINT","offset":"DOUBLE","rate":"DOUBLE"}]'), recursive := true))
)
SELECT line, node, floor(x / CAST($3 AS DOUBLE)) AS bucket, max(x) AS x, avg(v) AS value, min(v) AS low, max(v) AS high,
    count(v) AS steps, count(*) - count(v) AS broken
FROM (
    SELECT p.line, p.node, p."offset" + p.rate * (epoch_us(m.ts) - epoch_us(p.since)) / 1e6 AS x,
        CASE WHEN isfinite(m.value) THEN m.value END AS v
    FROM piece p JOIN metrics m ON m.node_id = p.node AND m.step BETWEEN p.first AND p.last AND m.ts >= p.since AND m.ts < p.until
    WHERE m.name = $2 AND m.ts >= make_timestamp(CAST($4 AS BIGINT)) AND m.ts < make_timestamp(CAST($5 AS BIGINT))
)
GROUP BY line, node, bucket ORDER BY line, max(x), node

-- When pieces of segments ($1 = JSON list of {node, last}: up to step `last`) began and when their last step was logged, in
-- microseconds of the epoch. A segment begins when it was started; where that is not known, with its first metric.
WITH piece AS (
    SELECT node, last, started, least(last, trained_steps) AS final
    FROM (SELECT unnest(from_json(CAST($1 AS JSON), '[{"node":"INTEGER","last":"INTEGER"}]'), recursive := true)) JOIN nodes ON node_id = node
), ends AS (
    SELECT DISTINCT node, 1 AS step FROM piece UNION SELECT node, final FROM piece
), logged AS (
    SELECT ends.node, ends.step, min(m.ts) AS first, max(m.ts) AS last
    FROM ends JOIN metrics m ON m.node_id = ends.node AND m.step = ends.step GROUP BY ALL
)
SELECT p.node, p.last, epoch_us(least(p.started, a.first)) AS begun, epoch_us(z.last) AS ended
FROM piece p JOIN logged a ON a.node = p.node AND a.step = 1 JOIN logged z ON z.node = p.node AND z.step = p.final

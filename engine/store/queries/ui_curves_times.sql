-- When pieces of segments ($1 = JSON list of {node, last}: up to step `last`) began and when their last step was logged, in
-- microseconds of the epoch. A segment begins when it was started; where that is not known, with its first metric.
WITH piece AS (
    SELECT unnest(from_json(CAST($1 AS JSON), '[{"node":"INTEGER","last":"INTEGER"}]'), recursive := true)
)
SELECT p.node, p.last, epoch_us(least(any_value(n.started), min(m.ts))) AS begun, epoch_us(max(m.ts)) AS ended
FROM piece p JOIN nodes n ON n.node_id = p.node JOIN metrics m ON m.node_id = p.node AND m.step <= p.last
GROUP BY p.node, p.last

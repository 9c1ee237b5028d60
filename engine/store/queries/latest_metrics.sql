-- The latest value of every metric of one node: $1 node.
SELECT name, arg_max(value, seq) AS value, max(step) AS step, max(seq) AS seq, max(ts) AS ts
FROM metrics WHERE node_id = $1 GROUP BY name ORDER BY name;

-- The nodes that have completions, with their number.
SELECT n.node_id AS node, n.label, n.state, count(*) AS samples FROM completions c JOIN nodes n USING (node_id) GROUP BY ALL ORDER BY n.node_id

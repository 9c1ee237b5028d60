-- The nodes and their best validation score
SELECT n.node_id, n.parent_id, n.label, n.state, n.trained_steps,
       arg_max(c.value, (c.n, c.value)) AS best
FROM nodes n LEFT JOIN checkpoints c USING (node_id)
GROUP BY ALL ORDER BY best DESC NULLS LAST, n.node_id;

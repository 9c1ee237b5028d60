-- Where a human may branch from: the kept checkpoints of nodes that are not pruned, the best first (a first look asks fewer prompts and comes later), with their configuration.
SELECT n.node_id, c.step, n.label, n.state, c.value, c.n, score_low(c.value, c.n, c.effective_n) AS low, score_high(c.value, c.n, c.effective_n) AS high, n.configuration
FROM checkpoints c JOIN nodes n USING (node_id) WHERE c.kept AND NOT n.pruned
ORDER BY c.n DESC, c.value DESC, n.node_id, c.step LIMIT 1000

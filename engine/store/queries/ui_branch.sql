-- Where node $1 can be branched from: its scored checkpoints whose files are kept, latest first, and its configuration.
SELECT n.node_id, n.label, n.configuration, n.optimizer, n.reference, c.step, c.value, c.n
FROM nodes n JOIN checkpoints c USING (node_id) WHERE n.node_id = $1 AND c.kept ORDER BY c.step DESC

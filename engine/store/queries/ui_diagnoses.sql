-- What advisors found wrong with the segment of node $1, worst first.
SELECT d.pathology, d.severity, d.evidence, coalesce(c.advisor, '') AS advisor, coalesce(c.model, '') AS model
FROM current_diagnoses d LEFT JOIN agent_calls c USING (call_id) WHERE d.node_id = $1 ORDER BY d.severity DESC, d.seq LIMIT 6

-- What advisors found wrong with the segment of node $1, worst first.
SELECT d.pathology, d.severity, d.evidence, coalesce(d.advisor, c.advisor, '') AS advisor,
    CASE WHEN coalesce(d.advisor, c.advisor) = c.advisor THEN c.model ELSE '' END AS model
FROM current_diagnoses d LEFT JOIN agent_calls c USING (call_id) WHERE d.node_id = $1 ORDER BY d.severity DESC, d.seq LIMIT 6

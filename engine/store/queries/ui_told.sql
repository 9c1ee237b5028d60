-- What was found in some nodes ($1 = their ids as a JSON list): diagnoses and by whom, the worst first.
SELECT d.node_id, d.pathology, d.severity, d.evidence, coalesce(d.advisor, c.advisor, '') AS advisor,
    CASE WHEN coalesce(d.advisor, c.advisor) = c.advisor THEN c.model ELSE '' END AS model
FROM current_diagnoses d LEFT JOIN agent_calls c USING (call_id)
WHERE list_contains(CAST($1 AS JSON)::INTEGER[], d.node_id) ORDER BY d.node_id, d.severity DESC, d.seq

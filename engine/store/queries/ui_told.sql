-- What was found in some nodes ($1 = their ids as a JSON list): diagnoses and by whom, the worst first.
SELECT d.node_id, d.pathology, d.severity, d.evidence, coalesce(c.advisor, '') AS advisor, coalesce(c.model, '') AS model
FROM current_diagnoses d LEFT JOIN agent_calls c USING (call_id)
WHERE list_contains(CAST($1 AS JSON)::INTEGER[], d.node_id) ORDER BY d.node_id, d.severity DESC, d.seq

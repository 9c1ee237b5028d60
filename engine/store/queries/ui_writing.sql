-- What models are writing now, oldest first.
SELECT call_id AS call, node_id AS node, role, model, left(rationale, 12000) AS rationale, milliseconds / 1000 AS seconds, error, images
FROM agent_calls WHERE error = 'unfinished' ORDER BY call_id LIMIT 4

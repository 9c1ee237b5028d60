-- What models said about node $1, the latest first; `images` are files relative to the run.
SELECT call_id AS call, node_id AS node, role, model, left(rationale, 12000) AS rationale, milliseconds / 1000 AS seconds, error, images
FROM agent_calls WHERE node_id = $1 AND advisor <> 'rules' AND error <> 'unfinished' ORDER BY call_id DESC LIMIT 4

-- The latest calls about node $1, in short.
SELECT call_id AS call, node_id AS node, role, model, advisor, prompt_version, prompt_tokens, completion_tokens,
    milliseconds / 1000 AS seconds, left(error, 200) AS error, left(rationale, 300) AS rationale, ts
FROM agent_calls WHERE node_id = $1 ORDER BY call_id DESC LIMIT 40

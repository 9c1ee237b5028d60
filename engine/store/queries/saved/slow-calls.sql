-- The slowest calls of advisors, with their errors
SELECT call_id, node_id, role, model, round(milliseconds / 1000, 1) AS seconds, prompt_tokens, completion_tokens, error
FROM agent_calls ORDER BY milliseconds DESC LIMIT 50;

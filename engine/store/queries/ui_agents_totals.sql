-- What all calls of advisors cost, by role, whether rules or a model, and kind of error ('' where there is none).
SELECT role, advisor = 'rules' AS rules, split_part(left(error, 60), ':', 1) AS kind, count(*) AS calls,
    CAST(sum(prompt_tokens) AS BIGINT) AS prompt_tokens, CAST(sum(completion_tokens) AS BIGINT) AS completion_tokens,
    sum(milliseconds) / 1000 AS seconds
FROM agent_calls GROUP BY ALL ORDER BY calls DESC, role, kind LIMIT 200

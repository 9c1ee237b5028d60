-- One page of the calls of advisors, the newest first: about node $1 (NULL: any), of role $2 ('': any), only failed ones if $3,
-- $4 rows from row $5 on.
SELECT call_id AS call, node_id AS node, role, model, advisor, prompt_version, prompt_tokens, completion_tokens,
    milliseconds / 1000 AS seconds, left(error, 200) AS error, left(rationale, 300) AS rationale, ts, count(*) OVER () AS found
FROM agent_calls
WHERE ($1 IS NULL OR node_id = $1) AND CAST($2 AS VARCHAR) IN ('', role) AND (NOT CAST($3 AS BOOLEAN) OR error NOT IN ('', 'unfinished'))
ORDER BY call_id DESC LIMIT $4 OFFSET $5

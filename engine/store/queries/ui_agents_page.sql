-- One page of the calls of advisors, the newest first: about node $1 (NULL: any), of role $2 ('': any), only failed ones if $3,
-- $4 rows from row $5 on.
WITH page AS (
    SELECT call_id, count(*) OVER () AS found FROM agent_calls
    WHERE ($1 IS NULL OR node_id = $1) AND CAST($2 AS VARCHAR) IN ('', role) AND (NOT CAST($3 AS BOOLEAN) OR error NOT IN ('', 'unfinished'))
    ORDER BY call_id DESC LIMIT $4 OFFSET $5
)
SELECT call_id AS call, c.node_id AS node, c.role, c.model, c.advisor, c.prompt_version, c.prompt_tokens, c.completion_tokens,
    c.milliseconds / 1000 AS seconds, left(c.error, 200) AS error, left(c.rationale, 300) AS rationale, c.ts, found
FROM page JOIN agent_calls c USING (call_id) ORDER BY call_id DESC

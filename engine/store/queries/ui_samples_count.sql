-- How many completions of node $1 there are of each verdict, at step $2 (NULL: any), of split $3 ('': any), with the text $4 in prompt or
-- completion ('': any); and which steps lie next to step $2 (the ends where it is NULL).
SELECT count(*) FILTER (here) AS "all", count(*) FILTER (here AND correct) AS "right", count(*) FILTER (here AND NOT correct) AS wrong,
    count(*) FILTER (here AND truncated) AS cut, max(step) FILTER ($2 IS NULL OR step < $2) AS before,
    min(step) FILTER ($2 IS NULL OR step > $2) AS after
FROM (
    SELECT step, correct, truncated, ($2 IS NULL OR step = $2) AS here
    FROM completions
    WHERE node_id = $1 AND CAST($3 AS VARCHAR) IN ('', coalesce(split, 'train'))
        AND (CAST($4 AS VARCHAR) = '' OR contains(lower(prompt), lower(CAST($4 AS VARCHAR))) OR contains(lower(completion), lower(CAST($4 AS VARCHAR))))
)

-- One page of the completions of node $1: verdict $2 (all, right, wrong, cut), step $3 (NULL: any), split $4 ('': any), with the text $5 in
-- prompt or completion ('': any), in order $6 (newest, oldest, best, worst), $7 rows from row $8 on; texts cut to what a line shows.
WITH page AS (
    SELECT seq FROM completions
    WHERE node_id = $1 AND CASE CAST($2 AS VARCHAR) WHEN 'right' THEN correct WHEN 'wrong' THEN NOT correct WHEN 'cut' THEN truncated ELSE true END
        AND ($3 IS NULL OR step = $3) AND CAST($4 AS VARCHAR) IN ('', coalesce(split, 'train'))
        AND (CAST($5 AS VARCHAR) = '' OR contains(lower(prompt), lower(CAST($5 AS VARCHAR))) OR contains(lower(completion), lower(CAST($5 AS VARCHAR))))
    ORDER BY CASE CAST($6 AS VARCHAR) WHEN 'best' THEN -reward WHEN 'worst' THEN reward WHEN 'oldest' THEN step ELSE -step END, step DESC, seq
    LIMIT $7 OFFSET $8
)
SELECT seq, c.node_id AS node, c.step, c.reward, c.correct, c.truncated, coalesce(c.split, 'train') AS split,
    left(c.prompt, 120) AS prompt, left(c.completion, 240) AS completion
FROM page JOIN completions c USING (seq) WHERE c.node_id = $1
ORDER BY CASE CAST($6 AS VARCHAR) WHEN 'best' THEN -c.reward WHEN 'worst' THEN c.reward WHEN 'oldest' THEN c.step ELSE -c.step END, c.step DESC, seq

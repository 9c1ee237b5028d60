-- One page of the completions of node $1: verdict $2 (all, right, wrong, cut), step $3 (NULL: any), split $4 ('': any), with the text $5 in
-- prompt or completion ('': any), in order $6 (newest, oldest, best, worst), $7 rows from row $8 on; texts cut to what a line shows.
SELECT seq, node_id AS node, step, reward, correct, truncated, coalesce(split, 'train') AS split,
    left(prompt, 120) AS prompt, left(completion, 240) AS completion
FROM completions
WHERE node_id = $1 AND CASE CAST($2 AS VARCHAR) WHEN 'right' THEN correct WHEN 'wrong' THEN NOT correct WHEN 'cut' THEN truncated ELSE true END
    AND ($3 IS NULL OR step = $3) AND CAST($4 AS VARCHAR) IN ('', coalesce(split, 'train'))
    AND (CAST($5 AS VARCHAR) = '' OR contains(lower(prompt), lower(CAST($5 AS VARCHAR))) OR contains(lower(completion), lower(CAST($5 AS VARCHAR))))
ORDER BY CASE CAST($6 AS VARCHAR) WHEN 'best' THEN -reward WHEN 'worst' THEN reward WHEN 'oldest' THEN step ELSE -step END, step DESC, seq
LIMIT $7 OFFSET $8

-- Where else the prompt of completion $1 (its seq) was answered, in the order of the tree: node $2 (NULL: any), step $3 (NULL: any),
-- $4 rows from row $5 on.
SELECT seq, node_id AS node, step, reward, correct, truncated, coalesce(split, 'train') AS split, '' AS prompt,
    left(completion, 240) AS completion, count(*) OVER () AS found
FROM completions
WHERE prompt = (SELECT prompt FROM completions WHERE seq = $1) AND seq <> $1 AND ($2 IS NULL OR node_id = $2) AND ($3 IS NULL OR step = $3)
ORDER BY node_id, step, seq LIMIT $4 OFFSET $5

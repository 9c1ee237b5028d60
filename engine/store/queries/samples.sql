-- The latest completions of one node, newest first: $1 node, $2 how many.
SELECT seq, step, prompt, completion, answer, reward, correct, truncated, ts
FROM completions WHERE node_id = $1 ORDER BY seq DESC LIMIT $2;

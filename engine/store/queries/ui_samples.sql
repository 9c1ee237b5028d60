-- The latest completions of node $1: of each step those sampled in training, then the answers to the fixed validation prompts; texts cut.
SELECT step, left(prompt, 4000) AS prompt, left(completion, 8000) AS completion, left(answer, 2000) AS answer, reward, correct, truncated,
    components, coalesce(split, 'train') AS split
FROM completions WHERE node_id = $1 ORDER BY step DESC, split, seq LIMIT 24

-- The latest sampled completions of node $1.
SELECT step, prompt, completion, answer, reward, correct, truncated, components FROM completions WHERE node_id = $1 ORDER BY step DESC, seq LIMIT 24

-- The shortest completions that were called correct: is the verifier being fooled?
SELECT node_id, step, length(completion) AS characters, reward, prompt, completion, answer
FROM completions WHERE correct ORDER BY characters, seq LIMIT 50;

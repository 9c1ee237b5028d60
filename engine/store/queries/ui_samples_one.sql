-- Completion $1 (its seq) in full; texts cut to $2 characters, with their whole lengths.
SELECT seq, node_id AS node, step, left(prompt, $2) AS prompt, length(prompt) AS prompt_length, left(completion, $2) AS completion,
    length(completion) AS completion_length, left(answer, $2) AS answer, length(answer) AS answer_length, reward, correct, truncated,
    left(components, $2) AS components, coalesce(split, 'train') AS split, ts,
    left(model_prompt, $2) AS model_prompt, coalesce(length(model_prompt), 0) AS model_prompt_length
FROM completions WHERE seq = $1

-- What a node wrote for the validation prompts, last at or before a step. $1 is the node, $2 the step.
SELECT prompt, answer, completion, correct, truncated FROM completions
WHERE node_id = $1 AND split = 'validation' AND step = (
    SELECT max(step) FROM completions WHERE node_id = $1 AND split = 'validation' AND step <= $2)
QUALIFY row_number() OVER (PARTITION BY prompt ORDER BY seq DESC) = 1 ORDER BY prompt

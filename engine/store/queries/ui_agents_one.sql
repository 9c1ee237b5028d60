-- Call $1 in full; texts cut to $2 characters, with their whole lengths. `images` are files relative to the run.
SELECT call_id AS call, node_id AS node, role, model, advisor, prompt_version, prompt_tokens, completion_tokens,
    milliseconds / 1000 AS seconds, error, left(rationale, $2) AS rationale, length(rationale) AS rationale_length, ts,
    left(request, $2) AS request, length(request) AS request_length, left(response, $2) AS response,
    length(response) AS response_length, left(images, $2) AS images
FROM agent_calls WHERE call_id = $1

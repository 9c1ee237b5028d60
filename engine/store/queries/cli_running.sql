-- What trains now: every node in progress with its step, and the latest of its telling metrics as a JSON object.
SELECT n.node_id, n.label, n.changes, n.trained_steps, n.planned_steps,
    (SELECT json_group_object(m.name, m.value) FROM (
        SELECT name, arg_max(value, step) AS value FROM metrics
        WHERE node_id = n.node_id AND step > n.trained_steps - 10 AND isfinite(value)
            AND name IN ('reward', 'kl', 'entropy', 'completions/mean_length', 'completions/clipped_ratio')
        GROUP BY name) m) AS metrics
FROM nodes n WHERE n.state = 'running' ORDER BY n.node_id

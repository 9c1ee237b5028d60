-- What trains now: every node in progress with its step, where, and the latest of its telling metrics as a JSON object.
SELECT n.node_id, n.label, n.changes, n.trained_steps, n.planned_steps,
    (SELECT arg_max(e.detail ->> 'device', e.seq) FROM events e WHERE e.node_id = n.node_id AND e.kind = 'started') AS device,
    (SELECT json_group_object(m.name, m.value) FROM (
        SELECT name, arg_max(value, step) AS value FROM metrics
        WHERE node_id = n.node_id AND step > n.trained_steps - 10 AND isfinite(value)
            AND name IN ('reward', 'kl', 'entropy', 'completions/mean_length', 'completions/clipped_ratio',
                'device/utilization', 'device/memory_gb', 'tokens_per_second')
        GROUP BY name) m) AS metrics
FROM nodes n WHERE n.state = 'running' ORDER BY n.node_id

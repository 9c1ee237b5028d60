-- Seconds a step by node, and what they were spent on
SELECT n.node_id, n.label, n.trained_steps AS steps, n.trainer_seconds AS seconds,
       n.trainer_seconds / nullif(n.trained_steps, 0) AS seconds_per_step, n.ended - n.started AS wall
FROM nodes n WHERE n.trained_steps > 0 ORDER BY seconds_per_step DESC;

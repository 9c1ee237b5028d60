-- What the run cost, and how much of it the best trajectory used.
WITH used AS (SELECT n.node_id, b.steps, n.trained_steps, n.trainer_seconds
    FROM nodes n LEFT JOIN best_trajectory b USING (node_id) WHERE n.node_id > 0)
SELECT (SELECT sum(trainer_seconds) FROM used) AS trainer_seconds, (SELECT sum(trained_steps) FROM used) AS steps,
    (SELECT sum(trainer_seconds * steps / trained_steps) FROM used WHERE steps > 0 AND trained_steps > 0) AS used_seconds,
    (SELECT sum(seconds) FROM evaluations) AS closing_seconds, (SELECT sum(seconds) FROM checkpoints) AS scoring_seconds,
    (SELECT sum(planned_steps - trained_steps) FROM nodes WHERE state = 'early-stopped') AS saved_steps,
    (SELECT count(*) FROM nodes WHERE state = 'early-stopped') AS stopped,
    (SELECT max(wall_seconds) FROM budget) AS wall_seconds, (SELECT max(waiting_seconds) FROM budget) AS waiting_seconds

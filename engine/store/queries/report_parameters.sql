-- The value of every hyperparameter over every segment; stage is NULL off the best trajectory.
SELECT parameter, node_id, stage, start_steps, end_steps, value FROM trajectory_parameters
WHERE value IS NOT NULL AND node_id > 0 AND end_steps > start_steps ORDER BY parameter, stage NULLS FIRST, node_id

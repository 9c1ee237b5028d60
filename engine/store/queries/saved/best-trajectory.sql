-- The stages from the base model to the best policy, with their scores
SELECT stage, node_id, steps, total_steps, label, changes, n,
       round(value, 4) AS value, round(value_low, 4) AS low, round(value_high, 4) AS high
FROM best_trajectory ORDER BY stage;

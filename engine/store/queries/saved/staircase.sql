-- Each hyperparameter, stage by stage, on the way to the best policy; those that moved first
SELECT parameter, count(DISTINCT text) - 1 AS moves, list(text ORDER BY stage) AS staircase
FROM trajectory_parameters WHERE on_best_trajectory
GROUP BY parameter ORDER BY moves DESC, parameter;

-- What was spent, minute by minute
SELECT time_bucket(INTERVAL 1 MINUTE, ts) AS minute, max(steps) AS steps, max(nodes) AS nodes,
       max(trainer_seconds) AS trainer_seconds, round(100 * max(fraction), 1) AS percent
FROM budget GROUP BY minute ORDER BY minute;

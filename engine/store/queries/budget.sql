-- What was spent over time: every row of the budget after $1 (the last seq that was seen; 0 for all), in order.
SELECT seq, steps, nodes, trainer_seconds, wall_seconds, fraction, ts FROM budget WHERE seq > $1 ORDER BY seq;

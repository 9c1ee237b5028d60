-- When the run stood still: between which moments (microseconds of the epoch) fewer seconds were counted than went by, by more than
-- two: a pause, or an engine that was gone. `counted`: the seconds of training that do lie in there.
SELECT first, last, counted
FROM (
    SELECT epoch_us(lag(ts) OVER by_time) AS first, epoch_us(ts) AS last, wall_seconds - lag(wall_seconds) OVER by_time AS counted
    FROM budget WINDOW by_time AS (ORDER BY seq)
)
WHERE first IS NOT NULL AND (last - first) / 1e6 - counted > 2
ORDER BY first

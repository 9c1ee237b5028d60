-- Share of completions cut at the longest allowed length, and of correct ones, by node
SELECT node_id, step, count(*) AS completions, avg(CAST(truncated AS DOUBLE)) AS truncated,
       avg(CAST(correct AS DOUBLE)) AS correct, avg(reward) AS reward
FROM completions GROUP BY ALL ORDER BY node_id, step;

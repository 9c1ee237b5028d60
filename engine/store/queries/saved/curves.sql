-- Reward, KL, entropy and length of every node, in tenths of its segment
SELECT m.node_id, CAST(least(9, floor(10 * (m.step - 1) / greatest(n.planned_steps, 1))) AS INTEGER) + 1 AS tenth,
       avg(value) FILTER (name = 'reward') AS reward, avg(value) FILTER (name = 'kl') AS kl,
       avg(value) FILTER (name = 'entropy') AS entropy,
       avg(value) FILTER (name = 'completions/mean_length') AS length
FROM metrics m JOIN nodes n USING (node_id)
WHERE isfinite(value) GROUP BY ALL ORDER BY m.node_id, tenth;

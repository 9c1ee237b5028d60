-- The reward of some nodes ($1 = their ids as a JSON list) as averages of $2 equal parts of what each was planned to train.
SELECT m.node_id, CAST(floor((m.step - 1) * CAST($2 AS INTEGER) / greatest(n.planned_steps, 1)) AS INTEGER) AS part, avg(m.value) AS value
FROM metrics m JOIN nodes n USING (node_id)
WHERE m.name = 'reward' AND isfinite(m.value) AND list_contains(CAST($1 AS JSON)::INTEGER[], m.node_id)
GROUP BY ALL ORDER BY ALL

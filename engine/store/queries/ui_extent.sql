-- Between which values the reward of nodes lies, each averaged over $2 equal parts of what was planned: the scale that the small
-- curves of the tree share. Only of the nodes in the JSON list $1; of all when it is NULL.
SELECT min(value) AS low, max(value) AS high FROM (
    SELECT avg(m.value) AS value
    FROM metrics m JOIN nodes n USING (node_id)
    WHERE m.name = 'reward' AND isfinite(m.value) AND ($1 IS NULL OR list_contains(CAST($1 AS JSON)::INTEGER[], m.node_id))
    GROUP BY m.node_id, floor((m.step - 1) * CAST($2 AS INTEGER) / greatest(n.planned_steps, 1))
)

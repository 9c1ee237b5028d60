-- What changed along the way from the base model to one node: $1 node. One row per stage and changed value, old and new.
WITH RECURSIVE path(node_id, back) AS (
    SELECT node_id, 0 FROM nodes WHERE node_id = $1
    UNION ALL
    SELECT n.parent_id, path.back + 1 FROM path JOIN nodes n USING (node_id) WHERE n.parent_id IS NOT NULL
)
SELECT CAST((SELECT max(back) FROM path) - path.back AS INTEGER) AS stage, t.node_id, t.parameter,
    t.parent_value AS before, t.value AS after
FROM path JOIN trajectory_parameters t USING (node_id)
WHERE t.changed ORDER BY stage, t.parameter;

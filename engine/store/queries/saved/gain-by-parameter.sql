-- Mean gain of the segments that changed a parameter, by the direction of the change
SELECT t.parameter, CASE WHEN t.value > t.parent_value THEN 'up' WHEN t.value < t.parent_value THEN 'down' ELSE 'to ' || t.text END AS direction, count(*) AS times,
       avg(child.value - parent.value) AS mean_gain, max(child.value - parent.value) AS best_gain
FROM trajectory_parameters t
JOIN nodes n USING (node_id)
JOIN (SELECT node_id, arg_max(value, (n, value)) AS value FROM scores GROUP BY node_id) child ON child.node_id = n.node_id
JOIN scores parent ON parent.node_id = n.parent_id AND parent.step = n.branch_step
WHERE t.changed AND t.text IS DISTINCT FROM t.parent_text
GROUP BY ALL ORDER BY mean_gain DESC;

-- Score of each child against the checkpoint it came from
SELECT n.node_id, n.label, n.intent, n.advisor, child.value - parent.value AS gain, parent.value AS before, child.value AS after
FROM nodes n
JOIN (SELECT node_id, arg_max(value, (n, value)) AS value FROM scores GROUP BY node_id) child ON child.node_id = n.node_id
JOIN scores parent ON parent.node_id = n.parent_id AND parent.step = n.branch_step
ORDER BY gain DESC;

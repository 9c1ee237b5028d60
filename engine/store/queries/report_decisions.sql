-- Every segment in the order of its proposal: why, what was expected, the score before and after it.
SELECT n.node_id, n.parent_id, n.branch_step, n.intent, n.label, n.changes, n.advisor, n.rationale, n.expected, n.state, n.reason,
    n.trained_steps, n.planned_steps, n.optimizer, n.reference, n.pruned, n.note, b.stage, p.decided_by,
    before.value AS before_value, before.value_low AS before_low, before.value_high AS before_high,
    after.value, after.value_low, after.value_high, after.n
FROM visible_nodes n LEFT JOIN best_trajectory b USING (node_id)
LEFT JOIN proposals p ON p.proposal_id = n.proposal_id
LEFT JOIN scores before ON before.node_id = n.parent_id AND before.step = n.branch_step
LEFT JOIN (SELECT * FROM scores QUALIFY row_number() OVER (PARTITION BY node_id ORDER BY step DESC) = 1) after
    ON after.node_id = n.node_id
WHERE n.node_id > 0 AND n.state <> 'proposed' ORDER BY n.node_id

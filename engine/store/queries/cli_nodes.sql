-- Every node of interest with its best score, and why it was proposed: what a listing for a terminal without screens shows.
SELECT n.node_id, n.parent_id, n.branch_step, n.depth, n.state, n.reason, n.intent, n.label, n.changes, n.optimizer,
    n.reference, n.rationale, n.expected, n.advisor, n.trained_steps, n.planned_steps, n.start_steps, n.trainer_seconds,
    n.pruned, best.step AS best_step, best.n AS best_n, best.value AS best_value,
    best.value_low AS best_low, best.value_high AS best_high, best.first_look
FROM visible_nodes n LEFT JOIN node_scores best USING (node_id)
ORDER BY n.node_id

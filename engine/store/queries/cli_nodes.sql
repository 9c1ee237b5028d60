-- Every node of interest with its best score among those on the most prompts (of first looks the last), and why it was proposed: what a listing for a terminal without screens shows.
SELECT n.node_id, n.parent_id, n.branch_step, n.depth, n.state, n.reason, n.intent, n.label, n.changes, n.optimizer,
    n.reference, n.rationale, n.expected, n.advisor, n.trained_steps, n.planned_steps, n.start_steps, n.trainer_seconds,
    n.pruned, best.step AS best_step, best.n AS best_n, best.value AS best_value,
    score_low(best.value, best.n, best.effective_n) AS best_low, score_high(best.value, best.n, best.effective_n) AS best_high,
    best.n < best.most AS first_look
FROM visible_nodes n LEFT JOIN (
    SELECT node_id, any_value(most) AS most, arg_max(step, (n, chosen, step)) AS step, max(n) AS n,
        arg_max(value, (n, chosen, step)) AS value, arg_max_null(effective_n, (n, chosen, step)) AS effective_n
    FROM (SELECT *, max(n) OVER () AS most, CASE WHEN n = max(n) OVER () THEN value ELSE 0 END AS chosen FROM checkpoints)
    GROUP BY node_id
) best USING (node_id)
ORDER BY n.node_id

-- The latest proposal of node $1 in whatever state: what it changes, who made it by which model, what became of it and by whom,
-- and why the search selected it, unless that is the rationale.
SELECT p.proposal_id, p.revision, p.node_id, p.parent_id, p.branch_step, p.intent, p.label, p.changes, p.optimizer, p.reference,
    p.rationale, p.expected, p.advisor, p.deadline, p.created, n.configuration AS parent_configuration,
    p.state = 'pending' AND (SELECT gate FROM runs) IS DISTINCT FROM 'auto' AS waits,
    p.state, p.reason, p.decided_by, p.decided, coalesce(c.model, '') AS model, coalesce(own.state, '') AS node_state,
    nullif((SELECT arg_max(message, seq) FROM events WHERE kind = 'selected' AND node_id = p.node_id), p.rationale) AS selected
FROM proposals p LEFT JOIN nodes n ON n.node_id = p.parent_id LEFT JOIN nodes own ON own.node_id = p.node_id
LEFT JOIN agent_calls c ON c.call_id = p.call_id
WHERE p.node_id = $1 ORDER BY p.proposal_id DESC LIMIT 1

-- What waits for a human: pending proposals with the seconds until the gate decides by itself (NULL: never), most urgent first.
SELECT p.proposal_id, p.revision, p.node_id, p.parent_id, p.branch_step, p.intent, p.label, p.changes, n.configuration,
    p.optimizer, p.reference, p.rationale, p.expected, p.advisor, p.deadline, p.created,
    epoch(p.deadline) - epoch(make_timestamp(epoch_us(now()))) AS seconds_left
FROM proposals p LEFT JOIN nodes n USING (node_id)
WHERE p.state = 'pending' ORDER BY p.deadline NULLS LAST, p.proposal_id;

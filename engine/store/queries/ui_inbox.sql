-- Proposals that have not begun, oldest first, with the configuration of the node they would branch from. `waits`: for
-- the human; under an auto gate they go ahead by themselves.
SELECT p.proposal_id, p.revision, p.node_id, p.parent_id, p.branch_step, p.intent, p.label, p.changes, p.optimizer, p.reference, p.rationale,
    p.expected, p.advisor, p.deadline, p.created, n.configuration AS parent_configuration,
    (SELECT gate FROM runs) IS DISTINCT FROM 'auto' AS waits
FROM proposals p LEFT JOIN nodes n ON n.node_id = p.parent_id WHERE p.state = 'pending' ORDER BY p.created, p.proposal_id

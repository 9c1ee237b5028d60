-- Every proposal: what was wanted, who decided, and how long it waited
SELECT proposal_id, node_id, parent_id, label, advisor, state, decided_by, decided - created AS waited, reason
FROM proposals ORDER BY proposal_id;

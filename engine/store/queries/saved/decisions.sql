-- Every decision: why a node was chosen, its rationale, who decided, what was expected
SELECT n.node_id, n.parent_id, n.branch_step, n.intent, n.label, n.advisor, p.decided_by, n.rationale, n.expected
FROM nodes n LEFT JOIN proposals p USING (proposal_id) WHERE n.parent_id IS NOT NULL ORDER BY n.node_id;

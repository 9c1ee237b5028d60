-- Why one node is as it is and what was found in it: $1 node. Its proposal's rationale first, then the diagnoses of its segment.
SELECT 'rationale' AS kind, n.label AS title, n.rationale AS text, n.expected, NULL AS severity, n.advisor, c.model,
    coalesce(c.seq, 0) AS seq
FROM nodes n LEFT JOIN proposals p ON p.proposal_id = n.proposal_id LEFT JOIN agent_calls c ON c.call_id = p.call_id
WHERE n.node_id = $1 AND n.rationale <> ''
UNION ALL
SELECT 'diagnosis', d.pathology, d.evidence, '', d.severity, coalesce(c.advisor, ''), c.model, d.seq
FROM diagnoses d LEFT JOIN agent_calls c USING (call_id)
WHERE d.node_id = $1
ORDER BY kind DESC, seq;

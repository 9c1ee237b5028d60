-- What may have become news since the last look at a run: its state, which proposals wait for the human, which segments
-- collapsed, and that nothing can be learned. One row.
SELECT r.name, r.state, r.reason,
    (SELECT coalesce(list(p.node_id ORDER BY p.created, p.proposal_id), []) FROM proposals p
     WHERE p.state = 'pending' AND r.gate IS DISTINCT FROM 'auto') AS waiting,
    (SELECT coalesce(list(n.node_id ORDER BY n.node_id), []) FROM nodes n WHERE n.state IN ('early-stopped', 'nan')) AS collapsed,
    (SELECT arg_max(e.message, e.seq) FROM events e WHERE e.kind = 'no signal') AS no_signal
FROM runs r

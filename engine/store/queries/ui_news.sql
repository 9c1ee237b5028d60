-- What may have become news since the last look at a run: its state, and which proposals wait for the human. One row.
SELECT r.name, r.state, r.reason,
    (SELECT coalesce(list(p.node_id ORDER BY p.created, p.proposal_id), []) FROM proposals p
     WHERE p.state = 'pending' AND r.gate IS DISTINCT FROM 'auto') AS waiting
FROM runs r

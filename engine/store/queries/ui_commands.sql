-- The latest commands of humans, the node each is about, and what became of it.
SELECT c.command_id, c.kind, coalesce(c.node_id, p.node_id) AS node_id, c.proposal_id, c.author, c.ts, r.state, r.message, r.ts AS answered
FROM (SELECT * FROM commands ORDER BY command_id DESC LIMIT 20) c
LEFT JOIN proposals p USING (proposal_id)
LEFT JOIN (SELECT command_id, arg_max(state, seq) AS state, arg_max(message, seq) AS message, max(ts) AS ts
           FROM command_results GROUP BY command_id) r USING (command_id)
ORDER BY c.command_id

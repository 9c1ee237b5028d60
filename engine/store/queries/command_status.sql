-- How far the last commands are: sent, taken, done or refused, newest first: $1 how many.
SELECT c.command_id, c.kind, c.node_id, c.proposal_id, c.revision, c.payload, c.author, c.ts,
    coalesce(arg_max(r.state, r.seq), 'sent') AS state, coalesce(arg_max(r.message, r.seq), '') AS message, max(r.ts) AS answered
FROM commands c LEFT JOIN command_results r USING (command_id)
GROUP BY ALL ORDER BY c.command_id DESC LIMIT $1;

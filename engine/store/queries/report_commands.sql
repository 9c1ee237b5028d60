-- Every command of a human with what became of it.
SELECT c.ts, c.kind, c.node_id, c.author, c.payload, r.state, r.message
FROM commands c LEFT JOIN (SELECT * FROM command_results QUALIFY row_number() OVER (PARTITION BY command_id ORDER BY seq DESC) = 1) r
    USING (command_id) ORDER BY c.command_id

-- What humans asked of the engine, and whether it was done
SELECT c.ts, c.author, c.kind, c.node_id, c.payload, r.state, r.message
FROM commands c LEFT JOIN command_results r USING (command_id) ORDER BY c.command_id, r.seq;

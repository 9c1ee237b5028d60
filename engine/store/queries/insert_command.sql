-- Asks the engine to do something: the only write a human's program makes, and only through the engine's socket.
-- $1 kind, $2 node_id, $3 proposal_id, $4 revision, $5 payload (JSON text), $6 author. The answer is a row of command_results.
INSERT INTO commands
SELECT coalesce(max(command_id), 0) + 1, $1, $2, $3, $4, $5, $6, make_timestamp(epoch_us(now()))
FROM commands
RETURNING command_id;

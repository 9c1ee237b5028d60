-- The log after seq $1, at most the latest $2 lines, in order.
SELECT * FROM (SELECT seq, level, kind, node_id, message, ts FROM events WHERE seq > $1 ORDER BY seq DESC LIMIT $2) ORDER BY seq

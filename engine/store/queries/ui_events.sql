-- Events after seq $1, at most the latest 400, in order.
SELECT * FROM (SELECT seq, level, kind, node_id, message, ts FROM events WHERE seq > $1 ORDER BY seq DESC LIMIT 400) ORDER BY seq

-- What happened since: events after $1 (the last seq that was seen; 0 for all), in order.
SELECT seq, level, kind, node_id, message, detail, ts FROM events WHERE seq > $1 ORDER BY seq;

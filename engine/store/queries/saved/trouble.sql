-- What went wrong: warnings and errors of the log, the latest first
SELECT ts, level, kind, node_id, message FROM events WHERE level <> 'info' ORDER BY seq DESC;

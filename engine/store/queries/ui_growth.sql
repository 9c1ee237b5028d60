-- What has grown since the last look ($1 = the last seq of metrics seen): the newest seq and time, and which nodes are concerned.
SELECT max(seq) AS seq, max(ts) AS ts, list(DISTINCT node_id) AS nodes FROM metrics WHERE seq > $1

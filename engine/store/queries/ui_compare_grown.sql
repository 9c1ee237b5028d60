-- Whether any of some nodes ($1 = their ids as a JSON list) grew after the metric with seq $2: the newest seq of all, and how many of
-- the new metrics are theirs.
SELECT max(seq) AS seq, count(*) FILTER (list_contains(CAST($1 AS JSON)::INTEGER[], node_id)) AS grown FROM metrics WHERE seq > $2

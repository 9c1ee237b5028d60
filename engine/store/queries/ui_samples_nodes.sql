-- Node $1 (NULL: the first that has completions), whether or not it has some, and the nearest 32 nodes on either side that do.
WITH known AS (SELECT node_id, count(*) AS samples FROM completions GROUP BY node_id),
here AS (SELECT coalesce($1, (SELECT min(node_id) FROM known)) AS node)
SELECT here.node, coalesce(n.label, '') AS label, coalesce(n.state, '') AS state, coalesce(k.samples, 0) AS samples,
    coalesce((SELECT list(node_id ORDER BY node_id) FROM (FROM known WHERE node_id < (SELECT node FROM here) ORDER BY node_id DESC LIMIT 32)), [])
        AS before,
    coalesce((SELECT list(node_id ORDER BY node_id) FROM (FROM known WHERE node_id > (SELECT node FROM here) ORDER BY node_id LIMIT 32)), [])
        AS after
FROM here LEFT JOIN known k ON k.node_id = here.node LEFT JOIN nodes n ON n.node_id = here.node

-- What the nodes that train now train on, as their workers told when they began: device, and how many of it.
SELECT device, count(*) AS segments FROM (
    SELECT (SELECT arg_max(e.detail ->> 'device', e.seq) FROM events e WHERE e.node_id = n.node_id AND e.kind = 'started')
        AS device FROM nodes n WHERE n.state = 'running')
WHERE device <> '' GROUP BY device ORDER BY device

-- The reward of the latest fifty steps
SELECT node_id, step, value AS reward, ts FROM metrics
WHERE name = 'reward' ORDER BY seq DESC LIMIT 50;

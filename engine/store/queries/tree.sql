-- The whole tree: every node with its best validation score, n and 95% interval, and the last reward of what trains.
WITH best AS (
    SELECT * FROM scores QUALIFY row_number() OVER (PARTITION BY node_id ORDER BY value DESC, step DESC) = 1
),
live AS (
    SELECT m.node_id, arg_max(m.value, m.seq) AS reward, max(m.step) AS step, max(m.ts) AS ts
    FROM metrics m WHERE m.name = 'reward' AND m.node_id IN (SELECT node_id FROM nodes WHERE state = 'running')
    GROUP BY m.node_id
)
SELECT n.node_id, n.parent_id, n.branch_step, n.depth, n.state, n.reason, n.intent, n.label, n.pruned, n.planned_steps,
    n.trained_steps, n.start_steps, n.created, n.started, n.ended,
    b.step AS best_step, b.n, b.value, b.value_low, b.value_high, b.greedy, b.sampled,
    live.reward AS last_reward, live.step AS last_step, live.ts AS last_ts
FROM visible_nodes n LEFT JOIN best b USING (node_id) LEFT JOIN live USING (node_id)
ORDER BY n.node_id;

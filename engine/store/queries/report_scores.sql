-- Every scored checkpoint in order, with the GRPO steps and trainer seconds that the whole run had spent by then.
WITH spent AS (
    SELECT seq, sum(value) OVER past AS seconds, count(*) OVER past AS steps FROM metrics WHERE name = 'step_seconds'
    WINDOW past AS (ORDER BY seq ROWS UNBOUNDED PRECEDING)
)
SELECT s.node_id, n.parent_id, n.branch_step, n.start_steps, s.step, s.total_steps, s.value, s.value_low, s.value_high,
    b.stage, coalesce(spent.seconds, 0) AS spent_seconds, coalesce(spent.steps, 0) AS spent_steps
FROM scores s ASOF LEFT JOIN spent ON spent.seq <= s.seq JOIN nodes n USING (node_id)
LEFT JOIN best_trajectory b USING (node_id) ORDER BY s.seq

-- Mean gain of the segments that changed a parameter, by the direction of the change
WITH gains AS (SELECT n.node_id, least(child.n, parent.n) AS prompts, -- those that both were asked
        score_of_first(prompts, child.value, child.n, child.outcomes) - score_of_first(prompts, parent.value, parent.n, parent.outcomes) AS gain
    FROM nodes n JOIN node_scores child USING (node_id) JOIN checkpoints parent ON parent.node_id = n.parent_id AND parent.step = n.branch_step)
SELECT t.parameter, CASE WHEN t.value > t.parent_value THEN 'up' WHEN t.value < t.parent_value THEN 'down' ELSE 'to ' || t.text END AS direction,
       count(*) AS times, avg(gain) AS mean_gain, max(gain) AS best_gain
FROM trajectory_parameters t JOIN gains USING (node_id)
WHERE t.changed AND t.text IS DISTINCT FROM t.parent_text
GROUP BY ALL ORDER BY mean_gain DESC;

-- Score of each child against the checkpoint it came from
SELECT node_id, label, intent, advisor, after - before AS gain, before, after, prompts
FROM (SELECT n.node_id, n.label, n.intent, n.advisor, least(child.n, parent.n) AS prompts, -- those that both were asked
        score_of_first(prompts, parent.value, parent.n, parent.outcomes) AS before, score_of_first(prompts, child.value, child.n, child.outcomes) AS after
    FROM nodes n JOIN node_scores child USING (node_id) JOIN checkpoints parent ON parent.node_id = n.parent_id AND parent.step = n.branch_step)
ORDER BY gain DESC;

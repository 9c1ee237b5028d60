-- Every node of the search tree, what is needed to draw it; texts stay where they are until one is looked at.
SELECT node_id, parent_id, branch_step, depth, state, intent, label, trained_steps, planned_steps, start_steps, pruned, proposal_id
FROM visible_nodes ORDER BY node_id

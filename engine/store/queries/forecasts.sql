-- What the branches of the best policy and of what trains will score up to the end of the budget: a row for each point, by branch.
SELECT first_node, node_id, best, steps, mean, low, high FROM forecasts

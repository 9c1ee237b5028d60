-- The nodes of the search tree with their scored checkpoints, in chunks of 128; only chunks that are not as they were: $1 = the marks
-- (a hash of everything here) that are known already, as a JSON list. A chunk that is known is one row without a node. `human`: made or
-- edited by one. Texts stay where they are until one is looked at, but for a human's note.
WITH drawn AS (
    SELECT node_id, parent_id, branch_step, state, intent, label, trained_steps, planned_steps, start_steps, pruned,
        advisor = 'human' AS human, note FROM visible_nodes
), scored AS (
    SELECT seq, node_id, step, n, value, effective_n, kept FROM checkpoints
), chunks AS (
    SELECT node_id // 128 AS chunk, CAST(bit_xor(hash(mark)) AS VARCHAR) AS mark -- twice: hashes of rows that differ in one flag differ alike
    FROM (SELECT node_id, hash(drawn) AS mark FROM drawn UNION ALL SELECT node_id, hash(scored) FROM scored) GROUP BY chunk
), changed AS (
    SELECT chunk FROM chunks WHERE NOT list_contains(CAST($1 AS JSON)::VARCHAR[], mark)
), lists AS (
    SELECT node_id, list(step ORDER BY step, seq) AS steps, list(value ORDER BY step, seq) AS scores,
        list(step ORDER BY step, seq) FILTER (kept) AS kept, of_best(step, n, value, step) AS best_step, max(n) AS best_n,
        of_best(value, n, value, step) AS best_value, of_best(effective_n, n, value, step) AS best_effective_n
    FROM scored WHERE node_id // 128 IN (FROM changed) GROUP BY node_id
), fresh AS (
    SELECT drawn.*, steps, scores, kept, best_step, best_n, best_value, score_low(best_value, best_n, best_effective_n) AS best_low,
        score_high(best_value, best_n, best_effective_n) AS best_high FROM drawn LEFT JOIN lists USING (node_id) WHERE drawn.node_id // 128 IN (FROM changed)
)
SELECT chunks.chunk, chunks.mark, fresh.* FROM chunks LEFT JOIN fresh ON fresh.node_id // 128 = chunks.chunk
ORDER BY chunks.chunk, fresh.node_id

-- Views for the questions people ask. An opening for writing replaces them where they are not these, so that an old run gets the new ones.

-- The 95% Wilson interval of k successes out of n trials (both may be fractional); NULL where n is 0. As engine/domain/score.py has it.
CREATE OR REPLACE MACRO wilson_low(k, n) AS CASE WHEN n > 0 THEN
    greatest(0.0, least(k / n, (k + 1.9207294103470627 - 1.959963984540054 * sqrt(k * (1 - k / n) + 0.9603647051735313)) / (n + 3.8414588206941254))) END;
CREATE OR REPLACE MACRO wilson_high(k, n) AS CASE WHEN n > 0 THEN
    least(1.0, greatest(k / n, (k + 1.9207294103470627 + 1.959963984540054 * sqrt(k * (1 - k / n) + 0.9603647051735313)) / (n + 3.8414588206941254))) END;

-- The 95% interval of a score on n prompts, that are worth effective_n (NULL: n) scored 0 or 1.
CREATE OR REPLACE MACRO score_low(value, n, effective_n) AS wilson_low(value * coalesce(effective_n, n), coalesce(effective_n, n));
CREATE OR REPLACE MACRO score_high(value, n, effective_n) AS wilson_high(value * coalesce(effective_n, n), coalesce(effective_n, n));

-- The score on the first k of n prompts; that on all of them where outcomes are not known. A digit of outcomes is three times what the prompt scores.
CREATE OR REPLACE MACRO score_of_first(k, value, n, outcomes) AS CASE WHEN k >= n OR coalesce(length(outcomes), 0) < k THEN value ELSE
    (6 * k - length(replace(left(outcomes, k), '1', '')) - 2 * length(replace(left(outcomes, k), '2', '')) - 3 * length(replace(left(outcomes, k), '3', ''))) / (3 * k) END;

-- Of a node's checkpoints x of the best: of those that were asked the most prompts the one with the highest value, of equals the latest. As Node.best
-- in engine/domain/tree.py has it; a node that got first looks alone has the best of those.
CREATE OR REPLACE MACRO of_best(x, n, value, step) AS arg_max_null(x, (n, value, step));

-- What identifies the policy of a checkpoint, and its name for people. As engine/domain/policy.py has it.
CREATE OR REPLACE MACRO checkpoint_key(node, step) AS '[[' || node || ',' || step || ']]';
CREATE OR REPLACE MACRO checkpoint_name(node, step) AS CASE WHEN node = 0 THEN 'base' ELSE '#' || node || ' step ' || step END;

CREATE OR REPLACE VIEW scores AS
SELECT c.node_id, c.step, n.start_steps + c.step AS total_steps, c.n,
    c.value, score_low(c.value, c.n, c.effective_n) AS value_low, score_high(c.value, c.n, c.effective_n) AS value_high,
    c.greedy / c.n AS greedy, wilson_low(c.greedy, c.n) AS greedy_low, wilson_high(c.greedy, c.n) AS greedy_high,
    c.sampled / c.n AS sampled, wilson_low(c.sampled, c.n) AS sampled_low, wilson_high(c.sampled, c.n) AS sampled_high,
    c.kept, c.path, c.seq, c.ts
FROM checkpoints c JOIN nodes n USING (node_id);

CREATE OR REPLACE VIEW node_scores AS
SELECT node_id, step, n, value, score_low(value, n, effective_n) AS value_low, score_high(value, n, effective_n) AS value_high,
    n < max(n) OVER () AS first_look, outcomes
FROM (SELECT node_id, of_best(c.step, c.n, c.value, c.step) AS step, max(c.n) AS n, of_best(c.value, c.n, c.value, c.step) AS value,
        of_best(c.effective_n, c.n, c.value, c.step) AS effective_n, of_best(c.outcomes, c.n, c.value, c.step) AS outcomes
    FROM checkpoints c GROUP BY node_id);

-- Rows of version 1 and 2 name no policy: there it follows from node, step and path. A soup of theirs is known by the row in
-- which it was scored when it was made, for the next one was written to the same directory.
CREATE OR REPLACE VIEW policy_evaluations AS
WITH named AS (
    SELECT *, CASE WHEN members IS NULL THEN (SELECT max(s.seq) FROM evaluations s
        WHERE s.kind = 'soup' AND s.members IS NULL AND s.path = e.path AND s.seq <= e.seq) END AS soup FROM evaluations e
)
SELECT * EXCLUDE (soup) REPLACE (coalesce(policy, CASE WHEN soup IS NOT NULL THEN 'soup ending at ' WHEN node_id = 0 THEN 'base' ELSE '' END
        || CASE WHEN soup IS NOT NULL OR node_id > 0 THEN '#' || node_id || ' step ' || step ELSE '' END) AS policy),
    coalesce(members, 'soup ' || soup, checkpoint_key(node_id, step)) AS policy_key
FROM named;

CREATE OR REPLACE VIEW reported_policy AS
WITH run AS (SELECT *, policy IS NOT NULL OR state = 'finished' AND best_node IS NOT NULL AS picked FROM runs),
measured AS MATERIALIZED (SELECT * FROM policy_evaluations),  -- one binding of a deep view, not six
old_soup AS (SELECT e.* FROM measured e JOIN run r ON r.policy IS NULL AND e.path = r.best_path AND e.kind = 'soup'
    ORDER BY e.seq DESC LIMIT 1),
incumbent AS (SELECT * FROM checkpoints ORDER BY n DESC, value DESC, node_id, step DESC LIMIT 1),
chosen AS (
    SELECT true AS picked, best_node AS node_id, best_step AS step, best_path AS path, coalesce(r.policy, o.policy) AS policy, r.members,
        coalesce(r.members, o.policy_key, checkpoint_key(best_node, best_step)) AS policy_key
    FROM run r LEFT JOIN old_soup o ON true WHERE picked
    UNION ALL
    SELECT false, i.node_id, i.step, i.path, NULL, NULL, checkpoint_key(i.node_id, i.step)
    FROM incumbent i JOIN run ON NOT picked
),
named AS (
    SELECT * REPLACE (coalesce(policy, checkpoint_name(node_id, step)) AS policy),
        CASE WHEN policy_key LIKE 'soup%' OR TRY(json_array_length(members)) > 1 THEN 'soup' WHEN node_id = 0 THEN 'base' ELSE 'checkpoint' END AS kind
    FROM chosen
),
soup AS (SELECT e.* FROM measured e JOIN named c USING (policy_key) WHERE e.kind = 'soup' ORDER BY e.seq DESC LIMIT 1),
test AS (SELECT e.* FROM measured e JOIN named c USING (policy_key)
    WHERE e.split = 'test' AND e.kind IN ('final', 'baseline') ORDER BY e.seq DESC LIMIT 1),
own AS (SELECT k.* FROM checkpoints k JOIN named c ON c.kind <> 'soup' AND k.node_id = c.node_id AND k.step = c.step ORDER BY k.seq DESC LIMIT 1),
base AS (SELECT * FROM checkpoints WHERE node_id = 0 ORDER BY step, seq DESC LIMIT 1),
base_test AS (SELECT * FROM evaluations WHERE kind = 'baseline' ORDER BY seq DESC LIMIT 1),
fresh AS (SELECT * FROM measured WHERE kind = 'reranking' QUALIFY row_number() OVER (PARTITION BY policy_key ORDER BY seq DESC) = 1),
second AS (SELECT f.* FROM fresh f JOIN named c USING (policy_key) WHERE c.picked),
leader AS (SELECT checkpoint_name(i.node_id, i.step) AS policy, i.n + f.n AS n, i.greedy + f.greedy AS greedy, i.sampled + f.sampled AS sampled,
        i.outcomes || f.outcomes AS outcomes
    FROM incumbent i JOIN fresh f ON f.policy_key = checkpoint_key(i.node_id, i.step)
    JOIN named c ON c.picked AND c.policy_key <> f.policy_key),
tests AS (SELECT CAST(to_json(list({'policy': policy, 'n': n, 'ts': strftime(ts, '%Y-%m-%dT%H:%M:%S+00:00')} ORDER BY seq)) AS VARCHAR) AS tests
    FROM measured WHERE kind = 'final')
SELECT c.policy, c.kind, coalesce(c.members, CASE WHEN c.kind <> 'soup' THEN c.policy_key END) AS members, c.picked, c.node_id, c.step, c.path,
    coalesce(soup.n, own.n) AS n, coalesce(soup.greedy, own.greedy) AS greedy, coalesce(soup.sampled, own.sampled) AS sampled,
    coalesce(soup.outcomes, own.outcomes) AS outcomes, coalesce(soup.effective_n, own.effective_n) AS effective_n,
    test.n AS test_n, test.greedy AS test_greedy, test.sampled AS test_sampled, test.outcomes AS test_outcomes,
    test.effective_n AS test_effective_n, test.seed AS test_seed, coalesce(tests.tests, '[]') AS tests,
    base.n AS base_n, base.greedy AS base_greedy, base.sampled AS base_sampled, base.outcomes AS base_outcomes, base.effective_n AS base_effective_n,
    base_test.n AS base_test_n, base_test.greedy AS base_test_greedy, base_test.sampled AS base_test_sampled,
    base_test.outcomes AS base_test_outcomes, base_test.effective_n AS base_test_effective_n, base_test.seed AS base_test_seed,
    coalesce(soup.n, own.n) + second.n AS reranked_n, coalesce(soup.greedy, own.greedy) + second.greedy AS reranked_greedy,
    coalesce(soup.sampled, own.sampled) + second.sampled AS reranked_sampled, coalesce(soup.outcomes, own.outcomes) || second.outcomes AS reranked_outcomes,
    leader.policy AS leader_policy, leader.n AS leader_n, leader.greedy AS leader_greedy, leader.sampled AS leader_sampled,
    leader.outcomes AS leader_outcomes
FROM run CROSS JOIN tests LEFT JOIN named c ON true LEFT JOIN soup ON true LEFT JOIN own ON true LEFT JOIN test ON true
LEFT JOIN base ON true LEFT JOIN base_test ON true LEFT JOIN second ON true LEFT JOIN leader ON true;

CREATE OR REPLACE VIEW best_trajectory AS
WITH RECURSIVE path(node_id, leaves_at, back) AS (
    SELECT node_id, step, 0 FROM reported_policy WHERE node_id IS NOT NULL
    UNION ALL
    SELECT n.parent_id, n.branch_step, path.back + 1
    FROM path JOIN nodes n USING (node_id) WHERE n.parent_id IS NOT NULL
)
SELECT CAST(max(path.back) OVER () - path.back AS INTEGER) AS stage, n.node_id, path.leaves_at AS steps,
    n.start_steps, n.start_steps + path.leaves_at AS total_steps, n.intent, n.label, n.configuration, n.changes,
    n.optimizer, n.reference, n.seed, n.advisor, n.rationale,
    s.n, s.value, s.value_low, s.value_high, s.greedy, s.sampled
FROM path JOIN nodes n USING (node_id) LEFT JOIN scores s ON s.node_id = n.node_id AND s.step = path.leaves_at
ORDER BY stage;

CREATE OR REPLACE VIEW trajectory_parameters AS
SELECT n.node_id, n.parent_id, b.stage, n.start_steps, n.start_steps + n.trained_steps AS end_steps, e.key AS parameter,
    TRY_CAST(json_extract_string(n.configuration, '$."' || e.key || '"') AS DOUBLE) AS value,
    TRY_CAST(TRY(json_extract_string(p.configuration, '$."' || e.key || '"')) AS DOUBLE) AS parent_value,
    TRY(json_exists(n.changes, '$."' || e.key || '"')) AS changed, b.stage IS NOT NULL AS on_best_trajectory,
    json_extract_string(n.configuration, '$."' || e.key || '"') AS text,
    TRY(json_extract_string(p.configuration, '$."' || e.key || '"')) AS parent_text
FROM nodes n CROSS JOIN json_each(CASE WHEN json_valid(n.configuration) THEN n.configuration ELSE '{}' END) e
LEFT JOIN nodes p ON p.node_id = n.parent_id LEFT JOIN best_trajectory b ON b.node_id = n.node_id;

CREATE OR REPLACE VIEW parameter_moves AS
SELECT t.node_id, t.parent_id, t.stage, n.intent, t.parameter, t.parent_value, t.value,
    CAST(sign(t.value - t.parent_value) AS INTEGER) AS direction, t.on_best_trajectory, n.advisor
FROM trajectory_parameters t JOIN nodes n ON n.node_id = t.node_id
WHERE n.intent IN ('change', 'anneal') AND n.state NOT IN ('rejected', 'proposed') AND t.value <> t.parent_value;

CREATE OR REPLACE VIEW parameter_dynamics AS
SELECT parameter, count(*) AS changes, count(*) FILTER (direction > 0) AS ups, count(*) FILTER (direction < 0) AS downs,
    ups / changes AS up_share, score_low(up_share, changes, changes) AS up_low, score_high(up_share, changes, changes) AS up_high,
    arg_min(parent_value, stage) FILTER (on_best_trajectory) AS best_from, arg_max(value, stage) FILTER (on_best_trajectory) AS best_to
FROM parameter_moves GROUP BY parameter ORDER BY parameter;

CREATE OR REPLACE VIEW forecasts AS
SELECT f.first_node, f.node_id, f.best, f.steps, f.mean, f.low, f.high, f.steps = max(f.steps) OVER (PARTITION BY f.first_node) AS at_end
FROM (SELECT unnest(TRY(CAST(CAST(forecasts AS JSON) AS STRUCT(first_node INTEGER, node_id INTEGER, best BOOLEAN, steps INTEGER, mean DOUBLE, low DOUBLE, high DOUBLE)[]))) AS f
    FROM runs);

CREATE OR REPLACE VIEW cost AS
SELECT advisor, role, model, count(*) AS calls, count(*) FILTER (error <> '') AS errors,
    CAST(sum(prompt_tokens) AS BIGINT) AS prompt_tokens, CAST(sum(completion_tokens) AS BIGINT) AS completion_tokens,
    sum(milliseconds) / 1000 AS seconds, avg(milliseconds) AS milliseconds_per_call
FROM agent_calls GROUP BY ALL ORDER BY seconds DESC;

CREATE OR REPLACE VIEW advisor_record AS
WITH ends AS (SELECT * FROM checkpoints QUALIFY step = max(step) OVER (PARTITION BY node_id)),
gained AS (SELECT n.advisor, score_of_first(least(e.n, b.n), e.value, e.n, e.outcomes) - score_of_first(least(e.n, b.n), b.value, b.n, b.outcomes) AS gain
    FROM nodes n JOIN ends e USING (node_id) JOIN checkpoints b ON b.node_id = n.parent_id AND b.step = n.branch_step WHERE n.intent = 'change'),
gains AS (SELECT advisor, count(*) AS trained, avg(gain) AS gain, stddev_samp(gain) / sqrt(count(*)) AS gain_error FROM gained GROUP BY advisor),
answered AS (SELECT advisor, count(*) AS answers, count(*) FILTER (error = '') AS valid FROM agent_calls WHERE model <> ''
    AND (error = '' OR split_part(error, ':', 1) IN ('empty', 'not json', 'cut off', 'schema', 'place', 'repetition')) GROUP BY advisor)
SELECT advisor, coalesce(trained, 0) AS trained, gain, gain_error, coalesce(answers, 0) AS answers, coalesce(valid, 0) AS valid
FROM gains FULL JOIN answered USING (advisor) ORDER BY advisor;

CREATE OR REPLACE VIEW failures AS
SELECT n.node_id, n.state, n.reason, n.label, n.trained_steps, n.planned_steps, n.trainer_seconds, n.ended,
    (SELECT min(r.node_id) FROM nodes r WHERE r.parent_id = n.parent_id AND r.intent = 'repair' AND r.node_id > n.node_id) AS repaired_by
FROM nodes n WHERE n.state IN ('out-of-memory', 'nan', 'crashed', 'hung') ORDER BY n.node_id;

CREATE OR REPLACE VIEW run_header AS
WITH spent AS (SELECT * FROM budget ORDER BY seq DESC LIMIT 1),
counts AS (
    SELECT count(*) FILTER (node_id > 0 AND state NOT IN ('proposed', 'rejected')) AS nodes,
        list(node_id ORDER BY node_id) FILTER (state = 'running') AS running,
        count(*) FILTER (state = 'queued') AS queued,
        count(*) FILTER (node_id > 0 AND state IN ('out-of-memory', 'nan', 'crashed', 'hung')) AS failed FROM nodes),
scoring AS (SELECT coalesce(sum(seconds), 0) AS evaluation_seconds
    FROM (SELECT seconds FROM checkpoints UNION ALL SELECT seconds FROM evaluations)),
waiting AS (SELECT count(*) AS pending_proposals FROM proposals WHERE state = 'pending'),
said AS (SELECT message AS last_event, ts AS last_event_ts FROM events ORDER BY seq DESC LIMIT 1),
asked AS (SELECT ts, error FROM agent_calls WHERE model <> '' AND (SELECT advisor FROM runs) <> 'rules' AND error <> 'unfinished' AND NOT starts_with(error, 'cancelled')),
answered AS (SELECT max(ts) FILTER (error = '') AS advisor_answered FROM asked),
advising AS (SELECT advisor_answered, (SELECT min(ts) FROM asked WHERE error <> '' AND (advisor_answered IS NULL OR ts > advisor_answered)) AS advisor_failing
    FROM answered),
reported AS (SELECT *, (greedy + 2 * sampled) / (3.0 * n) AS value, coalesce(effective_n, n) AS worth,
    (test_greedy + 2 * test_sampled) / (3.0 * test_n) AS test_value, coalesce(test_effective_n, test_n) AS test_worth FROM reported_policy),
last AS (SELECT max(ts) AS last_ts FROM (SELECT last_event_ts AS ts FROM said UNION ALL SELECT ts FROM spent UNION ALL SELECT max(ts) FROM checkpoints))
SELECT r.name, r.state, r.reason, r.task, r.model, r.strategy, r.advisor, counts.*, waiting.*,
    spent.steps, spent.trainer_seconds, scoring.evaluation_seconds, spent.wall_seconds, spent.waiting_seconds, spent.fraction AS budget_fraction, spent.ts AS spent_ts,
    p.policy AS best_policy, p.kind AS best_kind, p.members AS best_members, p.picked AS best_picked,
    p.node_id AS best_node, p.step AS best_step, p.path AS best_path,
    p.n AS best_n, p.greedy AS best_greedy, p.sampled AS best_sampled, p.outcomes AS best_outcomes, p.effective_n AS best_effective_n,
    p.value AS best_value, wilson_low(p.value * p.worth, p.worth) AS best_low, wilson_high(p.value * p.worth, p.worth) AS best_high,
    wilson_low(p.test_value * p.test_worth, p.test_worth) AS test_low, wilson_high(p.test_value * p.test_worth, p.test_worth) AS test_high,
    COLUMNS(p.* EXCLUDE (policy, kind, members, picked, node_id, step, path, n, greedy, sampled, outcomes, effective_n, value, worth, test_worth)),
    said.*, last.last_ts, advising.*, r.created, r.started, r.ended, r.gate, r.seed, r.engine_version, r.activity,
    coalesce(r.budget, CAST(TRY(json_extract(r.config, '$.budget')) AS VARCHAR)) AS budget, r.config, r.space
FROM runs r CROSS JOIN reported p CROSS JOIN counts CROSS JOIN scoring CROSS JOIN waiting CROSS JOIN last CROSS JOIN advising
LEFT JOIN spent ON true LEFT JOIN said ON true;

CREATE OR REPLACE VIEW current_state AS SELECT * EXCLUDE (config, space, budget, gate, spent_ts, last_ts, best_outcomes, test_outcomes, base_outcomes, base_test_outcomes,
    reranked_outcomes, leader_outcomes)
FROM run_header;

-- What the columns mean that views compute themselves: after [view.column] in that view, after [column] in any.
CREATE OR REPLACE MACRO meaning(name) AS nullif(regexp_extract(split_part($$
[total_steps] GRPO steps from the base model to this point of training.
[end_steps] GRPO steps from the base model to the last one trained in this segment.
[value_low] Lower end of the 95% interval of value, clustered by prompt, in [0, 1].
[value_high] Upper end of the 95% interval of value, clustered by prompt, in [0, 1].
[scores.value][best_trajectory.value] Validation score that steers the search, in [0, 1]: (greedy + 2 sampled) / 3.
[scores.greedy][best_trajectory.greedy] Accuracy of greedy decoding, in [0, 1].
[greedy_low] Lower end of the 95% Wilson interval of greedy, in [0, 1].
[greedy_high] Upper end of the 95% Wilson interval of greedy, in [0, 1].
[scores.sampled][best_trajectory.sampled] Accuracy of one sample per prompt, in [0, 1].
[sampled_low] Lower end of the 95% Wilson interval of sampled, in [0, 1].
[sampled_high] Upper end of the 95% Wilson interval of sampled, in [0, 1].
[node_scores.step] Step of the best checkpoint, in GRPO steps into the node's segment.
[first_look] Whether the node was asked fewer prompts than others in the run.
[policy_evaluations.policy] Policy that was measured, in words: base, #12 step 50, soup of …, or in runs of version 1 and 2 soup ending at …
[policy_key] What identifies the policy: rows with equal keys measured the same one.

[reported_policy.policy][best_policy] Policy that the run reports, in words: base, #12 step 50, or soup of … NULL while nothing is scored.
[reported_policy.kind][best_kind] base, checkpoint or soup.
[reported_policy.members][best_members] The policy as a JSON list of [node_id, step]: one checkpoint, or the members of a soup, the newest first. NULL for a soup in runs of version 1 and 2.
[picked][best_picked] Whether it was picked at the end; else it is the best checkpoint so far by validation.
[reported_policy.node_id][best_node] Node of the reported policy; of a soup, its newest member.
[reported_policy.step][best_step] Step of the reported policy within its node, in GRPO steps.
[reported_policy.path][best_path] Directory of the reported policy, relative to the run.
[reported_policy.n][best_n] Validation prompts of the steering set that the reported policy was scored on.
[reported_policy.greedy][best_greedy] Correct completions of the reported policy out of those prompts, greedy decoding.
[reported_policy.sampled][best_sampled] Correct completions of the reported policy out of those prompts, one sample per prompt.
[reported_policy.outcomes][best_outcomes] A digit for each of those prompts in order, as in checkpoints. NULL in runs of version 1 and 2.
[reported_policy.effective_n][best_effective_n] Prompts scored 0 or 1 that would make the score as sure, as in checkpoints. NULL in runs of version 1 and 2: n.
[best_value] Validation score of the reported policy, in [0, 1]: (greedy + 2 sampled) / 3n.
[best_low] Lower end of the 95% interval of best_value, clustered by prompt, in [0, 1].
[best_high] Upper end of the 95% interval of best_value, clustered by prompt, in [0, 1].
[test_value] Score of the reported policy on the test prompts, in [0, 1]: (greedy + 2 sampled) / 3n. NULL while it was not measured on them.
[test_low] Lower end of the 95% interval of test_value, clustered by prompt, in [0, 1].
[test_high] Upper end of the 95% interval of test_value, clustered by prompt, in [0, 1].
[test_n] Test prompts that the reported policy was measured on. NULL while it was not.
[test_greedy] Correct completions of the reported policy out of test_n, greedy decoding.
[test_sampled] Correct completions of the reported policy out of test_n, one sample per prompt.
[test_outcomes] A digit for each test prompt in order, as in checkpoints, of the reported policy.
[test_effective_n] Prompts scored 0 or 1 that would make test_value as sure, as in checkpoints. NULL in runs of version 1 and 2: test_n.
[test_seed] Seed of those test prompts and of sampling.
[tests] Every measurement of a candidate on the test prompts, as a JSON list of {policy, n, ts}, the oldest first; [] for none.
[base_n] Validation prompts of the steering set that the base model was scored on.
[base_greedy] Correct completions of the base model out of base_n, greedy decoding.
[base_sampled] Correct completions of the base model out of base_n, one sample per prompt.
[base_outcomes] A digit for each of those prompts in order, as in checkpoints, of the base model.
[base_effective_n] Prompts scored 0 or 1 that would make the base model's score as sure, as in checkpoints. NULL in runs of version 1 and 2: base_n.
[base_test_n] Test prompts that the base model was measured on. NULL while it was not.
[base_test_greedy] Correct completions of the base model out of base_test_n, greedy decoding.
[base_test_sampled] Correct completions of the base model out of base_test_n, one sample per prompt.
[base_test_outcomes] A digit for each test prompt in order, as in checkpoints, of the base model.
[base_test_effective_n] Prompts scored 0 or 1 that would make the base model's test score as sure, as in checkpoints. NULL in runs of version 1 and 2: base_test_n.
[base_test_seed] Seed of the test prompts of the base model and of sampling.
[reranked_n] Steering and fresh validation prompts together that the picked policy was scored on. NULL unless it was picked and scored on fresh ones.
[reranked_greedy] Correct completions of the picked policy out of reranked_n, greedy decoding.
[reranked_sampled] Correct completions of the picked policy out of reranked_n, one sample per prompt.
[reranked_outcomes] A digit for each of those prompts, as in checkpoints, the steering set first.
[leader_policy] Best checkpoint on the steering prompts alone, in words. NULL unless another policy was picked and this one scored on fresh prompts.
[leader_n] Steering and fresh validation prompts together that leader_policy was scored on.
[leader_greedy] Correct completions of leader_policy out of leader_n, greedy decoding.
[leader_sampled] Correct completions of leader_policy out of leader_n, one sample per prompt.
[leader_outcomes] A digit for each of those prompts, as in checkpoints, the steering set first.

[stage] Place on the way from the base model, 0, to the reported policy. NULL for a node off it.
[best_trajectory.steps] GRPO steps of this segment that are on the way: up to where the next one starts, or to the reported policy.
[best_trajectory.n] Validation prompts that the policy at the end of the stage was scored on.
[parameter] Name of the hyperparameter; runs.space has its unit and range.
[trajectory_parameters.value] Value of the hyperparameter in this segment. NULL for a category.
[parameter_moves.value] Value after the change, in the unit of the hyperparameter.
[parent_value] Value of the hyperparameter at the parent. NULL for a category, and for the root.
[text] Value of the hyperparameter in this segment as text: of a category its name.
[parent_text] Value of the hyperparameter at the parent as text. NULL for the root.
[changed] Whether the transition from the parent set this hyperparameter anew.
[on_best_trajectory] Whether the node is on the way from the base model to the reported policy.
[parameter_moves.intent] Why the search made the node: change or anneal.
[direction] 1 where the value went up, -1 where it went down.
[parameter_dynamics.changes] How often the hyperparameter was changed.
[ups] How many of the changes went up.
[downs] How many of the changes went down.
[up_share] Share of the changes that went up, in [0, 1].
[up_low] Lower end of the 95% Wilson interval of up_share, in [0, 1].
[up_high] Upper end of the 95% Wilson interval of up_share, in [0, 1].
[best_from] Value before its first change along the best trajectory. NULL where it is not changed there.
[best_to] Value after its last change along the best trajectory. NULL where it is not changed there.

[first_node] First node of the branch that is forecast.
[forecasts.node_id] Last node of the branch that is forecast.
[best] Whether it is the branch of the best policy.
[forecasts.steps] GRPO steps from the base model at which the score is forecast.
[mean] Validation score that is forecast, in [0, 1].
[low] Lower end of the 90% interval of the forecast, in [0, 1].
[high] Upper end of the 90% interval of the forecast, in [0, 1].
[at_end] Whether it is the last point of the branch, where the budget ends.

[calls] Number of calls.
[errors] Calls with an error, unfinished ones among them.
[cost.prompt_tokens] Tokens read by the model, over all calls.
[cost.completion_tokens] Tokens written by the model, over all calls.
[cost.seconds] Time from request to answer, over all calls, in seconds.
[milliseconds_per_call] Mean time from request to answer, in milliseconds.
[advisor_record.advisor] Who proposed the changes, as in nodes, or was called, as in agent_calls.
[trained] Changes of theirs that were trained and scored.
[gain] Mean validation score at the end of such a segment less that at its start, in [-1, 1]. NULL for none.
[gain_error] Standard error of gain. NULL for fewer than two.
[answers] Answers of a model, usable or not; calls that got none are left out.
[valid] Answers of a model that could be used.
[repaired_by] First later node that repairs from the same parent. NULL for none.

[nodes] Segments in the tree, failed ones included, without proposed and rejected ones.
[running] Nodes in training now, as a list of node_id. NULL for none.
[queued] Nodes that wait for a worker.
[failed] Segments that ended by a fault: out-of-memory, nan, crashed or hung.
[pending_proposals] Proposals that wait for a decision.
[evaluation_seconds] Time that scoring checkpoints and evaluations took, in seconds, where it was recorded.
[budget_fraction] Share of the budget that is spent, of the limit that is nearest: 0 to 1.
[run_header.budget] Limits of now as a JSON object {steps, nodes, minutes, gpu_hours}, 0 is no limit.
[spent_ts] When what is spent was last recorded (UTC).
[last_event] Latest message of events. May quote foreign text.
[last_event_ts] When that was logged (UTC).
[last_ts] Latest time of an event, a score or a record of what is spent (UTC).
[advisor_answered] When the model that advises last answered without error (UTC). NULL: not yet, or rules advise.
[advisor_failing] First call of the model that failed since its last answer (UTC). NULL while none has.

[documentation.table] Name of the table or view.
[documentation.column] Name of the column; empty for the table or view itself.
[type] Type of the column in SQL; of a view the word view, of a table empty.
[comment] What it means, with unit and range.
[position] Place of the column among those of its table or view, from 1; 0 for the table or view itself.
$$, '[' || name || ']', 2), '^\S* (.*)', 1), '');

-- A column that a view passes through from the table `source` means what it means there. Where a reader shows an older or renamed run by
-- temporary views (upgrade.py), those are told, not what they hide.
CREATE OR REPLACE VIEW documentation AS
WITH columns AS (SELECT *, database_name = 'temp' AS shown, CASE
        WHEN table_name IN ('scores', 'node_scores') THEN 'checkpoints'
        WHEN table_name = 'policy_evaluations' THEN 'evaluations'
        WHEN table_name IN ('best_trajectory', 'trajectory_parameters', 'parameter_moves', 'failures', 'visible_nodes') THEN 'nodes'
        WHEN table_name = 'current_diagnoses' THEN 'diagnoses'
        WHEN table_name = 'cost' THEN 'agent_calls'
        WHEN table_name NOT IN ('run_header', 'current_state') THEN table_name
        WHEN column_name IN ('steps', 'trainer_seconds', 'wall_seconds', 'waiting_seconds') THEN 'budget'
        WHEN column_name NOT LIKE 'best_%' THEN 'runs' END AS source
    FROM duckdb_columns() WHERE NOT internal)
SELECT name AS "table", '' AS "column", min(type) AS type, arg_max(comment, shown) AS comment, 0 AS position
FROM (SELECT table_name AS name, '' AS type, comment, temporary AS shown FROM duckdb_tables() WHERE NOT internal
    UNION ALL SELECT view_name, 'view', comment, temporary FROM duckdb_views() WHERE NOT internal) GROUP BY name
UNION ALL SELECT table_name, column_name, data_type,
    coalesce(meaning(table_name || '.' || column_name), max(comment) OVER (PARTITION BY source, column_name), meaning(column_name)), column_index
FROM columns QUALIFY shown = max(shown) OVER (PARTITION BY table_name)
ORDER BY "table", position;

CREATE OR REPLACE VIEW current_diagnoses AS
SELECT * FROM diagnoses QUALIFY CASE WHEN max(step) OVER (PARTITION BY node_id) IS NULL
    THEN pathology <> 'healthy' OR count(*) FILTER (pathology <> 'healthy') OVER (PARTITION BY node_id) = 0
    ELSE rank() OVER (PARTITION BY node_id ORDER BY step DESC NULLS LAST, call_id DESC) = 1 END;

CREATE OR REPLACE VIEW visible_nodes AS
SELECT * FROM nodes WHERE state <> 'rejected'
    OR proposal_id NOT IN (SELECT proposal_id FROM proposals WHERE state = 'superseded');

COMMENT ON VIEW visible_nodes IS 'Nodes without those whose proposal the engine itself withdrew before a human decided.';
COMMENT ON VIEW current_diagnoses IS 'Of each node what the look at most of its steps found, of several such looks the last.';
COMMENT ON VIEW scores IS 'Each checkpoint with its accuracies, in [0, 1], and their 95% intervals; those of value are clustered by prompt.';
COMMENT ON VIEW node_scores IS 'The best score of each node: of its checkpoints that were asked the most prompts the highest, with its 95% interval; first_look: it was asked fewer than others in the run, and all that the node has are first looks.';
COMMENT ON VIEW policy_evaluations IS 'Every row of evaluations with the policy it measured, in old runs too: rows with one policy_key are of one policy.';
COMMENT ON VIEW reported_policy IS 'The policy the run reports now: the one that was picked at the end, else the best checkpoint by validation; its scores (test only if this very policy was measured on it), what decided when it was picked (reranked_*: the steering and the fresh validation prompts together; leader_*: the same of the best on the steering prompts alone, where that is another), those of the base, and every time the test prompts were measured for a candidate (tests, JSON). One row.';
COMMENT ON VIEW run_header IS 'Everything about the run as a whole, with the reported policy as best_*, when the model that advises last answered and since when it fails (advisor_answered, advisor_failing): what header, lists, exports and model cards show. One row.';
COMMENT ON VIEW best_trajectory IS 'The stages from the base model to the reported policy (of a soup, to its newest member): how many steps of each are used, and the score there.';
COMMENT ON VIEW trajectory_parameters IS 'Value of every hyperparameter at every node, its value at the parent, and whether the node is on the best trajectory; value is NULL for a category, whose name is in text.';
COMMENT ON VIEW parameter_moves IS 'One row a change of a hyperparameter by a transition of the search (first segments and repairs left out): from which value to which, and the direction, 1 or -1.';
COMMENT ON VIEW parameter_dynamics IS 'Per hyperparameter: how often it was changed, up and down, the share of ups with its 95% Wilson interval, and its way along the best trajectory. `llmzero dynamics` adds reversals with a null.';
COMMENT ON VIEW advisor_record IS 'What advisors are worth in this run: changes of theirs that were trained, their mean gain of validation, on the prompts that both policies were asked, with its standard error (NULL for a single one), and of a model the answers and how many of them could be used.';
COMMENT ON VIEW forecasts IS 'What the branch from first_node to node_id will score after so many steps from the base when it is trained on unchanged: mean and 90% interval, from its last score to the end of the budget (at_end), of the branch of the best policy (best) and of those that train. Empty once the budget is spent, and for branches of fewer than three scores. It decides nothing.';
COMMENT ON VIEW cost IS 'What the advisors cost: calls, errors, tokens and seconds by role and model.';
COMMENT ON VIEW failures IS 'Segments that ended by a fault, with the reason and the node that repaired them.';
COMMENT ON VIEW current_state IS 'Where the run stands: state, counts, budget, reported policy, last event: run_header without the run file. One row.';
COMMENT ON VIEW documentation IS 'What every table, view and column is, with types and units.';

DROP VIEW IF EXISTS best_checkpoint; -- of version 2: reported_policy

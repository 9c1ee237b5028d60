-- The tables of a run (run.duckdb), version 7. Every table and column carries its meaning and unit as a COMMENT, so that
-- DESCRIBE and duckdb_columns() are the documentation. All times are TIMESTAMP in UTC. One writer assigns every seq.
-- No foreign keys: appends must never block. Paths are relative to the run's directory. What a version adds stands at the
-- end of its table, may be NULL, and is named in upgrade.py.

CREATE TABLE meta (key VARCHAR PRIMARY KEY, value VARCHAR NOT NULL);

CREATE TABLE runs (
    name VARCHAR PRIMARY KEY, task VARCHAR NOT NULL, model VARCHAR NOT NULL, strategy VARCHAR NOT NULL,
    advisor VARCHAR NOT NULL, state VARCHAR NOT NULL, reason VARCHAR NOT NULL, config VARCHAR NOT NULL,
    space VARCHAR NOT NULL, seed BIGINT NOT NULL, engine_version VARCHAR NOT NULL, created TIMESTAMP NOT NULL,
    started TIMESTAMP, ended TIMESTAMP, best_node INTEGER, best_step INTEGER, best_path VARCHAR, gate VARCHAR,
    budget VARCHAR, activity VARCHAR, policy VARCHAR, members VARCHAR, forecasts VARCHAR
);
CREATE TABLE nodes (
    node_id INTEGER PRIMARY KEY, parent_id INTEGER, branch_step INTEGER, depth INTEGER NOT NULL,
    state VARCHAR NOT NULL, reason VARCHAR NOT NULL, intent VARCHAR NOT NULL, label VARCHAR NOT NULL,
    configuration VARCHAR NOT NULL, changes VARCHAR NOT NULL, optimizer VARCHAR NOT NULL, reference VARCHAR NOT NULL,
    rationale VARCHAR NOT NULL, expected VARCHAR NOT NULL, advisor VARCHAR NOT NULL, proposal_id INTEGER,
    seed BIGINT NOT NULL, planned_steps INTEGER NOT NULL, trained_steps INTEGER NOT NULL,
    start_steps INTEGER NOT NULL, trainer_seconds DOUBLE NOT NULL, pruned BOOLEAN NOT NULL,
    created TIMESTAMP NOT NULL, started TIMESTAMP, ended TIMESTAMP, note VARCHAR
);
CREATE TABLE checkpoints (
    seq BIGINT PRIMARY KEY, node_id INTEGER NOT NULL, step INTEGER NOT NULL, path VARCHAR NOT NULL,
    bytes BIGINT NOT NULL, n INTEGER NOT NULL, greedy INTEGER NOT NULL, sampled INTEGER NOT NULL,
    value DOUBLE NOT NULL, kept BOOLEAN NOT NULL, ts TIMESTAMP NOT NULL, outcomes VARCHAR, effective_n DOUBLE,
    seconds DOUBLE
);
CREATE TABLE metrics (
    seq BIGINT NOT NULL, node_id INTEGER NOT NULL, step INTEGER NOT NULL, name VARCHAR NOT NULL,
    value DOUBLE NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE completions (
    seq BIGINT NOT NULL, node_id INTEGER NOT NULL, step INTEGER NOT NULL, prompt VARCHAR NOT NULL,
    completion VARCHAR NOT NULL, answer VARCHAR NOT NULL, reward DOUBLE NOT NULL, correct BOOLEAN NOT NULL,
    truncated BOOLEAN NOT NULL, ts TIMESTAMP NOT NULL, components VARCHAR, split VARCHAR, model_prompt VARCHAR
);
CREATE TABLE evaluations (
    seq BIGINT PRIMARY KEY, node_id INTEGER NOT NULL, step INTEGER NOT NULL, path VARCHAR NOT NULL,
    kind VARCHAR NOT NULL, split VARCHAR NOT NULL, seed BIGINT NOT NULL, n INTEGER NOT NULL,
    greedy INTEGER NOT NULL, sampled INTEGER NOT NULL, seconds DOUBLE NOT NULL, ts TIMESTAMP NOT NULL,
    outcomes VARCHAR, effective_n DOUBLE, policy VARCHAR, members VARCHAR
);
CREATE TABLE agent_calls (
    call_id INTEGER PRIMARY KEY, seq BIGINT NOT NULL, node_id INTEGER, advisor VARCHAR NOT NULL, role VARCHAR NOT NULL,
    model VARCHAR NOT NULL, prompt_version VARCHAR NOT NULL, request VARCHAR NOT NULL, response VARCHAR NOT NULL,
    rationale VARCHAR NOT NULL, images VARCHAR NOT NULL, prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL, milliseconds DOUBLE NOT NULL, error VARCHAR NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE diagnoses (
    seq BIGINT PRIMARY KEY, node_id INTEGER NOT NULL, call_id INTEGER NOT NULL, pathology VARCHAR NOT NULL,
    severity DOUBLE NOT NULL, evidence VARCHAR NOT NULL, signals VARCHAR NOT NULL, ts TIMESTAMP NOT NULL,
    step INTEGER, advisor VARCHAR
);
CREATE TABLE proposals (
    proposal_id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, node_id INTEGER NOT NULL, parent_id INTEGER NOT NULL,
    branch_step INTEGER NOT NULL, intent VARCHAR NOT NULL, label VARCHAR NOT NULL, changes VARCHAR NOT NULL,
    optimizer VARCHAR NOT NULL, reference VARCHAR NOT NULL, rationale VARCHAR NOT NULL, expected VARCHAR NOT NULL,
    advisor VARCHAR NOT NULL, call_id INTEGER, state VARCHAR NOT NULL, reason VARCHAR NOT NULL,
    deadline TIMESTAMP, decided_by VARCHAR NOT NULL, created TIMESTAMP NOT NULL, decided TIMESTAMP
);
CREATE TABLE commands (
    command_id INTEGER PRIMARY KEY, kind VARCHAR NOT NULL, node_id INTEGER, proposal_id INTEGER, revision INTEGER,
    payload VARCHAR NOT NULL, author VARCHAR NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE command_results (
    seq BIGINT PRIMARY KEY, command_id INTEGER NOT NULL, state VARCHAR NOT NULL, message VARCHAR NOT NULL,
    ts TIMESTAMP NOT NULL
);
CREATE TABLE events (
    seq BIGINT PRIMARY KEY, level VARCHAR NOT NULL, kind VARCHAR NOT NULL, node_id INTEGER, message VARCHAR NOT NULL,
    detail VARCHAR NOT NULL, ts TIMESTAMP NOT NULL
);
CREATE TABLE budget (
    seq BIGINT PRIMARY KEY, steps INTEGER NOT NULL, nodes INTEGER NOT NULL, trainer_seconds DOUBLE NOT NULL,
    wall_seconds DOUBLE NOT NULL, fraction DOUBLE NOT NULL, ts TIMESTAMP NOT NULL, waiting_seconds DOUBLE
);

-- What they mean. `DESCRIBE`, duckdb_tables() and duckdb_columns() show these.
COMMENT ON TABLE meta IS 'Facts about this file itself.';
COMMENT ON COLUMN meta."key" IS 'Name of the fact, e.g. schema_version.';
COMMENT ON COLUMN meta.value IS 'Its value as text.';
COMMENT ON TABLE runs IS 'The run: exactly one row.';
COMMENT ON COLUMN runs.name IS 'Name of the run, which is the name of its directory.';
COMMENT ON COLUMN runs.task IS 'Task that is trained for: a name of `llmzero tasks`, or FILE.py:CLASS.';
COMMENT ON COLUMN runs.model IS 'Base model: a directory or a hub id.';
COMMENT ON COLUMN runs.strategy IS 'Search strategy: llmzero, or a baseline.';
COMMENT ON COLUMN runs.advisor IS 'What diagnoses and proposes: ollama, ollama text-only (its model sees no plots) or rules.';
COMMENT ON COLUMN runs.state IS 'starting, training, paused, stopping, finishing, finished, stopped or failed. Not the last three and no engine holds the file: crashed.';
COMMENT ON COLUMN runs.reason IS 'Why it is in this state, in words; empty where the state says it all.';
COMMENT ON COLUMN runs.config IS 'The run file as JSON, with every default written out, as the engine last read it.';
COMMENT ON COLUMN runs.space IS 'Hyperparameters as a JSON list of {name, label, kind, low, high, default, scale, integer, zero, choices, doc}.';
COMMENT ON COLUMN runs.seed IS 'Start of every random draw of the run.';
COMMENT ON COLUMN runs.engine_version IS 'Version of llmzero that created the run.';
COMMENT ON COLUMN runs.created IS 'When the run was created (UTC).';
COMMENT ON COLUMN runs.started IS 'When the engine began to search (UTC).';
COMMENT ON COLUMN runs.ended IS 'When the run reached a final state (UTC); NULL before.';
COMMENT ON COLUMN runs.best_node IS 'Node of the policy that was picked at the end; of a soup, its newest member. NULL while none is picked (in a run of version 1 or 2: the best so far). What a run reports at any time is in reported_policy.';
COMMENT ON COLUMN runs.best_step IS 'Step of that policy within its node.';
COMMENT ON COLUMN runs.best_path IS 'Directory of that policy, relative to the run; a soup has a directory of its own.';
COMMENT ON COLUMN runs.gate IS 'Mode of the gate now: auto, timeout or manual. NULL before the engine first set it.';
COMMENT ON COLUMN runs.budget IS 'Limits of now as a JSON object {steps, nodes, minutes, gpu_hours}, 0 is no limit; a human may change them. NULL: those of config.';
COMMENT ON COLUMN runs.activity IS 'What workers do now besides training, as a JSON list of {node, doing, done, total}; node is null where it is about no segment. NULL: nothing.';
COMMENT ON COLUMN runs.policy IS 'Policy that was picked at the end, in words: base, #12 step 50, or soup of … NULL while none is picked, and once a run goes on after its end.';
COMMENT ON COLUMN runs.members IS 'The same as a JSON list of [node_id, step]: one checkpoint, or the members of a soup, the newest first.';
COMMENT ON COLUMN runs.forecasts IS 'What the engine forecasts while the budget is being spent, as a JSON list of the rows of the view forecasts. NULL: nothing.';
COMMENT ON TABLE nodes IS 'Points of the tree: each is a segment of GRPO training from a checkpoint of its parent. Node 0 is the untrained base model.';
COMMENT ON COLUMN nodes.node_id IS 'Number of the node, in the order of proposal; 0 is the root.';
COMMENT ON COLUMN nodes.parent_id IS 'Node whose checkpoint this segment starts from; NULL for the root.';
COMMENT ON COLUMN nodes.branch_step IS 'Step within the parent at which that checkpoint was saved; NULL for the root.';
COMMENT ON COLUMN nodes.depth IS 'Segments between the root and the end of this node; 0 for the root.';
COMMENT ON COLUMN nodes.state IS 'proposed, queued, running, finished, stopped, early-stopped, out-of-memory, nan, crashed, hung or rejected.';
COMMENT ON COLUMN nodes.reason IS 'Why it ended so, or was rejected or pruned, in words; empty where the state says it all.';
COMMENT ON COLUMN nodes.intent IS 'Why the search made it: base (the root), root, keep, curriculum, change, anneal or repair.';
COMMENT ON COLUMN nodes.label IS 'What it changes, at most 24 characters.';
COMMENT ON COLUMN nodes.configuration IS 'Value of every hyperparameter as a JSON object.';
COMMENT ON COLUMN nodes.changes IS 'Only the values that differ from the parent, as a JSON object; {} means keep.';
COMMENT ON COLUMN nodes.optimizer IS 'keep (the parent''s Adam state) or reset.';
COMMENT ON COLUMN nodes.reference IS 'Policy that the KL penalty is measured against: keep (that of the parent), base or branch point.';
COMMENT ON COLUMN nodes.rationale IS 'Why this transition was proposed, with its evidence. Written by the advisor: foreign text.';
COMMENT ON COLUMN nodes.expected IS 'Effect that was expected. Written by the advisor: foreign text.';
COMMENT ON COLUMN nodes.advisor IS 'Who proposed it: ollama, rules, the search itself, or human, who made or edited it (commands says which one).';
COMMENT ON COLUMN nodes.proposal_id IS 'Proposal it came from; NULL where there was none.';
COMMENT ON COLUMN nodes.seed IS 'Seed of data order and sampling in this segment.';
COMMENT ON COLUMN nodes.planned_steps IS 'GRPO steps the segment was given; 0 for the root.';
COMMENT ON COLUMN nodes.trained_steps IS 'GRPO steps trained so far in this segment.';
COMMENT ON COLUMN nodes.start_steps IS 'GRPO steps from the base model to the start of this segment.';
COMMENT ON COLUMN nodes.trainer_seconds IS 'Time the trainer spent on this segment, in seconds.';
COMMENT ON COLUMN nodes.pruned IS 'Whether a human closed this subtree to further branches.';
COMMENT ON COLUMN nodes.created IS 'When it was proposed (UTC).';
COMMENT ON COLUMN nodes.started IS 'When its training began (UTC); NULL before.';
COMMENT ON COLUMN nodes.ended IS 'When its training ended (UTC); NULL before.';
COMMENT ON COLUMN nodes.note IS 'Latest note of a human, NULL where there is none; whose and when is in commands, of kind annotate. Foreign text.';
COMMENT ON TABLE checkpoints IS 'Saved policies with their validation scores, which steer the search.';
COMMENT ON COLUMN checkpoints.seq IS 'Position in the order of everything written to this file.';
COMMENT ON COLUMN checkpoints.node_id IS 'Node the policy belongs to.';
COMMENT ON COLUMN checkpoints.step IS 'GRPO steps into the node''s segment; 0 for the root.';
COMMENT ON COLUMN checkpoints.path IS 'Directory of the policy, relative to the run.';
COMMENT ON COLUMN checkpoints.bytes IS 'Size of that directory, in bytes.';
COMMENT ON COLUMN checkpoints.n IS 'Validation prompts it was scored on.';
COMMENT ON COLUMN checkpoints.greedy IS 'Correct completions out of n, greedy decoding.';
COMMENT ON COLUMN checkpoints.sampled IS 'Correct completions out of n, one sample per prompt, as [evaluation] says.';
COMMENT ON COLUMN checkpoints.value IS 'Score that steers the search, in [0, 1]: (greedy + 2 sampled) / 3n.';
COMMENT ON COLUMN checkpoints.kept IS 'Whether its files still exist; the score stays when they are deleted.';
COMMENT ON COLUMN checkpoints.ts IS 'When it was scored (UTC).';
COMMENT ON COLUMN checkpoints.outcomes IS 'A digit for each prompt in order: 0 neither answer correct, 1 the greedy one, 2 the sampled one, 3 both. All checkpoints of a run with the same n answer the same prompts. NULL in runs of version 1 and 2.';
COMMENT ON COLUMN checkpoints.seconds IS 'Time it took to score it, in seconds; NULL in runs before version 6.';
COMMENT ON COLUMN checkpoints.effective_n IS 'Prompts scored 0 or 1 that would make value as sure, p(1-p)/SE^2 clustered by prompt; its interval is that of scores. NULL in runs of version 1 and 2: n.';
COMMENT ON TABLE metrics IS 'Training metrics, one row per value.';
COMMENT ON COLUMN metrics.seq IS 'Position in the order of everything written to this file.';
COMMENT ON COLUMN metrics.node_id IS 'Node that was trained.';
COMMENT ON COLUMN metrics.step IS 'GRPO step within the node''s segment, from 1.';
COMMENT ON COLUMN metrics.name IS 'Name of the metric as TRL logs it, e.g. reward, kl, entropy, completions/mean_length.';
COMMENT ON COLUMN metrics.value IS 'Its value; may be NaN or infinite when the training is.';
COMMENT ON COLUMN metrics.ts IS 'When it was logged (UTC).';
COMMENT ON TABLE completions IS 'Some of the completions seen in training, and what each checkpoint answered to the same few validation prompts, for a human to read. Foreign text.';
COMMENT ON COLUMN completions.seq IS 'Position in the order of everything written to this file.';
COMMENT ON COLUMN completions.node_id IS 'Node that was trained.';
COMMENT ON COLUMN completions.step IS 'GRPO step within the node''s segment.';
COMMENT ON COLUMN completions.prompt IS 'Prompt, as text.';
COMMENT ON COLUMN completions.completion IS 'What the policy wrote.';
COMMENT ON COLUMN completions.answer IS 'Expected answer.';
COMMENT ON COLUMN completions.reward IS 'Reward of the completion: what GRPO saw, all components weighted.';
COMMENT ON COLUMN completions.correct IS 'Whether the verifier calls it correct.';
COMMENT ON COLUMN completions.truncated IS 'Whether it was cut at the longest allowed length.';
COMMENT ON COLUMN completions.ts IS 'When it was logged (UTC).';
COMMENT ON COLUMN completions.components IS 'Parts of the reward before weighting, as a JSON object of name and value; NULL where they were not recorded.';
COMMENT ON COLUMN completions.split IS 'train: sampled in training. validation: greedy, to one of the fixed validation prompts that every checkpoint of the run is asked. NULL in runs of version 1: train.';
COMMENT ON COLUMN completions.model_prompt IS 'The prompt exactly as the model reads it, with the chat template and a system prompt; NULL where that is the prompt, and in runs before version 4.';
COMMENT ON TABLE evaluations IS 'Re-evaluations of policies apart from the steering scores.';
COMMENT ON COLUMN evaluations.seq IS 'Position in the order of everything written to this file.';
COMMENT ON COLUMN evaluations.node_id IS 'Node of the policy; of a soup, its newest member.';
COMMENT ON COLUMN evaluations.step IS 'Step of the policy within its node.';
COMMENT ON COLUMN evaluations.path IS 'Directory of the policy, relative to the run.';
COMMENT ON COLUMN evaluations.kind IS 'reranking (second validation set), soup (mean of weights, on the steering set), final (the picked policy on test) or baseline (the base model on test).';
COMMENT ON COLUMN evaluations.split IS 'validation or test. A policy is measured on test once, when it is picked.';
COMMENT ON COLUMN evaluations.seed IS 'Seed of the prompt set and of sampling.';
COMMENT ON COLUMN evaluations.n IS 'Prompts.';
COMMENT ON COLUMN evaluations.greedy IS 'Correct completions out of n, greedy decoding.';
COMMENT ON COLUMN evaluations.sampled IS 'Correct completions out of n, one sample per prompt, as [evaluation] says.';
COMMENT ON COLUMN evaluations.seconds IS 'Time the evaluation took, in seconds.';
COMMENT ON COLUMN evaluations.ts IS 'When it ended (UTC).';
COMMENT ON COLUMN evaluations.outcomes IS 'A digit for each prompt in order, as in checkpoints; evaluations with the same split, seed and n answer the same prompts. NULL in runs of version 1 and 2.';
COMMENT ON COLUMN evaluations.effective_n IS 'Prompts scored 0 or 1 that would make its score as sure, as in checkpoints. NULL in runs of version 1 and 2: n.';
COMMENT ON COLUMN evaluations.policy IS 'Policy that was measured, in words: base, #12 step 50, or soup of … NULL in runs of version 1 and 2; see policy_evaluations.';
COMMENT ON COLUMN evaluations.members IS 'The same as a JSON list of [node_id, step]: one checkpoint, or the members of a soup, the newest first. Two rows with equal members are of the same policy.';
COMMENT ON TABLE agent_calls IS 'Every call of an advisor: what was asked and what came back. Rules are calls too (model is empty).';
COMMENT ON COLUMN agent_calls.call_id IS 'Number of the call.';
COMMENT ON COLUMN agent_calls.seq IS 'Position in the order of everything written to this file.';
COMMENT ON COLUMN agent_calls.node_id IS 'Node it was about; NULL where it was about none.';
COMMENT ON COLUMN agent_calls.advisor IS 'ollama or rules.';
COMMENT ON COLUMN agent_calls.role IS 'What the call was for: analyst, strategist, selector, watcher; rules.';
COMMENT ON COLUMN agent_calls.model IS 'Name of the model; empty for rules.';
COMMENT ON COLUMN agent_calls.prompt_version IS 'Version of the prompt''s template.';
COMMENT ON COLUMN agent_calls.request IS 'What was sent, as text.';
COMMENT ON COLUMN agent_calls.response IS 'What came back, as it came. Foreign text.';
COMMENT ON COLUMN agent_calls.rationale IS 'The reasoning in it. Foreign text.';
COMMENT ON COLUMN agent_calls.images IS 'Plots that were sent, as a JSON list of files relative to the run.';
COMMENT ON COLUMN agent_calls.prompt_tokens IS 'Tokens read by the model.';
COMMENT ON COLUMN agent_calls.completion_tokens IS 'Tokens written by the model.';
COMMENT ON COLUMN agent_calls.milliseconds IS 'Time from request to answer, in milliseconds.';
COMMENT ON COLUMN agent_calls.error IS 'What went wrong, a kind and a line; empty when nothing did; unfinished while the answer is being written.';
COMMENT ON COLUMN agent_calls.ts IS 'When it ended (UTC).';
COMMENT ON TABLE diagnoses IS 'Named pathologies of segments with the numbers they rest on, of every look at a segment; current_diagnoses has those that count.';
COMMENT ON COLUMN diagnoses.seq IS 'Position in the order of everything written to this file.';
COMMENT ON COLUMN diagnoses.node_id IS 'Node that was diagnosed.';
COMMENT ON COLUMN diagnoses.call_id IS 'Last call of the look at the segment that it came from (agent_calls).';
COMMENT ON COLUMN diagnoses.pathology IS 'Its name, e.g. entropy collapse, KL spike, dead groups, truncation.';
COMMENT ON COLUMN diagnoses.severity IS 'How bad, in [0, 1].';
COMMENT ON COLUMN diagnoses.evidence IS 'The numbers and the steps, in words.';
COMMENT ON COLUMN diagnoses.signals IS 'The same as a JSON list of {metric, baseline, value, steps}.';
COMMENT ON COLUMN diagnoses.ts IS 'When it was said (UTC).';
COMMENT ON COLUMN diagnoses.step IS 'Step of the segment up to which was looked; NULL in runs of version 1 and 2.';
COMMENT ON COLUMN diagnoses.advisor IS 'Who said so: rules where a model gave no usable answer, else the advisor of that call; NULL in runs of version 1 to 4, where it is that of the call.';
COMMENT ON TABLE proposals IS 'Transitions at the gate: what was proposed, and what became of it.';
COMMENT ON COLUMN proposals.proposal_id IS 'Number of the proposal.';
COMMENT ON COLUMN proposals.revision IS 'Grows with each edit; an approval names the revision it means.';
COMMENT ON COLUMN proposals.node_id IS 'Node it is, or would become.';
COMMENT ON COLUMN proposals.parent_id IS 'Node to branch from.';
COMMENT ON COLUMN proposals.branch_step IS 'Step within that node to branch from.';
COMMENT ON COLUMN proposals.intent IS 'Why the search asked for it: root, keep, curriculum, change, anneal or repair.';
COMMENT ON COLUMN proposals.label IS 'What it changes, at most 24 characters.';
COMMENT ON COLUMN proposals.changes IS 'Changed values as a JSON object.';
COMMENT ON COLUMN proposals.optimizer IS 'keep or reset.';
COMMENT ON COLUMN proposals.reference IS 'keep, base or branch point.';
COMMENT ON COLUMN proposals.rationale IS 'Why, with the evidence. Foreign text.';
COMMENT ON COLUMN proposals.expected IS 'Effect that is expected. Foreign text.';
COMMENT ON COLUMN proposals.advisor IS 'Who proposed it.';
COMMENT ON COLUMN proposals.call_id IS 'Call it came from (agent_calls); NULL where there was none.';
COMMENT ON COLUMN proposals.state IS 'pending, approved, edited (approved after an edit), rejected, refused (it breaks the space) or superseded.';
COMMENT ON COLUMN proposals.reason IS 'Why it was rejected, refused or superseded.';
COMMENT ON COLUMN proposals.deadline IS 'When the gate approves it by itself (UTC); NULL if it waits for a human for ever.';
COMMENT ON COLUMN proposals.decided_by IS 'Who decided: auto, timeout, engine, or a human''s login name; empty while pending.';
COMMENT ON COLUMN proposals.created IS 'When it was proposed (UTC).';
COMMENT ON COLUMN proposals.decided IS 'When it was decided (UTC); NULL while pending.';
COMMENT ON TABLE commands IS 'What humans asked of the engine. Rows are only added; the answers are in command_results.';
COMMENT ON COLUMN commands.command_id IS 'Number of the command.';
COMMENT ON COLUMN commands.kind IS 'approve, edit, reject, prune, pause, resume, stop, gate, expand, stop-node, annotate, budget or space.';
COMMENT ON COLUMN commands.node_id IS 'Node it is about; NULL where it is about none.';
COMMENT ON COLUMN commands.proposal_id IS 'Proposal it is about; NULL where it is about none.';
COMMENT ON COLUMN commands.revision IS 'Revision of the proposal that the human saw.';
COMMENT ON COLUMN commands.payload IS 'Further values as a JSON object.';
COMMENT ON COLUMN commands.author IS 'Who asked: the login name of the human.';
COMMENT ON COLUMN commands.ts IS 'When it was asked (UTC).';
COMMENT ON TABLE command_results IS 'How far each command is.';
COMMENT ON COLUMN command_results.seq IS 'Position in the order of everything written to this file.';
COMMENT ON COLUMN command_results.command_id IS 'Command (commands).';
COMMENT ON COLUMN command_results.state IS 'taken, done or refused.';
COMMENT ON COLUMN command_results.message IS 'What was done, or why not.';
COMMENT ON COLUMN command_results.ts IS 'When (UTC).';
COMMENT ON TABLE events IS 'The log of the run.';
COMMENT ON COLUMN events.seq IS 'Position in the order of everything written to this file.';
COMMENT ON COLUMN events.level IS 'info, warning or error.';
COMMENT ON COLUMN events.kind IS 'What sort of event, in a word or two.';
COMMENT ON COLUMN events.node_id IS 'Node it is about; NULL where it is about none.';
COMMENT ON COLUMN events.message IS 'What happened, in one line. May quote foreign text.';
COMMENT ON COLUMN events.detail IS 'Further values as a JSON object.';
COMMENT ON COLUMN events.ts IS 'When (UTC).';
COMMENT ON TABLE budget IS 'What was spent, every ten seconds or so of work. The last row counts, and is kept up to date until the next one.';
COMMENT ON COLUMN budget.seq IS 'Position in the order of everything written to this file.';
COMMENT ON COLUMN budget.steps IS 'GRPO steps over the whole tree.';
COMMENT ON COLUMN budget.nodes IS 'Segments, failed ones included.';
COMMENT ON COLUMN budget.trainer_seconds IS 'Time trainers spent, summed over workers, in seconds.';
COMMENT ON COLUMN budget.wall_seconds IS 'Time the engine ran, in seconds, the closing evaluations included, without pauses and downtime.';
COMMENT ON COLUMN budget.fraction IS 'Share of the budget that is spent, of the limit that is nearest: 0 to 1.';
COMMENT ON COLUMN budget.ts IS 'When (UTC).';
COMMENT ON COLUMN budget.waiting_seconds IS 'How much of wall_seconds the workers waited for a human to answer proposals; NULL in runs of version 1 and 2.';

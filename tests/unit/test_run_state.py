"""RunState: a tree rebuilt from the rows equals the one that was killed."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.advisors.base import Advice, AdvisorCall, Diagnosis, Signal
from engine.controller import recovery
from engine.controller.evidence_builder import EvidenceBuilder
from engine.controller.run_record import now
from engine.controller.run_state import RunState
from engine.domain.policy import Policy
from engine.domain.space import Intent, KLReference, OptimizerState, Space, Transition
from engine.domain.tree import Checkpoint, Node, NodeState
from engine.run.rundir import RunDirectory
from engine.store.writer import Writer
from engine.training.events import (
    MANIFEST,
    CompletionSample,
    CompletionSamples,
    Evaluation,
    EvaluationResult,
    StepMetrics,
)

CONFIGURATION = {"learning_rate": 1e-4, "num_generations": 8}


def begin(path: Path, advisor: str = "rules") -> RunState:
    path.mkdir(parents=True, exist_ok=True)
    writer = Writer(path / "run.duckdb")
    writer.insert(
        "runs", name=path.name, task="knights", model="base", strategy="llmzero", advisor=advisor, state="starting",
        reason="", config="{}", space="[]", seed=0, engine_version="0", created=now(),
    )  # fmt: skip
    return RunState.begin(writer, RunDirectory(path), "base", CONFIGURATION)


def reload(run_state: RunState) -> RunState:
    run_state.close()
    again = RunState.load(Writer(run_state.directory.database), run_state.directory, "base")
    assert again is not None
    return again


def propose(run_state: RunState, parent: int = 0, step: int = 0) -> int:
    transition = Transition(
        parent,
        step,
        Intent.CHANGE,
        {"learning_rate": 5e-5},
        OptimizerState.RESET,
        KLReference.BRANCH,
        "lr↓",
        "why",
        "what",
    )
    configuration = {**run_state.tree[parent].configuration, **transition.changes}
    return run_state.propose(
        transition, configuration, steps=10, seed=99, advisor="rules", call_id=None, deadline=None
    ).node


def scored(run_state: RunState, node_id: int, step: int, correct: int) -> None:
    path = run_state.checkpoint_path(node_id, step)
    if node_id:
        path.mkdir(parents=True, exist_ok=True)
        (path / MANIFEST).write_text("{}")
    run_state.score(node_id, step, path, Evaluation(n=100, greedy=correct, sampled=correct, seconds=1), size=10)


def told(completion: str, split: str) -> CompletionSample:
    return CompletionSample.model_validate(
        {"prompt": "p", "completion": completion, "answer": "a", "reward": 1, "correct": True, "truncated": False,
         "split": split}
    )  # fmt: skip


def test_answers_to_the_fixed_prompts_are_kept_to_be_read_and_no_advisor_sees_them(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    node_id = propose(run_state)
    run_state.samples(CompletionSamples(job=str(node_id), step=5, samples=[told("trained", "train")]), node_id)
    scored = Evaluation(n=1, greedy=1, sampled=1, seconds=1, samples=[told("asked", "validation")])
    run_state.score(node_id, 10, tmp_path, scored, size=10)
    run_state.flush()
    rows = run_state.rows("SELECT node_id, step, completion, split FROM completions ORDER BY seq")
    assert [tuple(row.values()) for row in rows] == [
        (node_id, 5, "trained", "train"), (node_id, 10, "asked", "validation"),
    ]  # fmt: skip
    builder = EvidenceBuilder(run_state, Space.build({}, batch_size=32), seed=0, draws=False)
    assert [seen.completion for seen in builder._completions(run_state.tree[node_id], 10)] == ["trained"]
    run_state.close()


def test_a_reloaded_tree_equals_the_one_before(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    scored(run_state, 0, 0, 10)
    first = propose(run_state)
    run_state.decide(run_state.proposals[first], "approved", "auto", "gate auto")
    run_state.set_state(first, NodeState.RUNNING)
    run_state.progress(first, 10, 3.5)
    scored(run_state, first, 5, 30)
    scored(run_state, first, 10, 50)
    run_state.set_state(first, NodeState.FINISHED)
    waiting = propose(run_state, first, 10)
    rejected = propose(run_state, first, 5)
    run_state.decide(run_state.proposals[rejected], "rejected", "ada", "no")
    run_state.forget_files(first, 5)
    before, proposals, seeds = run_state.tree.nodes, run_state.proposals, run_state.seeds
    again = reload(run_state)
    assert again.tree.nodes == before
    assert again.proposals == proposals
    assert again.seeds == seeds
    assert list(again.proposals) == [waiting]
    again.close()


def in_flight(path: Path, steps: int = 7) -> tuple[RunState, int]:
    """A run whose only segment has trained so many of its 10 steps, with a checkpoint at the fifth."""
    run_state = begin(path)
    scored(run_state, 0, 0, 10)
    node = propose(run_state)
    run_state.decide(run_state.proposals[node], "approved", "auto", "gate auto")
    run_state.set_state(node, NodeState.RUNNING)
    for step in range(1, steps + 1):
        run_state.metrics(StepMetrics(job=str(node), step=step, values={"reward": 0.5, "step_seconds": 0.25}), node)
        run_state.progress(node, step, 0.25 * step)
        if step == 5:
            scored(run_state, node, 5, 30)
    return run_state, node


@pytest.mark.parametrize("how", ["killed", "stopped"])
def test_a_segment_that_was_cut_off_goes_on_from_its_last_checkpoint(tmp_path: Path, how: str) -> None:
    run_state, node = in_flight(tmp_path / "run")
    if how == "stopped":
        run_state.set_state(node, NodeState.STOPPED, "the run was stopped")
    again = reload(run_state)
    assert (again.tree[node].state, again.tree[node].steps) == (NodeState.QUEUED, 5)
    assert [c.step for c in again.tree[node].checkpoints] == [5]
    again.flush()
    assert again.rows("SELECT max(step) AS last, count(*) AS n FROM metrics") == [{"last": 5, "n": 10}]
    row = again.rows("SELECT state, trained_steps, trainer_seconds, ended, reason FROM nodes WHERE node_id = 1")
    assert row[0] | {"reason": ""} == {
        "state": "queued", "trained_steps": 5, "trainer_seconds": 1.25, "ended": None, "reason": "",
    }  # fmt: skip
    assert row[0]["reason"].endswith("it continues from step 5 of 10")
    assert again.rows("SELECT node_id, step FROM reported_policy") == [{"node_id": 1, "step": 5}]
    once_more = reload(again)
    assert (once_more.tree[node].state, once_more.tree[node].steps) == (NodeState.QUEUED, 5)
    once_more.close()


def test_a_segment_that_had_trained_all_its_steps_is_finished(tmp_path: Path) -> None:
    run_state, node = in_flight(tmp_path / "run", steps=10)
    scored(run_state, node, 10, 50)
    again = reload(run_state)
    assert (again.tree[node].state, again.tree[node].steps) == (NodeState.FINISHED, 10)
    again.close()


def unscored(run_state: RunState, node: int, step: int) -> None:
    """A checkpoint as a worker saves it that was asked to end without scoring it."""
    path = run_state.checkpoint_path(node, step)
    path.mkdir(parents=True)
    (path / MANIFEST).write_text(json.dumps({"step": step, "evaluation": None}))


@pytest.mark.parametrize("step", [7, 10])
def test_a_segment_goes_on_from_a_checkpoint_that_was_not_scored(tmp_path: Path, step: int) -> None:
    run_state, node = in_flight(tmp_path / "run", steps=step)
    unscored(run_state, node, step)
    run_state.set_state(node, NodeState.STOPPED, "the run was stopped")
    again = reload(run_state)
    assert (again.tree[node].state, again.tree[node].steps) == (NodeState.QUEUED, step)
    again.flush()
    assert again.rows("SELECT max(step) AS last FROM metrics") == [{"last": step}]
    scored(again, node, step, 40)
    once_more = reload(again)
    assert once_more.tree[node].state is (NodeState.FINISHED if step == 10 else NodeState.QUEUED)
    once_more.close()


def test_a_checkpoint_beyond_the_steps_that_were_told_is_not_taken(tmp_path: Path) -> None:
    run_state, node = in_flight(tmp_path / "run", steps=7)
    unscored(run_state, node, 8)
    again = reload(run_state)
    assert again.tree[node].steps == 5
    again.close()


def test_an_unscored_checkpoint_goes_when_its_segment_has_ended(tmp_path: Path) -> None:
    run_state, node = in_flight(tmp_path / "run", steps=10)
    unscored(run_state, node, 7)
    scored(run_state, node, 10, 40)
    recovery.drop_unscored(run_state, node)
    assert [path.name for path in sorted(run_state.directory.segment(node).iterdir())] == [
        "checkpoint-10", "checkpoint-5",
    ]  # fmt: skip
    run_state.close()


def test_a_segment_stopped_by_a_human_stays_stopped(tmp_path: Path) -> None:
    run_state, node = in_flight(tmp_path / "run")
    run_state.set_state(node, NodeState.STOPPED, "stopped by ada")
    again = reload(run_state)
    assert (again.tree[node].state, again.tree[node].steps) == (NodeState.STOPPED, 7)
    again.close()


def test_a_segment_that_was_pruned_when_its_engine_died_is_not_taken_up(tmp_path: Path) -> None:
    run_state, node = in_flight(tmp_path / "run")
    run_state.prune(node, "pruned by ada")
    again = reload(run_state)
    assert (again.tree[node].state, again.reasons[node]) == (NodeState.STOPPED, "pruned by ada")
    again.close()


def test_a_segment_cut_off_by_a_stop_that_another_went_on_from_stays_as_it_is(tmp_path: Path) -> None:
    run_state, node = in_flight(tmp_path / "run")
    run_state.set_state(node, NodeState.STOPPED, "the run was stopped")
    child = propose(run_state, node, 5)
    run_state.decide(run_state.proposals[child], "approved", "auto", "gate auto")
    run_state.set_state(child, NodeState.FINISHED)
    again = reload(run_state)
    assert (again.tree[node].state, again.tree[node].steps) == (NodeState.STOPPED, 7)
    again.close()


@pytest.mark.parametrize(
    ("proposal", "state"),
    [
        (None, NodeState.REJECTED),
        ("approved", NodeState.QUEUED),
        ("edited", NodeState.QUEUED),
        ("rejected", NodeState.REJECTED),
    ],
)
def test_a_node_whose_engine_died_between_its_row_and_its_proposals_waits_no_more(
    tmp_path: Path, proposal: str | None, state: NodeState
) -> None:
    run_state = begin(tmp_path / "run")
    scored(run_state, 0, 0, 10)
    node = propose(run_state)
    if proposal is None:
        run_state._writer.delete("proposals", node_id=node)
    else:
        run_state._writer.update("proposals", {"node_id": node}, state=proposal)
    again = reload(run_state)
    assert (again.tree[node].state, again.proposals) == (state, {})
    again.close()


def test_lost_files_are_noticed_and_what_was_to_begin_there_never_will(tmp_path: Path) -> None:
    run_state, node = in_flight(tmp_path / "run")
    run_state.set_state(node, NodeState.FINISHED)
    child = propose(run_state, node, 5)
    run_state.decide(run_state.proposals[child], "approved", "auto", "gate auto")
    (run_state.checkpoint_path(node, 5) / MANIFEST).unlink()
    again = reload(run_state)
    assert [c.kept for c in again.tree[node].checkpoints] == [False]
    assert again.tree[child].state is NodeState.REJECTED
    assert again.reasons[child] == "the files of #1 step 5 are gone"
    again.flush()
    kept = again.rows("SELECT kept FROM checkpoints WHERE node_id = ?", (node,))
    told = again.rows("SELECT message FROM events WHERE kind = 'checkpoint lost'")
    assert kept == [{"kept": False}]
    assert told == [{"message": "the files of #1 step 5 are gone: segments/1/checkpoint-5"}]
    again.close()


def test_a_segment_in_flight_without_a_checkpoint_is_queued_again_from_its_beginning(tmp_path: Path) -> None:
    run_state, node = in_flight(tmp_path / "run", steps=3)
    again = reload(run_state)
    assert again.tree[node].state is NodeState.QUEUED
    assert again.tree[node].steps == 0
    assert again.tree[node].checkpoints == ()
    again.flush()
    assert again.rows("SELECT * FROM metrics") == []
    assert [row["kind"] for row in again.rows("SELECT kind FROM events")] == ["requeued"]
    again.close()


def test_a_run_reports_its_best_checkpoint_until_one_is_picked_and_again_when_it_goes_on(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    node = propose(run_state)
    scored(run_state, node, 5, 30)
    scored(run_state, node, 10, 20)

    def reports() -> dict[str, object]:
        run_state.flush()
        return run_state.rows("SELECT policy, picked, node_id, step, path, greedy FROM reported_policy")[0]

    best = {"policy": f"#{node} step 5", "picked": False, "node_id": node, "step": 5, "greedy": 30}
    assert reports() == {**best, "path": f"segments/{node}/checkpoint-5"}
    run_state.pick(Policy(((node, 10),)), run_state.checkpoint_path(node, 10))
    picked = {"policy": f"#{node} step 10", "picked": True, "node_id": node, "step": 10, "greedy": 20}
    assert reports() == {**picked, "path": f"segments/{node}/checkpoint-10"}
    run_state.record.unpick()
    assert reports() == {**best, "path": f"segments/{node}/checkpoint-5"}
    run_state.close()


def test_a_run_has_one_header_however_often_its_base_and_its_best_were_scored(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    for step, correct in ((0, 10), (0, 12), (4, 15)):
        scored(run_state, 0, step, correct)
    node = propose(run_state)
    scored(run_state, node, 5, 30)
    run_state._writer.insert("checkpoints", **_row_of(run_state, node) | {"greedy": 31})
    run_state.flush()
    found = run_state.rows("SELECT best_node, best_greedy, base_greedy FROM run_header")
    assert found == [{"best_node": node, "best_greedy": 31, "base_greedy": 12}]
    run_state.close()


def _row_of(run_state: RunState, node_id: int) -> dict[str, object]:
    run_state.flush()
    return run_state.rows("SELECT * EXCLUDE (seq, ts) FROM checkpoints WHERE node_id = ?", (node_id,))[0]


def test_a_test_score_stays_with_its_policy_when_the_run_goes_on(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    node = propose(run_state)
    scored(run_state, node, 5, 30)
    scored(run_state, node, 10, 20)

    def reports() -> dict[str, object]:
        run_state.flush()
        return run_state.rows("SELECT policy, picked, test_greedy FROM reported_policy")[0]

    measured, path = Policy(((node, 5),)), run_state.checkpoint_path(node, 5)
    run_state.pick(measured, path)
    evaluation = Evaluation(n=100, greedy=70, sampled=70, seconds=1)
    run_state.evaluation(
        EvaluationResult(job="x", split="test", seed=1, evaluation=evaluation), measured, path, "final"
    )
    assert reports() == {"policy": f"#{node} step 5", "picked": True, "test_greedy": 70}
    run_state.record.unpick()
    assert reports() == {"policy": f"#{node} step 5", "picked": False, "test_greedy": 70}
    scored(run_state, node, 15, 40)
    assert reports() == {"policy": f"#{node} step 15", "picked": False, "test_greedy": None}
    run_state.close()


def test_an_edit_changes_node_and_proposal_together(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    node = propose(run_state)
    proposal = run_state.proposals[node]
    changed = Transition(0, 0, Intent.CHANGE, {"num_generations": 16}, label="group 16", rationale="mine")
    run_state.edit(proposal, changed, {**CONFIGURATION, "num_generations": 16})
    run_state.decide(run_state.proposals[node], "edited", "ada", "")
    run_state.flush()
    row = run_state.rows("SELECT revision, changes, state, advisor FROM proposals")[0]
    assert (row["revision"], json.loads(row["changes"]), row["state"]) == (2, {"num_generations": 16}, "edited")
    assert run_state.tree[node].configuration["num_generations"] == 16
    assert run_state.tree[node].state is NodeState.QUEUED
    run_state.close()


def test_advice_is_logged_with_calls_and_diagnoses(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    diagnosis = Diagnosis("entropy collapse", 0.8, "entropy 1.8 → .6", (Signal("entropy", 1.8, 0.6, 1, 50),))
    call = AdvisorCall("strategist", "question", "answer", "because", 12.5)
    call_id = run_state.calls.record(Advice("rules", (diagnosis,), (), (call,)), 0)
    run_state.flush()
    logged = run_state.rows("SELECT call_id, advisor, rationale, milliseconds FROM agent_calls")
    assert logged == [{"call_id": call_id, "advisor": "rules", "rationale": "because", "milliseconds": 12.5}]
    found = run_state.rows("SELECT pathology, signals, call_id FROM diagnoses")[0]
    assert found["call_id"] == call_id
    assert json.loads(found["signals"])[0]["metric"] == "entropy"
    run_state.close()


STEPS = st.lists(
    st.tuples(st.sampled_from(["propose", "approve", "reject", "run", "score", "end", "prune"]), st.integers(0, 50)),
    max_size=25,
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_any_history_survives_a_restart(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    run_state = begin(tmp_path_factory.mktemp("run"))
    scored(run_state, 0, 0, 10)
    for action, number in steps:
        _act(run_state, action, number)
    before = {node_id: _taken_up(node) for node_id, node in run_state.tree.nodes.items()}
    again = reload(run_state)
    assert {n.id: (n.state, n.steps, n.checkpoints) for n in again.tree} == before
    assert again.proposals == run_state.proposals
    again.close()


def _taken_up(node: Node) -> tuple[NodeState, int, tuple[Checkpoint, ...]]:
    """What a restart makes of a node: one that was training goes on from its last checkpoint."""
    if node.state is NodeState.RUNNING and node.pruned:
        return NodeState.STOPPED, node.steps, node.checkpoints
    if node.state is not NodeState.RUNNING:
        return node.state, node.steps, node.checkpoints
    done = node.last.step if node.last else 0
    return NodeState.FINISHED if done >= node.planned_steps else NodeState.QUEUED, done, node.checkpoints


def _act(run_state: RunState, action: str, number: int) -> None:
    """One step of a run's life at a node that `number` picks, where it fits."""
    nodes = [node for node in run_state.tree if node.id]
    node = nodes[number % len(nodes)] if nodes else None
    if action == "propose":
        parents = [n for n in run_state.tree if n.checkpoints and not n.state.in_flight]
        parent = parents[number % len(parents)]
        propose(run_state, parent.id, parent.checkpoints[-1].step)
    elif node is None:
        return
    elif action in ("approve", "reject") and node.id in run_state.proposals:
        run_state.decide(run_state.proposals[node.id], {"approve": "approved", "reject": "rejected"}[action], "ada", "")
    elif action == "run" and node.state is NodeState.QUEUED:
        run_state.set_state(node.id, NodeState.RUNNING)
    elif action == "score" and node.state is NodeState.RUNNING:
        run_state.progress(node.id, node.steps + 1, 1.0)
        scored(run_state, node.id, node.steps + 1, number)
    elif action == "end" and node.state is NodeState.RUNNING:
        run_state.set_state(node.id, NodeState.FINISHED)
    elif action == "prune":
        run_state.prune(node.id, "pruned by ada")


def test_any_text_is_kept_as_a_note_and_an_empty_one_takes_it_away(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")

    @given(st.text(alphabet=st.characters(exclude_categories=()), max_size=300))
    @settings(max_examples=60, deadline=None)
    def kept(text: str) -> None:
        run_state.annotate(0, text)
        run_state.flush()
        note = run_state.rows("SELECT note FROM nodes WHERE node_id = 0")[0]["note"]
        assert note == (text.encode("utf-8", "replace").decode("utf-8") or None)

    kept()
    run_state.close()


def test_why_nodes_were_pruned_and_proposals_decided_survives_a_restart(tmp_path: Path) -> None:
    run_state = begin(tmp_path / "run")
    first, second = propose(run_state), propose(run_state)
    run_state.decide(run_state.proposals[first], "rejected", "ada", "tried before")
    run_state.decide(run_state.proposals[second], "approved", "auto", "gate auto")
    run_state.set_state(second, NodeState.FINISHED, "")
    run_state.prune(second, "pruned by ada: a dead end")
    before = (run_state.reasons, run_state.decided)
    again = reload(run_state)
    assert again.decided == before[1]
    assert {node: reason for node, reason in again.reasons.items() if reason} == {
        first: "tried before", second: "pruned by ada: a dead end",
    }  # fmt: skip
    assert again.tree[second].pruned
    again.close()

"""The human's hand on a live run: notes, reasons, the budget; what is refused says why; a resume forgets nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.advisors.base import Advice, Evidence
from engine.advisors.evidence import tried_table
from engine.advisors.rules import RulesAdvisor
from engine.run.config import load
from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.engine.simulated import SimulatedExecutor
from tests.engine.steered import Hand, Held, config, steer

RUNNING = "SELECT node_id FROM nodes WHERE state = 'running'"
PENDING_CHANGES = "SELECT proposal_id, revision, changes FROM proposals WHERE state = 'pending' ORDER BY proposal_id"
DONE = "SELECT node_id FROM nodes WHERE node_id > 0 AND state = 'finished'"
PENDING = "SELECT proposal_id, revision, node_id FROM proposals WHERE state = 'pending' ORDER BY proposal_id"


async def nothing(_: Hand) -> None:
    """The human looks on."""


# ---- the budget -----------------------------------------------------------------------------------------------------


def test_a_budget_that_is_raised_lets_the_search_go_on(tmp_path: Path) -> None:
    async def raises(hand: Hand) -> None:
        await hand.until(RUNNING)
        state, message = await hand.ask("budget", nodes=5)
        assert (state, "nodes 2 → 5" in message) == ("done", True), message
        row = hand.rows("SELECT budget, config FROM runs")[0]
        assert json.loads(row["budget"])["nodes"] == 5
        assert json.loads(row["config"])["budget"]["nodes"] == 2

    assert steer(config("nodes = 2"), tmp_path, raises, SimulatedExecutor(1.5)) == "finished"
    assert len(live.rows(RunDirectory(tmp_path), DONE)) == 5
    assert live.rows(RunDirectory(tmp_path), "SELECT max(fraction) AS f FROM budget") == [{"f": 1.0}]
    event = live.rows(RunDirectory(tmp_path), "SELECT message, detail FROM events WHERE kind = 'budget'")[0]
    assert "by ada" in event["message"]
    assert json.loads(event["detail"]) == {"author": "ada"}


def test_a_budget_below_what_is_spent_ends_the_run_after_what_is_in_flight(tmp_path: Path) -> None:
    async def lowers(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM nodes WHERE state = 'running' AND node_id >= 3")
        said = "budget nodes 40 → 1; it is spent: the run ends after the segments in flight"
        assert await hand.ask("budget", nodes=1) == ("done", said)
        hand.writer.flush()
        begun.extend(hand.rows("SELECT node_id FROM nodes WHERE started IS NOT NULL"))

    begun: list[dict[str, object]] = []
    assert steer(config("nodes = 40"), tmp_path, lowers) == "finished"
    run = RunDirectory(tmp_path)
    trained = live.rows(run, "SELECT state, trained_steps, planned_steps FROM nodes WHERE started IS NOT NULL")
    assert 3 <= len(trained) == len(begun) < 40
    assert all(row["state"] == "finished" and row["trained_steps"] == row["planned_steps"] for row in trained)
    assert live.rows(run, "SELECT 1 FROM nodes WHERE state IN ('proposed', 'queued', 'running')") == []
    assert live.rows(run, "SELECT kind FROM evaluations WHERE split = 'test'")


def test_a_limit_in_time_below_what_is_spent_stops_what_is_in_flight(tmp_path: Path) -> None:
    async def lowers(hand: Hand) -> None:
        await hand.until(RUNNING)
        said = "budget minutes no limit → 0.001; its time is spent: the segments in flight stop after their step"
        assert await hand.ask("budget", minutes=0.001) == ("done", f"{said} and the run ends")

    assert steer(config("nodes = 4"), tmp_path, lowers, SimulatedExecutor(12.0)) == "finished"
    trained = live.rows(RunDirectory(tmp_path), "SELECT state, trained_steps FROM nodes WHERE started IS NOT NULL")
    stopped = [row["trained_steps"] for row in trained if row["state"] == "stopped"]
    assert stopped
    assert max(stopped) < 6


def test_what_waits_and_finds_no_room_in_a_lower_budget_is_withdrawn(tmp_path: Path) -> None:
    async def lowers(hand: Hand) -> None:
        parent = (await hand.until(DONE))[0]["node_id"]
        await hand.until("SELECT 1 FROM nodes WHERE state = 'running' AND trained_steps > 0")
        for rate in (2e-4, 3e-4):
            asked = await hand.ask("expand", parent=parent, step=6, changes={"learning_rate": rate})
            assert asked[0] == "done", asked
        assert (await hand.ask("budget", nodes=3))[0] == "done"

    assert steer(config("nodes = 40"), tmp_path, lowers, SimulatedExecutor(0.6)) == "finished"
    mine = live.rows(RunDirectory(tmp_path), "SELECT state, reason FROM nodes WHERE advisor = 'human' ORDER BY node_id")
    assert [row["state"] for row in mine] == ["finished", "rejected"]
    assert mine[1]["reason"] == "not started when ada lowered the budget"


def test_no_time_left_ends_a_run_in_which_a_human_queued_something(tmp_path: Path) -> None:
    async def lowers(hand: Hand) -> None:
        running = (await hand.until(RUNNING))[0]
        assert (await hand.ask("expand", parent=0, step=0, changes={"beta": 0.02}))[0] == "done"
        assert (await hand.ask("budget", minutes=1e-6))[0] == "done"
        await hand.until("SELECT 1 FROM nodes WHERE node_id = ? AND state = 'stopped'", running["node_id"])

    longer_than_any_answer = SimulatedExecutor(18)
    assert steer(config("nodes = 40"), tmp_path, lowers, longer_than_any_answer) == "finished"
    states = live.rows(RunDirectory(tmp_path), "SELECT DISTINCT state FROM nodes")
    assert {row["state"] for row in states} <= {"finished", "stopped", "rejected"}


def test_time_that_is_given_back_lets_the_search_go_on(tmp_path: Path) -> None:
    async def gives(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM nodes WHERE state = 'running' AND trained_steps > 0")
        hand.send("budget", minutes=1e-6)
        assert (await hand.ask("budget", minutes=60))[0] == "done"

    assert steer(config("nodes = 3"), tmp_path, gives, SimulatedExecutor(0.4)) == "finished"
    ended = live.rows(RunDirectory(tmp_path), "SELECT count(*) AS n FROM nodes WHERE started IS NOT NULL")
    assert ended == [{"n": 3}]


def test_a_budget_that_makes_no_sense_is_refused_in_one_line(tmp_path: Path) -> None:
    async def tries(hand: Hand) -> None:
        await hand.until(PENDING)
        for fields, said in (
            ({"nodes": 0}, "at least one of steps, gpu_hours, minutes, nodes"),
            ({}, "give at least one of steps, nodes, minutes, gpu_hours"),
            ({"nodes": 3}, "the budget is unchanged: nodes 3"),
            ({"steps": -1}, "steps = -1: must be at least 0"),
            ({"minutes": "soon"}, "minutes = 'soon'"),
            ({"gpu_hours": float("inf")}, "finite"),
            ({"wishes": 3}, "wishes"),
        ):
            state, message = await hand.ask("budget", **fields)
            assert (state, said in message, "\n" in message) == ("refused", True, False), message
        assert json.loads(hand.rows("SELECT budget FROM runs")[0]["budget"])["nodes"] == 3
        assert (await hand.ask("stop"))[0] == "done"

    assert steer(config("nodes = 3", gate="manual"), tmp_path, tries) == "stopped"


def test_a_resume_goes_on_with_the_budget_of_now_and_with_what_was_edited_in_the_file(tmp_path: Path) -> None:
    async def raises_and_stops(hand: Hand) -> None:
        await hand.until(RUNNING)
        assert (await hand.ask("budget", nodes=4, minutes=30))[0] == "done"
        assert (await hand.ask("stop"))[0] == "done"

    run = RunDirectory(tmp_path)
    assert steer(config("nodes = 9"), tmp_path, raises_and_stops, SimulatedExecutor(3.0)) == "stopped"
    assert steer(config("nodes = 9"), tmp_path, nothing) == "finished"
    assert live.rows(run, "SELECT count(*) AS n FROM nodes WHERE started IS NOT NULL") == [{"n": 4}]
    assert steer(config("nodes = 6"), tmp_path, nothing) == "finished"
    assert live.rows(run, "SELECT count(*) AS n FROM nodes WHERE started IS NOT NULL") == [{"n": 6}]
    row = live.rows(run, "SELECT budget, config FROM runs")[0]
    assert json.loads(row["budget"]) == {"steps": 0, "nodes": 6, "minutes": 30.0, "gpu_hours": 0.0}
    assert json.loads(row["config"])["budget"]["nodes"] == 6


# ---- notes, reasons, hands ------------------------------------------------------------------------------------------


def test_a_note_is_kept_replaced_removed_and_survives_a_resume(tmp_path: Path) -> None:
    async def writes(hand: Hand) -> None:
        node = (await hand.until(PENDING))[0]["node_id"]
        note = "SELECT node_id FROM nodes WHERE note = ?"
        assert (await hand.ask("annotate", node_id=node, text=" first \n"))[0] == "done"
        assert await hand.until(note, "first")
        assert (await hand.ask("annotate", author="bob", node_id=node, text="[b]second[/b]\x1b[2J"))[0] == "done"
        assert (await hand.ask("annotate", node_id=0, text="gone soon"))[0] == "done"
        assert (await hand.ask("annotate", node_id=0, text="  "))[1] == "#0 note removed"
        assert (await hand.ask("annotate", node_id=99, text="x")) == ("refused", "there is no node #99")
        state, message = await hand.ask("annotate", node_id=node, text="x" * 4001)
        assert (state, "4,001 characters; at most 4,000" in message) == ("refused", True)
        assert (await hand.ask("stop"))[0] == "done"

    run = RunDirectory(tmp_path)
    assert steer(config("nodes = 2", gate="manual"), tmp_path, writes) == "stopped"
    assert steer(config("nodes = 2"), tmp_path, nothing) == "finished"
    kept = live.rows(run, "SELECT note FROM nodes WHERE note IS NOT NULL")
    assert kept == [{"note": "[b]second[/b]\x1b[2J"}]
    said = live.rows(run, "SELECT author FROM commands WHERE kind = 'annotate' ORDER BY command_id LIMIT 2")
    assert said == [{"author": "ada"}, {"author": "bob"}]


def test_why_a_human_pruned_and_stopped_stands_on_the_nodes(tmp_path: Path) -> None:
    async def cuts(hand: Hand) -> None:
        parent = (await hand.until(DONE))[0]["node_id"]
        running = (await hand.until("SELECT node_id FROM nodes WHERE state = 'running' AND trained_steps > 0"))[0]
        stopped = await hand.ask("stop-node", node_id=running["node_id"], reason="too\nslow")
        assert stopped[0] == "done", stopped
        ended = await hand.until("SELECT reason FROM nodes WHERE node_id = ? AND state = 'stopped'", running["node_id"])
        assert ended[0]["reason"] == "stopped by ada: too slow"
        pruned = await hand.ask("prune", node_id=parent, reason="a dead end")
        assert (pruned[0], "a dead end" in pruned[1]) == ("done", True)
        row = await hand.until("SELECT reason, state FROM nodes WHERE node_id = ? AND pruned", parent)
        assert row == [{"reason": "pruned by ada: a dead end", "state": "finished"}]
        assert await hand.until("SELECT 1 FROM events WHERE kind = 'command' AND message LIKE '%a dead end'")
        assert await hand.ask("prune", node_id=parent) == ("refused", f"#{parent} is already pruned")

    assert steer(config("nodes = 5"), tmp_path, cuts, SimulatedExecutor(2)) == "finished"


def test_a_stale_answer_is_refused_with_what_changed(tmp_path: Path) -> None:
    async def answers(hand: Hand) -> None:
        first = (await hand.until(PENDING))[0]
        seen = {"proposal_id": first["proposal_id"], "revision": first["revision"]}
        state, message = await hand.ask("approve", proposal_id=first["proposal_id"], revision=7)
        assert (state, "revision 1 now" in message, "you saw revision 7" in message) == ("refused", True, True)
        edited = await hand.ask("edit", author="bob", **seen, changes={"learning_rate": 3e-5})
        assert edited[0] == "done", edited
        state, message = await hand.ask("approve", **seen)
        assert state == "refused"
        assert "edited by bob" in message
        assert "revision 2 now (learning_rate 3e-05), you saw revision 1" in message
        second = (await hand.until(PENDING))[0]
        seen = {"proposal_id": second["proposal_id"], "revision": second["revision"]}
        assert (await hand.ask("reject", **seen, reason="tried before"))[0] == "done"
        state, message = await hand.ask("edit", **seen, changes={"learning_rate": 3e-5})
        assert (state, "rejected by ada: tried before" in message) == ("refused", True)
        assert (await hand.ask("approve", proposal_id=99, revision=1)) == ("refused", "there is no proposal 99")
        assert (await hand.ask("gate", mode="auto"))[0] == "done"

    assert steer(config("nodes = 2", gate="manual"), tmp_path, answers) == "finished"
    made = live.rows(RunDirectory(tmp_path), "SELECT advisor FROM nodes WHERE node_id = 1")
    assert made == [{"advisor": "human"}]
    by = live.rows(RunDirectory(tmp_path), "SELECT decided_by FROM proposals ORDER BY proposal_id LIMIT 2")
    assert by == [{"decided_by": "bob"}, {"decided_by": "ada"}]


class Remembering(RulesAdvisor):
    """The rules, and what they were shown."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Evidence] = []

    def advise(self, evidence: Evidence) -> Advice:
        self.seen.append(evidence)
        return super().advise(evidence)


def test_what_a_human_said_against_a_proposal_reaches_the_advisor_also_after_a_resume(tmp_path: Path) -> None:
    why = 'lr too "high"\n| ignore'

    async def rejects(hand: Hand) -> None:
        first = (await hand.until(PENDING))[0]
        seen = {"proposal_id": first["proposal_id"], "revision": first["revision"]}
        assert (await hand.ask("reject", **seen, reason=why))[0] == "done"
        await hand.until(
            "SELECT 1 FROM proposals WHERE state = 'pending' AND proposal_id > ?", first["proposal_id"]
        )  # fmt: skip
        assert (await hand.ask("stop"))[0] == "done"

    first, second = Remembering(), Remembering()
    assert steer(config("nodes = 2", gate="manual"), tmp_path, rejects, advisor=first) == "stopped"
    assert steer(config("nodes = 2"), tmp_path, nothing, advisor=second) == "finished"
    for advisor in (first, second):
        told = [evidence for evidence in advisor.seen if evidence.reasons.get(1) == why]
        assert told
        assert '"lr too \\"high\\"\\n| ignore"' in tried_table(told[0])


# ---- the beginning and the end --------------------------------------------------------------------------------------


def test_commands_are_answered_while_the_base_is_scored(tmp_path: Path) -> None:
    executor = Held("validation")

    async def early(hand: Hand) -> None:
        assert (await hand.ask("gate", mode="manual"))[0] == "done"
        assert (await hand.ask("annotate", node_id=0, text="the base"))[0] == "done"
        assert (await hand.ask("budget", nodes=1))[0] == "done"
        assert (await hand.ask("expand", parent=0, step=0, changes={}))[0] == "refused"
        executor.free.set()
        assert await hand.until(PENDING)
        assert hand.rows("SELECT gate FROM runs") == [{"gate": "manual"}]
        assert (await hand.ask("gate", mode="auto"))[0] == "done"

    assert steer(config("nodes = 5"), tmp_path, early, executor) == "finished"
    assert len(live.rows(RunDirectory(tmp_path), DONE)) == 1


def test_a_run_can_be_stopped_while_the_base_is_scored_and_resumed(tmp_path: Path) -> None:
    async def stops(hand: Hand) -> None:
        assert (await hand.ask("stop"))[0] == "done"

    assert steer(config("nodes = 1"), tmp_path, stops, Held("validation")) == "stopped"
    assert steer(config("nodes = 1"), tmp_path, nothing) == "finished"


def test_a_process_that_is_asked_to_end_does_not_wait_for_a_score(tmp_path: Path) -> None:
    async def ends(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM runs WHERE state = 'finishing'")
        hand.controller.shut_down()

    assert steer(config("nodes = 1"), tmp_path, ends, Held("test")) == "stopped"
    reason = live.rows(RunDirectory(tmp_path), "SELECT reason FROM runs")[0]["reason"]
    assert "the engine was asked to end" in reason


def test_no_command_is_left_without_an_answer_when_a_run_ends(tmp_path: Path) -> None:
    async def hurries(hand: Hand) -> None:
        await hand.until(RUNNING)
        hand.send("stop")
        hand.send("stop")
        hand.send("annotate", node_id=1, text="late")

    assert steer(config("nodes = 9"), tmp_path, hurries) == "stopped"
    answered = live.rows(
        RunDirectory(tmp_path),
        "SELECT command_id, list(state ORDER BY seq) AS states FROM commands LEFT JOIN command_results "
        "USING (command_id) GROUP BY command_id ORDER BY command_id",
    )
    assert [row["states"][-1] for row in answered[:2]] == ["done", "done"]
    assert answered[2]["states"][-1] in ("done", "refused")
    assert all(row["states"].count("done") + row["states"].count("refused") == 1 for row in answered)


def test_while_the_finalists_are_scored_only_a_note_is_taken(tmp_path: Path) -> None:
    executor = Held("test")

    async def late(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM runs WHERE state = 'finishing'")
        state, message = await hand.ask("budget", nodes=50)
        assert (state, "the search is over" in message) == ("refused", True)
        assert (await hand.ask("pause"))[0] == "refused"
        assert (await hand.ask("annotate", node_id=1, text="seen"))[0] == "done"
        executor.free.set()

    assert steer(config("nodes = 2"), tmp_path, late, executor) == "finished"
    assert live.rows(RunDirectory(tmp_path), "SELECT kind FROM evaluations WHERE kind = 'final'")


def test_a_run_can_be_stopped_while_the_finalists_are_scored_and_resumed(tmp_path: Path) -> None:
    async def stops(hand: Hand) -> None:
        await hand.until("SELECT 1 FROM runs WHERE state = 'finishing'")
        assert (await hand.ask("stop"))[0] == "done"

    assert steer(config("nodes = 2"), tmp_path, stops, Held("test")) == "stopped"
    run = RunDirectory(tmp_path)
    assert live.rows(run, "SELECT 1 FROM evaluations WHERE split = 'test'") == []
    assert steer(config("nodes = 2"), tmp_path, nothing) == "finished"
    assert live.rows(run, "SELECT kind FROM evaluations WHERE split = 'test' ORDER BY kind") == [
        {"kind": "baseline"}, {"kind": "final"},
    ]  # fmt: skip


# ---- the space ------------------------------------------------------------------------------------------------------


def test_a_range_of_a_live_run_is_changed_recorded_and_kept_by_a_resume(tmp_path: Path) -> None:
    asked = config("nodes = 3", gate="manual")
    directory = RunDirectory(tmp_path)
    directory.config.write_text("# mine\n" + asked.to_toml(), encoding="utf-8")

    async def widens(hand: Hand) -> None:
        await hand.until(PENDING)
        refused = await hand.ask("space", name="learning_rate", low=0.9e-4, high=0.95e-4)
        assert refused[0] == "refused", refused
        assert refused[1].startswith("[space.learning_rate] excludes "), refused
        assert (await hand.ask("space", name="speed", low=1))[0] == "refused"
        assert (await hand.ask("space", name="learning_rate"))[1].startswith("command space: give low, high or choices")
        state, said = await hand.ask("space", name="temperature", high=1.9)
        assert (state, said.startswith("space temperature ")) == ("done", True), said
        assert "1.9" in said
        assert (await hand.ask("space", name="temperature", high=1.9))[1].startswith("temperature is unchanged")
        space = {each["name"]: each for each in json.loads(hand.rows("SELECT space FROM runs")[0]["space"])}
        assert space["temperature"]["high"] == 1.9
        number = hand.rows("SELECT proposal_id, revision FROM proposals WHERE state = 'pending'")[0]
        edited = await hand.ask("edit", **number, changes={"temperature": 1.85})
        assert edited[0] == "done", edited
        await hand.ask("gate", mode="auto")

    assert steer(asked, tmp_path, widens) == "finished"
    assert directory.config.read_text(encoding="utf-8").startswith("# mine\n")
    now = load(directory.config)
    assert now.space["temperature"]["high"] == 1.9
    told = "SELECT kind, message FROM events WHERE kind IN ('space', 'edited') ORDER BY seq"
    [event] = live.rows(directory, told)
    assert event["message"].endswith("(by ada)")
    assert steer(now, tmp_path, nothing) == "finished"
    assert len(live.rows(directory, told)) == 1, "a resume finds nothing edited"


def test_a_narrowed_range_withdraws_what_waits_outside_it(tmp_path: Path) -> None:
    asked = config("nodes = 12", gate="manual")
    RunDirectory(tmp_path).config.write_text(asked.to_toml(), encoding="utf-8")

    async def narrows(hand: Hand) -> None:
        def moves_a_number(changes: dict[str, Any]) -> bool:
            return any(isinstance(value, float) and value > 0 for value in changes.values())

        waiting = await hand.until(PENDING_CHANGES)
        while not moves_a_number(changes := json.loads(waiting[0]["changes"])):
            seen = {"proposal_id": waiting[0]["proposal_id"], "revision": waiting[0]["revision"]}
            await hand.ask("approve", **seen)
            waiting = await hand.until(f"{PENDING_CHANGES} DESC")
        before = json.loads(hand.rows("SELECT configuration FROM nodes WHERE node_id = 0")[0]["configuration"])
        name = next(n for n, value in changes.items() if isinstance(value, float) and value > 0 < before[n])
        between = (changes[name] + before[name]) / 2
        kept = {"high": between} if changes[name] > between else {"low": between}
        state, said = await hand.ask("space", name=name, **kept)
        assert (state, "withdrawn" in said) == ("done", True), said
        row = hand.rows("SELECT state, reason FROM proposals WHERE reason LIKE '%space'")[0]
        assert row == {"state": "superseded", "reason": "ada narrowed the space"}
        hand.send("stop")

    assert steer(asked, tmp_path, narrows) == "stopped"

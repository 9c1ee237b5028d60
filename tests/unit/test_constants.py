"""Searches replayed on recorded constants: what one computes by hand, and nothing but the bank."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from benchmarks import constants
from benchmarks.constants_replay import (
    Bank,
    ClosingScores,
    Recording,
    Replayed,
    TooFewConstants,
    banks,
    best_constant,
    on_test,
    replay,
    replays,
    reported,
)
from engine.compare import plan as plans
from engine.compare.packing import pack
from engine.compare.records import append
from engine.domain.policy import RERANK_SEED, TEST_SEED, steering_prompts
from engine.domain.score import PromptSet, Score, of_outcomes
from engine.domain.space import Space
from engine.errors import Fault, UserError
from tasks import registry

N = 100
SEGMENT, SEGMENTS = 50, 9
PEERS = constants.PEERS
SPACE = Space.build({}, registry.get("ladder").space(), batch_size=32)
MEASUREMENT: Mapping[str, Any] = {
    "revisions": ["abc"], "advisor": "rules", "base": {"n": 6, "greedy": 1, "sampled": 1, "seed": 0},
    "spent": {"steps": 1200, "segments": 24, "tokens": 9, "trainer_seconds": 1.0, "wall_seconds": 2.0},
    "best": {"node": 0, "step": 0, "soup": False}, "nodes": [], "scores": [],
}  # fmt: skip
"""Of the line of a cell what no test here looks at."""


def right(count: int, prompts: PromptSet) -> Score:
    """So many of a hundred prompts, both times."""
    return of_outcomes("3" * count + "0" * (N - count), prompts)


def recording(
    configuration: Mapping[str, Any], curve: Callable[[int], int], test: Callable[[int], int], segments: int = SEGMENTS
) -> Recording:
    """A constant by what it has right on validation and on test prompts after so many steps."""
    ends = range(0, segments * SEGMENT + 1, SEGMENT)
    validation = {at: right(curve(at), steering_prompts(N)) for at in range(0, segments * SEGMENT + 1, SEGMENT // 2)}
    rerank, final = PromptSet("validation", RERANK_SEED, N), PromptSet("test", TEST_SEED, N)
    return Recording(
        configuration, validation, {at: ClosingScores(right(curve(at), rerank), right(test(at), final)) for at in ends}
    )


def bank(draws: Sequence[Recording], **changes: Any) -> Bank:
    default = recording(SPACE.default(), lambda at: 5 + at // 50, lambda at: 6)
    return Bank("ladder", SPACE, changes.get("start", {}), SEGMENT, [default], draws, 0, 0)


def drawn(number: int) -> dict[str, Any]:
    """The configuration of a made-up constant."""
    return SPACE.sample(random.Random(number))


def rising(number: int, segments: int = SEGMENTS) -> Recording:
    """A constant that is ahead of those with a lower number at every time; test scores are 20 lower."""
    return recording(
        drawn(number), lambda at: 10 + number + at // 25, lambda at: max(0, number + at // 25 - 10), segments
    )


def test_random_search_reports_the_best_of_the_first_constants() -> None:
    """8 segments are the default and one draw, four segments each: 5 + 4 against 10 + number + 8."""
    made = bank([rising(1), rising(30), rising(12)])
    for first in made.draws:
        others = [each for each in made.draws if each is not first]
        search = replay(made, "random", 8 * SEGMENT, [*made.defaults, first, *others])
        assert [len(search.tree.path(n.id)) - 1 for n in search.tree if n.transition] == [1, 2, 3, 4, 1, 2, 3, 4]
        place = reported(search)
        assert place == (first, 4 * SEGMENT)
        assert on_test(place) == first.closing[4 * SEGMENT].test


def test_topk_trains_on_what_led_after_its_first_segment() -> None:
    """Of 24 segments twelve begin, so that three have four more; the slow starter that would have won is left."""
    slow = recording(drawn(99), lambda at: 4 if at <= SEGMENT else 99, lambda at: 99)
    made = bank([*map(rising, range(1, 11)), slow])
    place = reported(replay(made, "topk", 24 * SEGMENT, [*made.defaults, *made.draws]))
    assert place == (made.draws[9], 5 * SEGMENT)


def test_asha_gives_the_slow_starter_no_second_rung() -> None:
    slow = recording(drawn(99), lambda at: 4 if at <= SEGMENT else 99, lambda at: 99)
    made = bank([slow, *map(rising, range(1, 24))])
    search = replay(made, "asha", 24 * SEGMENT, [*made.defaults, *made.draws])
    trained = {steps for recording, steps in search.skills.values() if recording is slow}
    assert trained == {SEGMENT // 2, SEGMENT}


@pytest.mark.parametrize("peer", PEERS)
def test_a_replay_draws_from_the_bank_alone_and_each_constant_once(peer: str) -> None:
    made = bank([rising(number) for number in range(1, 25)])
    known = [each.configuration for each in (*made.defaults, *made.draws)]
    search = replay(made, peer, 24 * SEGMENT, made.order(random.Random(1)))
    begun = [node.configuration for node in search.tree.children(0)]
    assert begun[0] == SPACE.default()
    assert len(begun) > 5
    assert all(each in known for each in begun)
    assert all(begun.count(each) == 1 for each in begun)
    assert sum(node.steps for node in search.tree) == 24 * SEGMENT
    for (node, step), (recorded, steps) in search.skills.items():
        if node:
            assert search.tree[node].configuration == recorded.configuration
            assert search.tree[node].start_steps + step == steps


def test_a_search_that_wants_more_than_was_recorded_says_so() -> None:
    made = bank([rising(1)])
    with pytest.raises(TooFewConstants, match="no further constant"):
        replay(made, "random", 12 * SEGMENT, made.order(random.Random(1)))
    short = bank([rising(1, segments=2)])
    with pytest.raises(Fault, match="trains a constant for 125 steps, but 100 are recorded"):
        replay(short, "random", 8 * SEGMENT, short.order(random.Random(1)))


def test_the_reported_policy_is_the_best_by_both_validation_sets() -> None:
    steering, rerank, final = steering_prompts(N), PromptSet("validation", RERANK_SEED, N), PromptSet("test", 0, N)

    def ends(on_validation: int, on_second: int, number: int) -> Recording:
        closing = ClosingScores(right(on_second, rerank), right(number, final))
        return Recording(drawn(number), {50: right(on_validation, steering)}, {50: closing})

    lucky, better, far = ends(60, 50, 1), ends(59, 55, 2), ends(20, 100, 3)
    assert best_constant([lucky, better, far]) == (better, 50)
    assert best_constant([lucky, far]) == (lucky, 50)


def test_the_error_of_a_mean_is_that_of_a_finite_bank() -> None:
    alike = bank([recording(drawn(number), lambda at: 20 + at // 25, lambda at: 40) for number in range(1, 9)])
    found = replays(alike, "random", 8 * SEGMENT, draws=16, resamples=10)
    assert found.mean == pytest.approx(0.4)
    assert (found.error, found.variance) == (0, 0)
    mixed = bank([rising(10 * number) for number in range(1, 7)])
    found = replays(mixed, "random", 8 * SEGMENT, draws=60, resamples=60)
    expected = [on_test((each, 4 * SEGMENT)).value for each in mixed.draws]
    assert found.mean == pytest.approx(fmean(expected), abs=0.04)
    single = fmean((each - fmean(expected)) ** 2 for each in expected)
    assert found.variance == pytest.approx(single, rel=0.25)
    assert found.error == pytest.approx((single / 6 + single / 60) ** 0.5, rel=0.35)


def test_the_best_of_more_constants_is_better() -> None:
    rows = constants.of_best(bank([rising(3 * number) for number in range(1, 20)]), draws=50)
    values = [float(row.split("|")[3]) for row in rows]
    assert values == sorted(values)
    assert rows[-1] == "| 20 (all) | 9,000 | 0.650 |"  # of number 57 after 450 steps: 57 + 18 - 10


def test_real_searches_are_held_beside_their_replays(tmp_path: Path) -> None:
    made = bank([rising(number) for number in range(1, 25)], start={"beta": {"default": 0.02}})
    file = tmp_path / "real.jsonl"
    line = {
        "plan": "dev", "task": "ladder", "strategy": "asha", "seed": 101, "settings_hash": "x",
        "settings": {
            "budget": {"steps": 1200}, "search": {"strategy": "asha", "settings": {}, "segment_steps": 50},
            "space": {"beta": {"default": 0.02}},
        },
        "test": {"n": 6, "greedy": 4, "sampled": 4, "seed": 0, "outcomes": pack("333003")},
        **MEASUREMENT, "best": {"node": 0, "step": 0, "soup": True},
    }  # fmt: skip
    append(file, line)
    append(file, {**line, "task": "chain"})
    append(file, {**line, "seed": 102, "settings": {**line["settings"], "space": {}}})
    append(file, {**line, "seed": 103, "settings": {**line["settings"], "budget": {"steps": 600}}})
    found = constants.real(made, [file, tmp_path / "none.jsonl"], 1200)
    assert {peer: [each["seed"] for each in lines] for peer, lines in found.items() if lines} == {"asha": [101]}
    assert constants.value(found["asha"][0], 4) == pytest.approx(0.75)
    text = constants.section(made, [file], 1200, draws=8, resamples=2)
    row = next(each for each in text.splitlines() if each.startswith("| asha"))
    assert "| 1 | 0.667, 1 by a soup | +" in row
    assert "Real searches of revision abc." in text
    assert "24 draws from the space, and the default recorded 1 time, 450 steps each" in text


def test_a_bank_that_is_too_small_for_a_peer_says_so_in_its_row() -> None:
    text = constants.section(bank([rising(1), rising(2)]), [], 1200, draws=2, resamples=2)
    assert "| random | wants more constants than the bank has |" in text


def test_where_one_policy_wins_every_order_no_interval_is_claimed() -> None:
    sure, row = Replayed(0.5, 0.0, 0.0), constants.of_peer
    assert row("random", sure, [], 0) == "| random | 0.500, the same policy every time |  | 0 |  |  |"
    assert row("random", sure, [0.6, 0.7], 1).endswith("| 2 | 0.650, 1 by a soup | +0.150 |")


def test_constants_are_those_that_the_table_draws_from() -> None:
    recorded, table = (
        plans.load(constants.ROOT / f"benchmarks/evidence/{name}.toml") for name in ("constants", "table")
    )
    assert recorded.run["space"] == table.run["space"]
    assert recorded.task == table.task
    assert set(recorded.tasks) == set(table.tasks)
    assert not set(recorded.seeds) & set(table.seeds)
    for cell in plans.cells(recorded):
        config = cell.config()
        assert config.search.settings["segments"] * config.search.segment_steps == SEGMENTS * SEGMENT
        assert config.budget.steps is not None
        assert config.budget.steps % (SEGMENTS * SEGMENT) == 0


def test_mistakes_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = tmp_path / "constants.toml"
    plan.write_text((constants.ROOT / "benchmarks/evidence/constants.toml").read_text())
    with pytest.raises(UserError, match=r"holds no constants of .*record some: llmzero --runs-dir runs compare"):
        constants.score(plan, Path("runs"))
    assert "Nothing is recorded and scored yet of ladder, chain, knights, dedup." in constants.page(
        plan, [], 1200, 2, 2
    )
    for words, why in (
        ([str(plan), "--runs-dir", "runs"], "holds no constants"),
        ([str(tmp_path / "none.toml")], "cannot be read"),
        ([str(plan), "--draws", "1"], "--draws 1: must be at least 2"),
    ):
        monkeypatch.setattr("sys.argv", ["constants", *words, "--to", str(tmp_path / "PAGE.md")])
        try:
            code: object = constants.main()
        except SystemExit as left:
            code = left.code
        assert code == 2
        assert why in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "PAGE.md").exists()


def test_constants_that_broke_are_counted_and_left_out(tmp_path: Path) -> None:
    plan = tmp_path / "constants.toml"
    plan.write_text((constants.ROOT / "benchmarks/evidence/constants.toml").read_text())
    cell = next(iter(plans.cells(plans.load(plan))))
    file = plan.with_suffix(".jsonl")
    nodes, scores = [{"id": 0, "intent": "base"}], [[0, 0, N, 1, 1, 0, 0, 0, pack("3" + "0" * (N - 1))]]

    def chain(first: int, segments: int, changes: Mapping[str, Any], state: str = "finished") -> None:
        for k in range(segments):
            node = first + k
            parent, intent = (node - 1, "keep") if k else (0, "root")
            last = k == segments - 1
            nodes.append(
                {
                    "id": node,
                    "parent": parent,
                    "branch_step": 50 * bool(parent),
                    "intent": intent,
                    "start_steps": 50 * k,
                    "steps": 50,
                    "changes": changes if not k else {},
                }
                | ({"state": state} if last else {})
            )
            for step, count in ((25, 3 + k), (50, 2 + k)):
                scores.append([node, step, N, count, count, 0, 0, 0, pack("3" * count + "0" * (N - count))])

    chain(1, SEGMENTS, {})
    chain(10, 3, {"beta": 0.05}, "nan")
    chain(13, SEGMENTS, {"beta": 0.01})
    line = {
        "plan": cell.plan,
        "task": cell.task,
        "strategy": cell.strategy,
        "seed": cell.seed,
        "settings_hash": cell.settings_hash,
        **MEASUREMENT,
        "nodes": nodes,
        "scores": scores,
        "test": MEASUREMENT["base"],
    }
    append(file, line)
    assert banks(plan) == []
    measured = {"n": N, "greedy": 7, "sampled": 7, "outcomes": pack("3" * 7 + "0" * (N - 7))}
    for node, step in [(0, 0), *((node, 25) for node in range(1, 10))]:
        append(file, {"kind": "policy", "cell": [*cell.key, cell.settings_hash], "node": node, "step": step,
            "reranking": {**measured, "seed": 1}, "final": {**measured, "seed": 0}})  # fmt: skip
    (found,) = banks(plan)
    assert (len(found.defaults), len(found.draws), found.broken, found.unscored) == (1, 0, 1, 1)
    told = "Left out: 1 that were not trained to their end, 1 not scored yet."
    assert told in constants.left_out(found)
    (default,) = found.defaults
    assert sorted(default.closing) == [0, *range(25, 450, 50)], "the earlier checkpoint of each segment scored best"
    assert default.validation[400].value == pytest.approx(0.09)
    assert default.configuration["learning_rate"] == 7e-5
    assert json.loads(file.read_text().splitlines()[0])["seed"] == 201

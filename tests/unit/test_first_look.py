"""When a first look at a checkpoint is enough."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from engine.controller import node_rows
from engine.domain.first_look import enough
from engine.domain.score import PromptSet, Score, of_outcomes
from engine.store.queries import load
from engine.store.writer import Writer
from llmzero_tui.text.facts import best_score
from llmzero_tui.user.queries import packaged
from llmzero_tui.values.nodes import Nodes
from llmzero_tui.values.rows import node_of
from tests.engine.store_engine import checkpoint_row, node_row, run_row

LOOK, ALL = 36, 144


def score(outcomes: str) -> Score:
    return of_outcomes(outcomes, PromptSet("validation", 0, len(outcomes)))


BEGUN = score("".join(random.Random(0).choices("03", k=ALL)))
"""Half of the prompts solved."""


def fallen(lost: int) -> Score:
    """A look at a policy that lost some of the prompts that the one before solved."""
    outcomes = list(BEGUN.outcomes[:LOOK])
    for place in [i for i, digit in enumerate(outcomes) if digit == "3"][:lost]:
        outcomes[place] = "0"
    return score("".join(outcomes))


@pytest.mark.parametrize(
    ("lost", "middle", "end"), [(0, True, False), (1, True, False), (3, False, False), (15, False, True)]
)
def test_the_middle_is_looked_into_when_it_falls_behind_and_the_end_not_when_it_is_lost(
    lost: int, middle: bool, end: bool
) -> None:
    assert enough(fallen(lost), BEGUN, ends=False) is middle
    assert enough(fallen(lost), BEGUN, ends=True) is end


def test_without_the_policy_before_the_end_is_asked_everything() -> None:
    assert enough(fallen(15), None, ends=False)
    assert not enough(fallen(15), None, ends=True)


def of_one_node(tmp_path: Path, *scores: tuple[int, int, int, int]) -> Writer:
    """A run of a base, 10 of 100 prompts solved, and of #1; `scores`: node, step, prompts solved and asked."""
    writer = Writer(tmp_path / "run.duckdb")
    run_row(writer)
    node_row(writer, 0)
    node_row(writer, 1, 0, 0)
    for node, step, right, n in ((0, 0, 10, 100), *scores):
        checkpoint_row(writer, node, step, right, right, n)
    writer.flush()
    return writer


def test_the_best_of_a_node_is_never_a_lucky_first_look(tmp_path: Path) -> None:
    writer = of_one_node(tmp_path, (1, 25, 30, 32), (1, 50, 60, 100))
    [_, listed] = writer.rows(load("cli_nodes"))
    assert (listed["best_step"], listed["best_n"], listed["best_value"]) == (50, 100, 0.6)
    [tried] = writer.rows(load("ui_siblings"), (0,))
    assert (tried["n"], tried["value"]) == (100, 0.6)
    assert [(p["node_id"], p["step"]) for p in writer.rows(load("ui_places"))] == [(1, 50), (0, 0), (1, 25)]
    paid = writer.rows(next(q.text.rstrip(";") for q in packaged() if q.name == "which-changes-paid"))
    assert [row["gain"] for row in paid] == pytest.approx([0.5])
    writer.close()


@pytest.mark.parametrize("scores", [
    ((1, 25, 16, 32), (1, 50, 8, 32)), ((1, 25, 8, 32), (1, 50, 8, 32)),
    ((1, 25, 30, 32), (1, 50, 60, 100), (1, 75, 50, 100)),
], ids=["looks alone", "equal looks", "all prompts"])  # fmt: skip
def test_the_best_score_of_a_node_is_the_same_everywhere(
    tmp_path: Path, scores: tuple[tuple[int, int, int, int], ...]
) -> None:
    writer = of_one_node(tmp_path, *scores)
    nodes, checkpoints = writer.rows("SELECT * FROM nodes"), writer.rows("SELECT * FROM checkpoints ORDER BY seq")
    best = node_rows.tree(nodes, checkpoints)[1].best
    assert best is not None
    expected = best.step, best.score.n, best.score.value
    [_, listed] = writer.rows(load("cli_nodes"))
    assert (listed["best_step"], listed["best_n"], listed["best_value"]) == expected
    [tried] = writer.rows(load("ui_siblings"), (0,))
    assert (tried["n"], tried["value"]) == expected[1:]
    drawn = [node_of(row) for row in writer.rows(load("ui_nodes"), ("[]",))][1].best
    assert drawn is not None
    assert (drawn.step, drawn.n, drawn.value) == expected
    assert writer.rows("SELECT step, n, value FROM node_scores WHERE node_id = 1") == [
        dict(zip(("step", "n", "value"), expected, strict=True))
    ]
    writer.close()


def test_a_node_is_shown_with_the_n_that_it_was_asked(tmp_path: Path) -> None:
    writer = of_one_node(tmp_path, (1, 25, 30, 32), (1, 50, 8, 32))
    base, looked = writer.rows(load("cli_nodes"))
    assert best_score(looked).endswith("] (n 32)")
    assert best_score(base).endswith("] (n 100)")
    nodes = Nodes({node.id: node for node in map(node_of, writer.rows(load("ui_nodes"), ("[]",)))})
    assert [nodes.first_look(node) for node in nodes.values()] == [0, 32]
    writer.close()


def test_an_advisors_record_compares_on_the_prompts_that_both_were_asked(tmp_path: Path) -> None:
    """The end of the change was looked at on the first half of the prompts, of which the parent solved all."""
    writer = Writer(tmp_path / "run.duckdb")
    run_row(writer)
    node_row(writer, 0)
    node_row(writer, 1, 0, 0, intent="change")
    for node, step, outcomes in ((0, 0, "3" * 32 + "0" * 32), (1, 50, "3" * 16 + "2" * 8 + "1" * 8)):
        n, both = len(outcomes), outcomes.count("3")
        greedy, sampled = both + outcomes.count("1"), both + outcomes.count("2")
        writer.insert(
            "checkpoints", node_id=node, step=step, path="x", bytes=1, n=n, greedy=greedy, sampled=sampled,
            value=(greedy + 2 * sampled) / (3 * n), kept=True, outcomes=outcomes,
        )  # fmt: skip
    writer.flush()
    [record] = writer.rows("FROM advisor_record")
    gain = pytest.approx((16 + 8 * 2 / 3 + 8 / 3) / 32 - 1)
    assert (record["trained"], record["gain"]) == (1, gain)
    saved = {each.name: each.text.rstrip(";") for each in packaged()}
    [paid] = writer.rows(saved["which-changes-paid"])
    assert (paid["gain"], paid["before"], paid["prompts"]) == (gain, 1.0, 32)
    changed = {"configuration": '{"beta": 0.2}', "changes": '{"beta": 0.2}'}
    writer.update("nodes", {"node_id": 0}, configuration='{"beta": 0.1}')
    writer.update("nodes", {"node_id": 1}, **changed)
    writer.flush()
    [moved] = writer.rows(saved["gain-by-parameter"])
    assert (moved["parameter"], moved["direction"], moved["times"], moved["mean_gain"]) == ("beta", "up", 1, gain)
    writer.close()

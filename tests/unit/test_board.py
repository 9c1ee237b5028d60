"""What a headless run draws on a terminal: fits every size, hostile text is harmless, what tells stays in sight."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from engine.run.rundir import RunDirectory
from engine.store.reader import open_run
from engine.store.writer import Writer
from llmzero_tui.text.board import ProgressBoard, telling
from llmzero_tui.text.facts import RunFacts, TreeBranch, branches, limit_words, read_facts, status_line
from tests.tui.live_engine import live
from tests.tui.sample_run import build

SIZES = [(80, 24), (120, 40), (160, 50), (250, 70), (40, 10)]


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> RunFacts:
    """A live sample run, with hostile labels and reasons."""
    run = build(tmp_path_factory.mktemp("runs"))
    with live(run):
        reader = open_run(run)
        try:
            return read_facts(reader, RunDirectory(run))
        finally:
            reader.close()


def drawn(facts: RunFacts, size: tuple[int, int], *, ascii: bool = False, colour: bool = False) -> list[str]:
    """The board as lines."""
    console = Console(
        file=io.StringIO(), width=size[0], height=size[1], force_terminal=colour, no_color=not colour, highlight=False
    )
    board = ProgressBoard(ascii, console)
    with console.capture() as captured:
        console.print(board.drawn(facts))
    return captured.get().splitlines()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ascii", [False, True])
def test_the_board_fits_the_terminal(facts: RunFacts, size: tuple[int, int], ascii: bool) -> None:
    lines = drawn(facts, size, ascii=ascii)
    assert max(map(cell_len, lines)) <= size[0]
    assert len(lines) <= max(size[1] - 1, 18)
    assert "\x1b" not in "".join(lines)
    assert not ascii or "".join(lines).isascii()


def test_the_board_tells_state_budget_scores_training_waiting_and_the_tree(facts: RunFacts) -> None:
    text = "\n".join(drawn(facts, (120, 40)))
    for words in (
        "knights-01  ● training", "42% of the budget · 14m00s, 19m20s left", "630 of 1500 steps, 14 of 40 minutes",
        "best 0.637 [0.58, 0.69] (#13 step 25, n 256)", "● #13 continue  step 31/50  reward .672  kl .0027",
        "? #15 learning_rate 5e-5, epsilon_high 0.28 waits for you: `llmzero attach knights-01`",
        "\n#0 base", "        #13 continue",
        "✂ early-stopped",
    ):  # fmt: skip
        assert words in text, text


def test_hostile_text_cannot_drive_the_terminal(facts: RunFacts) -> None:
    text = "\n".join(drawn(facts, (120, 40), colour=True))
    assert "[b]len↑[/b]" in text
    for end in text.split("\x1b")[1:]:
        assert end.startswith("[")
        assert end[1 : end.index("m")].replace(";", "").isdigit()


def test_limits_in_words_name_what_is_spent_of_each(facts: RunFacts) -> None:
    assert limit_words(facts.summary) == "630 of 1500 steps, 14 of 40 minutes"
    assert status_line(facts.summary) == (
        "630 steps in 14 nodes · 42% of the budget · 14m00s, 19m20s left · best 0.637 [0.58, 0.69] (#13 step 25, n 256)"
    )


def chain(parents: list[int], states: list[str], best: int) -> list[TreeBranch]:
    """A tree from the parent of each node (its own number: a root)."""
    rows = [
        {
            "node_id": i,
            "parent_id": None if i == 0 else min(parent, i - 1),
            "state": state,
            "label": "",
            "pruned": False,
        }
        for i, (parent, state) in enumerate(zip(parents, states, strict=True))
    ]
    return branches(rows, best)


@given(data=st.data(), room=st.integers(1, 30), count=st.integers(1, 60))
def test_the_best_and_what_trains_stay_in_sight_in_any_tree(data: st.DataObject, room: int, count: int) -> None:
    parents = data.draw(st.lists(st.integers(0, count), min_size=count, max_size=count))
    running = data.draw(st.integers(0, count - 1))
    best = data.draw(st.integers(0, count - 1))
    states = ["running" if i == running else "finished" for i in range(count)]
    found = chain(parents, states, best)
    assert len(found) == count
    shown = telling(found, room)
    assert len(shown) <= max(1, room)
    assert [each for each in found if each in shown] == shown
    if room > 1:
        assert best in {each.row["node_id"] for each in shown}
    above = _way(found, best) | _way(found, running)
    if room > len(above):
        assert above <= {each.row["node_id"] for each in shown}


def _way(found: list[TreeBranch], number: int) -> set[int]:
    parents = {each.row["node_id"]: each.row["parent_id"] for each in found}
    way: set[int] = set()
    at: int | None = number
    while at is not None:
        way.add(at)
        at = parents[at]
    return way


def test_a_large_tree_is_cut_and_says_how_to_see_it_all(tmp_path: Path, facts: RunFacts) -> None:
    row = facts.nodes[1]
    many = tuple({**row, "node_id": i, "parent_id": None if i == 0 else 0} for i in range(3000))
    large = RunFacts(facts.directory, facts.summary, many, facts.running, facts.waiting)
    lines = drawn(large, (80, 24))
    assert len(lines) <= 23
    assert "more nodes: `llmzero show knights-01`" in lines[-1]


def test_a_run_without_any_score_is_drawn(tmp_path: Path) -> None:
    from tests.engine.store_engine import node_row, run_row

    writer = Writer(tmp_path / "run.duckdb")
    run_row(writer)
    node_row(writer, 0)
    writer.close()
    reader = open_run(tmp_path)
    bare = read_facts(reader, RunDirectory(tmp_path))
    reader.close()
    text = "\n".join(drawn(bare, (80, 24)))
    assert "no score yet" in text
    assert "no limits known" in text
    assert "– of the budget" in text

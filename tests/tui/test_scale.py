"""A look that reads only what changed sees what a look that reads everything sees, and ten thousand nodes are not read
again and again."""

from __future__ import annotations

import math
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from benchmarks import big_run
from engine.store.queries import load
from engine.store.reader import Reader, open_run
from llmzero_tui.feeds.run import RunFeed
from llmzero_tui.values.snapshot import RunView
from llmzero_tui.widgets.tree_lines import lines_of, matching, shortened
from tests.tui.conftest import app_on, until
from tests.tui.live_engine import Engine, live
from tests.tui.sample_run import NOW

STATES = ("proposed", "queued", "running", "finished", "nan", "stopped", "rejected")
NUMBERS = st.integers(0, 40)


class Watched(RuleBasedStateMachine):
    """A run with an engine that does anything, and a viewer that has watched from the beginning."""

    template: Path
    directory: Path

    @initialize()
    def open(self) -> None:
        self.run = Path(tempfile.mkdtemp(dir=self.directory)) / "knights-01"
        shutil.copytree(self.template, self.run)
        self.held = live(self.run)
        self.engine: Engine = self.held.__enter__()
        self.feed = RunFeed(self.run, lambda: NOW)
        self.view = RunView(node=5)
        self.step = 60

    def teardown(self) -> None:
        if hasattr(self, "held"):
            self.feed.close()
            self.held.__exit__(None, None, None)

    @property
    def nodes(self) -> list[int]:
        return [r["node_id"] for r in self.engine.writer.rows("SELECT node_id FROM nodes ORDER BY 1")]

    def trained(self, node: int) -> int:
        found = self.engine.writer.rows("SELECT trained_steps FROM nodes WHERE node_id = ?", [node])
        return int(found[0]["trained_steps"])

    def pick(self, number: int) -> int:
        return self.nodes[number % len(self.nodes)]

    @rule(number=NUMBERS, state=st.sampled_from(STATES), trained=st.integers(0, 60), pruned=st.booleans())
    def change_a_node(self, number: int, state: str, trained: int, pruned: bool) -> None:
        """Steps only grow, but where a segment is trained again."""
        where = {"node_id": self.pick(number)}
        trained = max(trained, self.trained(where["node_id"]))
        self.engine.writer.update("nodes", where, state=state, trained_steps=trained, pruned=pruned)

    @rule(parent=NUMBERS, label=st.sampled_from(("keep", "lr↑", "[b]")), far=st.booleans())
    def add_a_node(self, parent: int, label: str, far: bool) -> None:
        row = self.engine.writer.rows("SELECT * FROM nodes WHERE node_id = 5")[0]
        number = max(self.nodes) + (200 if far else 1)  # a chunk farther on
        new = {"node_id": number, "parent_id": self.pick(parent), "label": label, "proposal_id": None}
        self.engine.writer.insert("nodes", **{**row, **new})

    @rule(number=NUMBERS, value=st.one_of(st.floats(0, 1), st.sampled_from((math.nan, math.inf))))
    def log_a_metric(self, number: int, value: float) -> None:
        self.step += 1
        where = {"node_id": self.pick(number), "step": self.step}
        self.engine.writer.insert("metrics", **where, name="reward", value=value)
        self.engine.writer.update(
            "nodes", {"node_id": where["node_id"]}, trained_steps=self.trained(where["node_id"]) + 1
        )

    @rule(number=NUMBERS, step=st.integers(1, 50), right=st.integers(0, 256))
    def score_a_checkpoint(self, number: int, step: int, right: int) -> None:
        where = {"node_id": self.pick(number), "step": step, "path": "", "bytes": 1, "n": 256}
        self.engine.writer.insert(
            "checkpoints", **where, greedy=right, sampled=right, value=right / 256, kept=right % 2 == 0
        )

    @rule(number=NUMBERS, kept=st.booleans())
    def keep_or_drop_files(self, number: int, kept: bool) -> None:
        """Of a checkpoint that there is: a segment that is trained again has lost its own."""
        found = self.engine.writer.rows("SELECT node_id, step FROM checkpoints ORDER BY ALL")
        if found:
            self.engine.writer.update("checkpoints", found[number % len(found)], kept=kept)

    @rule(number=NUMBERS)
    def withdraw_a_proposal(self, number: int) -> None:
        """Only what has not begun is withdrawn, and so nothing hangs under it; a node that was added has none."""
        found = self.engine.writer.rows(
            "SELECT node_id FROM nodes JOIN proposals USING (node_id) WHERE nodes.state = 'proposed' ORDER BY 1"
        )
        if not found:
            return
        node = found[number % len(found)]["node_id"]
        self.engine.writer.update("nodes", {"node_id": node}, state="rejected")
        self.engine.writer.update("proposals", {"node_id": node}, state="superseded")

    @rule(number=NUMBERS)
    def train_a_segment_again(self, number: int) -> None:
        """As the engine does after a crash: what was half written goes."""
        node = self.pick(number)
        for table in ("metrics", "checkpoints", "completions"):
            self.engine.writer.delete(table, node_id=node)
        self.engine.writer.update("nodes", {"node_id": node}, trained_steps=0)

    @rule(message=st.sampled_from(("hello", "world")))
    def say_something(self, message: str) -> None:
        self.engine.writer.insert("events", level="info", kind="note", message=message, detail="")

    @rule(number=NUMBERS)
    def look_elsewhere(self, number: int) -> None:
        self.view = RunView(node=self.pick(number), samples=number % 2 == 0)

    @precondition(lambda self: hasattr(self, "feed"))
    @rule()
    def glance(self) -> None:
        self.feed.read(self.view, quick=True)

    @invariant()
    def the_viewer_sees_what_a_new_one_sees(self) -> None:
        if not hasattr(self, "feed"):
            return
        self.engine.writer.flush()
        mine = self.feed.read(self.view)
        other = RunFeed(self.run, lambda: NOW)
        theirs = other.read(self.view)
        other.close()
        assert list(mine.nodes) == list(theirs.nodes)
        assert mine.nodes.children == theirs.nodes.children
        assert mine.nodes.running == theirs.nodes.running
        for number, node in theirs.nodes.items():
            assert mine.nodes[number] == node
            assert rounded(mine.sparks.get(number)) == rounded(theirs.sparks.get(number)), number
        assert mine.extent[0] <= theirs.extent[0] + 1e-9
        assert mine.extent[1] >= theirs.extent[1] - 1e-9
        assert (mine.run, mine.inbox, mine.events) == (theirs.run, theirs.inbox, theirs.events)
        assert mine.data_time is not None
        assert theirs.data_time is not None
        assert mine.data_time >= theirs.data_time  # what was taken back had arrived all the same
        assert rounded(mine.detail) == rounded(theirs.detail)


def rounded(value: object) -> str:
    """The value in text, where NaN is itself, to ten digits: DuckDB adds up in as many orders as it has threads."""
    return re.sub(r"-?\d+\.\d+(e[+-]\d+)?", lambda number: f"{float(number[0]):.10g}", repr(value))


@pytest.mark.long
def test_a_look_at_what_changed_sees_what_a_look_at_everything_sees(run: Path, tmp_path: Path) -> None:
    class Here(Watched):
        template, directory = run, tmp_path

    few = settings(
        max_examples=8, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),  # an example takes seconds: to shrink one would take longer than a test may
    )  # fmt: skip
    run_state_machine_as_test(Here, settings=few)


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated run of three thousand nodes, as one that trains; nobody holds it."""
    return big_run.build(tmp_path_factory.mktemp("big"), nodes=3000, state="training")


class Counting:
    """A reader that counts the rows that become Python values."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.rows_read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    def rows(self, *args: Any, **options: Any) -> list[dict[str, Any]]:
        found = self._reader.rows(*args, **options)
        self.rows_read += len(found)
        return found


@pytest.fixture
def counted(big: Path) -> Iterator[tuple[Engine, RunFeed, list[Counting]]]:
    """The run with an engine, a feed on it, and its readers."""
    readers: list[Counting] = []

    def opener(path: Path) -> Reader:
        readers.append(Counting(open_run(path)))
        return readers[-1]

    with live(big) as engine:
        feed = RunFeed(big, lambda: NOW, opener)
        yield engine, feed, readers
        feed.close()


def test_a_tick_reads_the_nodes_that_changed_and_not_all(counted: tuple[Engine, RunFeed, list[Counting]]) -> None:
    engine, feed, readers = counted
    view = RunView(lines=tuple(range(2000, 2040)))
    before = feed.read(view)
    reader = readers[0]
    assert reader.rows_read > 3000
    reader.rows_read = 0
    assert feed.read(view).nodes is before.nodes
    quiet = reader.rows_read
    assert quiet < 500
    engine.writer.update("nodes", {"node_id": 2500}, trained_steps=9, note="look at this")
    engine.writer.flush()
    reader.rows_read = 0
    after = feed.read(view)
    assert [i for i, node in after.nodes.items() if node is not before.nodes[i]] == [2500]
    assert reader.rows_read < quiet + 200
    assert after.nodes.children is before.nodes.children


def test_small_curves_are_read_for_the_lines_on_screen(counted: tuple[Engine, RunFeed, list[Counting]]) -> None:
    _, feed, _ = counted
    first = feed.read(RunView(lines=(10, 11)))
    assert first.sparks.keys() == {10, 11}
    assert len(first.sparks[10]) == 6
    assert feed.read(RunView(lines=(11, 900)), quick=True).sparks.keys() == {10, 11, 900}


async def test_the_tree_of_a_large_run_is_walked_filtered_and_folded(big: Path) -> None:
    from llmzero_tui.screens.run import RunScreen
    from llmzero_tui.widgets.tree import SearchTree

    app = app_on(big)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and app.screen.snapshot, "a snapshot")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        tree = screen.query_one(SearchTree)
        assert len(tree.lines) == 3041
        await pilot.press("G")
        last = tree.lines[-1].node
        await until(pilot, lambda: screen.selected == last, "the last node")
        shown = lambda: screen.snapshot and set(tree.on_screen) <= screen.snapshot.sparks.keys()  # noqa: E731
        await until(pilot, shown, "the small curves of the last lines")
        await pilot.press("home", "l")
        assert tree.cursor == tree.lines[1].node
        below = screen.snapshot.nodes.below(tree.cursor) if screen.snapshot else 0
        await pilot.press("h")
        assert len(tree.lines) == 3041 - below
        await pilot.press("l")
        assert len(tree.lines) == 3041
        await pilot.press("slash", *"nan")
        await until(pilot, lambda: len(tree.lines) < 1000, "the filtered tree")
        await pilot.press("escape")
        await until(pilot, lambda: len(tree.lines) == 3041, "the whole tree")


def test_lines_are_those_of_the_tree_from_the_root_down(run: Path) -> None:
    nodes = RunFeed(run, lambda: NOW).read(RunView()).nodes
    lines = lines_of(nodes, frozenset())
    assert len({line.node for line in lines}) == len(nodes)
    for line in lines:
        assert len(line.guide) == 2 * nodes.depth(line.node)
    assert [line.node for line in lines_of(nodes, {0})] == [0]
    assert [line.node for line in lines_of(nodes, frozenset(), matching(nodes, "nan"))] == [0, 4, 8]
    assert nodes.below(0) == len(nodes) - 1


def test_a_deep_guide_gives_way_from_the_left() -> None:
    assert shortened("│ │ └ ", 6) == "│ │ └ "
    assert shortened("│ │   │ └ ", 6) == "… │ └ "


def test_a_generated_run_says_so(big: Path) -> None:
    snapshot = RunFeed(big, lambda: NOW).read(RunView())
    assert snapshot.run.name == "generated-tree"
    assert "nothing was trained" in snapshot.run.reason
    assert "$1" in load("ui_nodes")

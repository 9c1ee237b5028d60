"""The feed of the samples, over the file and the live socket: filters, order, search and pages are the database's."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from rich.console import Console

from llmzero_tui.styles.themes import palette
from llmzero_tui.values.samples import PAGE, SamplesView
from llmzero_tui.widgets.appearance import Appearance
from llmzero_tui.widgets.sample_texts import reading
from tests.tui.live_engine import RUNNING, Engine, live
from tests.tui.sample_run import PROMPTS
from tests.tui.sample_words import FIXED
from tests.tui.test_samples_screen import complete, feed_of


def test_the_file_and_the_live_socket_say_the_same(run: Path) -> None:
    at_rest = feed_of(run).read(SamplesView(5))
    with live(run):
        alive = feed_of(run).read(SamplesView(5))
    assert (alive.counts, alive.lines, alive.full) == (at_rest.counts, at_rest.lines, at_rest.full)
    assert alive.run.live
    assert not at_rest.run.live


def test_verdicts_are_counted_and_filtered(run: Path) -> None:
    feed = feed_of(run)
    counts = feed.read(SamplesView(5)).counts
    assert counts.all == counts.right + counts.wrong
    for verdict in ("right", "wrong", "cut"):
        found = feed.read(SamplesView(5, verdict=verdict))
        assert len(found.lines) == found.found == counts.of(verdict) > 0
        checks = {"right": lambda f: f.correct, "wrong": lambda f: not f.correct, "cut": lambda f: f.truncated}
        assert all(map(checks[verdict], found.lines))


def test_orders_are_by_step_and_by_reward(run: Path) -> None:
    feed = feed_of(run)
    order = {name: feed.read(SamplesView(5, order=name)).lines for name in ("newest", "oldest", "best", "worst")}
    assert [f.step for f in order["newest"]] == sorted((f.step for f in order["newest"]), reverse=True)
    assert [f.step for f in order["oldest"]] == sorted(f.step for f in order["oldest"])
    assert [f.reward for f in order["best"]] == sorted((f.reward for f in order["best"]), reverse=True)
    assert [f.reward for f in order["worst"]] == sorted(f.reward for f in order["worst"])
    assert len({frozenset(f.seq for f in lines) for lines in order.values()}) == 1


def test_a_step_a_split_and_its_neighbours(run: Path) -> None:
    feed = feed_of(run)
    one = feed.read(SamplesView(5, step=25, split="validation"))
    assert {(f.step, f.split) for f in one.lines} == {(25, "validation")}
    assert len(one.lines) == len(FIXED)
    assert (one.counts.before, one.counts.after) == (None, 50)
    everything = feed.read(SamplesView(5))
    assert (everything.counts.before, everything.counts.after) == (50, 25)


@pytest.mark.parametrize("text", ["%", "_", "\\", "100%_\\", "'; DROP TABLE completions; --", "[b]", "\x1b[31m", "$1"])
def test_a_searched_text_is_only_text(run: Path, engine: Engine, text: str) -> None:
    complete(engine, [(31, "nothing here", 0.0), (31, f"so {text} it is", 1.0)])
    found = feed_of(run).read(SamplesView(RUNNING, text=text, step=31))
    assert [f.completion for f in found.lines] == [f"so {text} it is"]


def test_a_search_looks_at_prompts_too_whatever_the_case(run: Path) -> None:
    found = feed_of(run).read(SamplesView(5, text="k a:a=b b:c>a"))
    assert found.found == found.counts.all == 2
    assert {f.prompt for f in found.lines} == {PROMPTS[1][0]}


def test_pages_are_the_databases(run: Path, engine: Engine) -> None:
    complete(engine, ((100 + i, f"text {i}", i / 1000) for i in range(2 * PAGE + 7)))
    feed = feed_of(run)
    first = feed.read(SamplesView(RUNNING, split="train", text="text "))
    assert (first.found, first.pages, len(first.lines)) == (2 * PAGE + 7, 3, PAGE)
    last = feed.read(SamplesView(RUNNING, split="train", text="text ", page=2))
    assert [f.completion for f in last.lines] == [f"text {i}" for i in range(6, -1, -1)]


def test_a_look_at_the_same_reads_no_list_again_until_there_is_a_new_one(run: Path, engine: Engine) -> None:
    feed = feed_of(run)
    before = feed.read(SamplesView(RUNNING))
    again = feed.read(SamplesView(RUNNING))
    assert again.lines is before.lines
    assert feed.read(SamplesView(RUNNING, chosen=before.lines[2].seq)).lines is before.lines
    complete(engine, [(31, "the newest", 1.0)])
    assert feed.read(SamplesView(RUNNING)).lines[0].completion == "the newest"


@pytest.mark.parametrize("components", [None, "", "not json", "[1]", '{"a": "x", "b": null, "c": true}'])
def test_components_may_be_missing_or_strange(run: Path, engine: Engine, components: str | None) -> None:
    engine.writer.insert(
        "completions", node_id=RUNNING, step=99, prompt="p", completion="c", answer="", reward=0.5, correct=False,
        truncated=False, components=components, split=None,
    )  # fmt: skip
    engine.writer.flush()
    full = feed_of(run).read(SamplesView(RUNNING, step=99)).full
    assert full is not None
    assert full.components == ()
    assert full.split == "train"


def test_what_the_model_read_is_shown_below_the_completion(run: Path, engine: Engine) -> None:
    engine.writer.insert(
        "completions", node_id=RUNNING, step=99, prompt="2+2=", completion="4", answer="4", reward=1.0, correct=True,
        truncated=False, components=None, split=None, model_prompt="<|user|>2+2=<|model|>",
    )  # fmt: skip
    engine.writer.flush()
    full = feed_of(run).read(SamplesView(RUNNING, step=99)).full
    assert full is not None
    assert (full.prompt, full.model_prompt) == ("2+2=", "<|user|>2+2=<|model|>")
    console = Console(width=100)
    with console.capture() as capture:
        console.print(reading(full, Appearance(palette("llmzero-dark")), (), "", 100))
    text = capture.get()
    assert (
        text.index("expected answer") < text.index("prompt as the model reads it") < text.index("<|user|>2+2=<|model|>")
    )


def test_a_fixed_prompt_was_answered_at_every_checkpoint(run: Path) -> None:
    feed = feed_of(run)
    mine = feed.read(SamplesView(5, split="validation", step=50)).full
    assert mine is not None
    found = feed.read(SamplesView(5, comparing=True, chosen=mine.seq))
    places = [(f.node, f.step) for f in found.lines]
    assert (0, 0) in places
    assert (5, 25) in places
    assert (5, 50) not in places
    assert found.other is not None
    assert (found.other.node, found.other.step, found.other.prompt) == (5, 25, mine.prompt)
    only = feed.read(SamplesView(5, comparing=True, chosen=mine.seq, other_node=0))
    assert [(f.node, f.step) for f in only.lines] == [(0, 0)]


def test_a_run_of_the_first_schema_has_samples_too(run: Path) -> None:
    with duckdb.connect(str(run / "run.duckdb")) as con:
        con.execute("DELETE FROM completions WHERE split = 'validation'")
        for column in ("components", "split", "model_prompt"):
            con.execute(f"ALTER TABLE completions DROP COLUMN {column}")
        con.execute("ALTER TABLE nodes DROP COLUMN note")
        con.execute("ALTER TABLE runs DROP COLUMN budget")
        con.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")
    snapshot = feed_of(run).read(SamplesView(5))
    assert {f.split for f in snapshot.lines} == {"train"}
    assert snapshot.full is not None
    assert snapshot.full.components == ()
    assert not feed_of(run).read(SamplesView(5, split="validation")).lines


def test_the_first_node_with_completions_is_the_default_and_its_neighbours_are_known(run: Path) -> None:
    place = feed_of(run).read(SamplesView()).place
    assert place is not None
    assert (place.node, place.before, place.after[:3]) == (0, (), (1, 2, 3))
    lacking = feed_of(run).read(SamplesView(15)).place
    assert lacking is not None
    assert (lacking.samples, lacking.before[-1], lacking.after) == (0, 14, ())

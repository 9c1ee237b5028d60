"""A run whose directory was renamed between two engines: it goes on under the new name, and no row stays behind."""

from __future__ import annotations

from pathlib import Path

from engine.advisors.factory import make
from engine.run.config import parse
from engine.store.reader import open_run
from tests.engine.simulated import SimulatedExecutor, search

RUN = """
name = "before"
[task]
name = "knights"
[budget]
steps = 0
nodes = {nodes}
[search]
segment_steps = 6
[evaluation]
validation_prompts = 64
"""


def test_a_renamed_run_goes_on_and_everything_about_it_is_updated(tmp_path: Path) -> None:
    rules = make("rules", host="", model="", timeout=1)
    first, old = search(parse(RUN.format(nodes=2)), tmp_path / "before", SimulatedExecutor(0.05), rules)
    old.config.write_text("# mine\n" + RUN.format(nodes=6), encoding="utf-8")
    old.path.rename(tmp_path / "after")
    second, new = search(parse(RUN.format(nodes=6)), tmp_path / "after", SimulatedExecutor(0.05), rules)
    assert (first, second) == ("finished", "finished")
    reader = open_run(new.path)
    [run] = reader.rows(
        "SELECT name, config ->> 'name' AS configured, state, ended, best_node, budget ->> 'nodes' AS nodes FROM runs"
    )
    trained = reader.rows("SELECT max(node_id) AS last, max(ended) AS ended FROM nodes WHERE state = 'finished'")[0]
    told = reader.rows("SELECT message FROM events WHERE kind = 'renamed'")
    winner = reader.rows("SELECT node_id FROM events WHERE kind = 'winner' ORDER BY seq DESC LIMIT 1")[0]
    reader.close()
    assert trained["last"] >= 6
    assert (run["name"], run["configured"], run["state"], run["nodes"]) == ("after", "after", "finished", "6")
    assert run["ended"] > trained["ended"]
    assert run["best_node"] == winner["node_id"]
    assert new.config.read_text(encoding="utf-8") == "# mine\n" + RUN.format(nodes=6).replace("before", "after")
    assert told == [{"message": "renamed from before to after"}]

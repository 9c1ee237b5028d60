"""A plan that cannot run is one line, whatever `llmzero compare` is asked for: its cells, its tables or its runs."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from engine.compare import plan_check
from engine.compare.plan import cells, load
from engine.errors import UserError
from llmzero_tui import cli
from tests.unit.cli_process import called
from tests.unit.test_compare_plan import PLAN

REFUSED = [
    ('"ladder", "chain"', '"ladder", "chain", "chian"', "chian/ours/1: task 'chian' is unknown; nearest:"),
    ('"continue"', '"continu"', "ladder/continue/1: search.strategy = 'continu': must be 'llmzero'"),
    ("steps = 60", "stepz = 60", "ladder/ours/1: unknown key budget.stepz; did you mean steps?"),
    ("steps = 60", "steps = -60", "ladder/ours/1: budget.steps = -60: must be a whole number from 0 to 1000000000"),
    ("steps = 60", "minutes = nan", "ladder/ours/1: budget.minutes = nan: must be a finite number from 0 to"),
    ("steps = 60", 'steps = "60"', "ladder/ours/1: budget.steps = '60': must be a whole number from 0 to 1000000000"),
    ("steps = 60", "steps = 19", "ladder/ours/1: budget.steps: 19 steps: less than one segment of 50"),
    ("steps = 60", "steps = 1979-05-27", "ladder/ours/1: budget.steps = '1979-05-27': must be a whole number"),
    ("constants = 2", "constants = 0", "ladder/continue/1: search: settings of continue: constants = 0: must be"),
    ("constants = 2", "constant = 2", "unknown key constant; did you mean constants?"),
    ("run.search.comparator", "run.space.beta.low", "ladder/bare/1: space: [space.beta] low = 'off'"),
    ("[run.budget]", "[run.space.betta]\nlow = 0.1\n[run.budget]", "ladder/ours/1: space: [space.betta]"),
    ("seeds = [1, 2]", "seeds = [1, -1]", "plan.toml: seeds.1 = -1: must be at least 0"),
    ("seeds = [1, 2]", "seeds = [1, true]", "plan.toml: seeds.1 = true: must be a whole number"),
    ("seeds = [1, 2]", 'seeds = [1, "2"]', "plan.toml: seeds.1 = '2': must be a whole number"),
    ("seeds = [1, 2]", "seeds = [1, 2, 1]", "plan.toml: seeds has 1 twice; each cell is run once"),
    ("seeds = [1, 2]", "seeds = [1, 10000]\nreplays = 1", "replays = 1 needs seeds below 10000"),
    ("seeds = [1, 2]", 'seeds = [1, 2]\nreplays = "2"', "replays = '2': must be a whole number from 0 to 100"),
    ("seeds = [1]\n", "seeds = []\n", "strategies.bare.seeds = []: must be a list of at least 1 entry"),
    ('"ladder", "chain"', '"ladder", "chain", "ladder"', "tasks has 'ladder' twice; each cell is run once"),
    ("seeds = [1]\n", "against = 3\n", "strategies.bare.against = 3: must be a text or a list\n"),
    ("seeds = [1]\n", 'against = "bare"\n', "[strategies.bare] against = 'bare': is the strategy itself"),
    ("seeds = [1]\n", 'against = "bear"\n', "[strategies.bare] against = 'bear', which is no strategy of the plan"),
    ("seeds = [1]\n", 'against = ["bear"]\n', "[strategies.bare] against = 'bear', which is no strategy of the plan"),
    ("[run.budget]", '[run.task]\nname = "chain"\n[run.budget]', "[run] task.name: a plan sets it itself; `tasks`"),
    ("[run.budget]", '[run]\ntask = "chain"\n[run.budget]', "[run] task.name: a plan sets it itself"),
    ("[run.budget]", '[run]\nname = "mine"\n[run.budget]', "[run] name: a plan sets it itself"),
    ("[run.budget]", '[run.gate]\nmode = "manual"\n[run.budget]', "[run] gate: a plan sets it itself; nobody waits"),
    ('"small"', '"a-name-of-thirty-characters-ab"', "letter or a digit, at most 24\n"),
    ('"small"', '"_small"', "name = '_small': letters, digits, '.', '_' and '-' are allowed, the first a letter"),
    ("[run.budget]", "[run.search]\nseed = 3\n[run.budget]", "[run] search.seed: a plan sets it itself; `seeds`"),
    ("segment_steps = 20", 'strategy = "fixed"', "[task.chain] search.strategy: a plan sets it itself"),
    ('run.search.comparator = "off"', "run.search.seed = 3", "[strategies.bare.run] search.seed: a plan sets it"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "old", "new", "line"),
    [("--list", *case) for case in REFUSED]
    + [(asked, *case) for asked in ("--report", "--screen", "--json") for case in REFUSED[:4]],
)
def test_a_plan_that_cannot_run_is_refused_in_one_line(
    tmp_path: Path, asked: str, old: str, new: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in PLAN
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.replace(old, new, 1))
    with patch("llmzero_tui.commands.compare.is_terminal", return_value=True):
        code = cli.main(["compare", str(path), asked, "--runs-dir", str(tmp_path / "runs")])
    said = capsys.readouterr()
    assert (code, said.out, len(said.err.splitlines())) == (2, "", 1), said.err
    assert line in said.err
    assert [each.name for each in tmp_path.iterdir()] == ["plan.toml"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--list", "--only", "bare", "--only", "beer", "--only", "3"], "no cell is named beer, 3; --list shows"),
        (["--list", "--results", "plan.toml"], "--results plan.toml: is the plan, which would be overwritten"),
        (["--to", "PAGE.md", "--results", "PAGE.csv"], "--to PAGE.csv: is the file of results, which would be"),
        (["--to", "PAGE.md", "--results", "PAGE.md"], "--to PAGE.md: is the file of results, which would be"),
    ],
)
def test_no_file_of_a_comparison_is_written_over_another(
    tmp_path: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plan.toml").write_text(PLAN, encoding="utf-8")
    assert cli.main(["compare", "plan.toml", *words]) == 2
    assert line in capsys.readouterr().err
    assert Path("plan.toml").read_text(encoding="utf-8") == PLAN


def test_what_one_strategy_needs_is_looked_at_before_anything_runs(tmp_path: Path) -> None:
    path = tmp_path / "plan.toml"
    path.write_text(PLAN.replace('"continue"\nsettings = { constants = 2 }', '"tpe"'))
    with (
        patch("engine.run.strategies.importlib.util.find_spec", return_value=None),
        pytest.raises(UserError, match=r"^ladder/continue/1: search\.strategy = 'tpe' needs optuna"),
    ):
        plan_check.check_runs(list(cells(load(path))), tmp_path / "runs")


def test_a_report_executes_no_code_of_the_users_and_the_list_of_cells_does(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("raise RuntimeError('executed')\n")
    (tmp_path / "plan.toml").write_text(
        'tasks = ["mine.py:Mine"]\nseeds = [1]\n[strategies.fixed]\nstrategy = "fixed"\n'
    )
    report = called("compare", "plan.toml", "--report", cwd=tmp_path)
    assert (report.returncode, "nothing measured yet" in report.stdout) == (0, True), report.stderr
    listed = called("compare", "plan.toml", "--list", cwd=tmp_path)
    assert (listed.returncode, listed.stdout) == (2, "")
    assert "mine.py:Mine/fixed/1: " in listed.stderr
    assert "executed" in listed.stderr


@pytest.mark.parametrize("command", ["compare", "replay"])
def test_a_priority_that_does_not_exist_is_refused(tmp_path: Path, command: str) -> None:
    done = called(command, "x.toml", "--nice", "99", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--nice: '99' must be a whole number, 0 to 19" in done.stderr


@pytest.mark.parametrize("plan", sorted((Path(__file__).parents[2] / "benchmarks" / "evidence").glob("*.toml")))
def test_the_evidence_plans_can_run(plan: Path) -> None:
    plan_check.check_settings(list(cells(load(plan))), run_code=False)

"""A user's task and reward files as the command line runs them: what they print, exit with, import and return."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from engine import own_packages
from tasks import registry, user_code
from tasks.base import Item, Split, TaskError
from tasks.user_code import time_limit
from tasks.verdicts import plain_number, verdicts
from tests.unit.cli_process import RUN_FILE, environment, llmzero

REWARD = "def reward(completion, row):\n    return completion == row['answer']\n"
JUNK = "junk of some length"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with rows that the tiny base of dedup can read, and a run file for them; the working directory."""
    words = ["".join("abcdefghij"[(n // 10**k) % 10] for k in range(4)) for n in range(400)]
    rows = [json.dumps({"prompt": f"D {word}=", "answer": "".join(sorted(set(word)))}) for word in words]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows))
    text = RUN_FILE.replace('"knights"', '"rows.jsonl:reward.py:reward"')
    base = Path(registry.__file__).parents[1] / "assets" / "tiny" / "dedup"
    (tmp_path / "run.toml").write_text(f'{text}\n[model]\npath = "{base}"\n[advisor]\nkind = "rules"\n')
    write(tmp_path, REWARD)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(project: Path, source: str, name: str = "reward.py") -> None:
    path = project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    head = "" if "MAX_COMPLETION_LENGTH" in source else "MAX_COMPLETION_LENGTH = 22\n"
    path.write_text(head + source)


def said(source: str, completion: str = JUNK, project: Path | None = None) -> str:
    """What is wrong with a completion by a reward file; "" when it is scored."""
    write(project or Path.cwd(), source)
    task = registry.get("rows.jsonl:reward.py:reward")
    [verdict] = verdicts(task, [completion], task.items(Split.TRAIN, 1))
    return str(verdict) if isinstance(verdict, TaskError) else ""


# ---- packages with our names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["tasks.py", "engine.py", "tasks/__init__.py", "tasks/base.py"])
def test_a_module_with_our_name_on_the_path_or_in_the_working_directory_breaks_nothing(
    project: Path, name: str
) -> None:
    write(project / "other", "raise RuntimeError('this was not asked for')\n", name)
    done = llmzero("check", "run.toml", cwd=project, PYTHONPATH=str(project / "other"))
    assert done.returncode == 0, done.stderr
    (project / "other").rename(project / "beside")
    for each in (project / "beside").iterdir():
        each.rename(project / each.name)
    done = llmzero("check", "run.toml", cwd=project, PYTHONPATH=str(project))
    assert done.returncode == 0, done.stderr


def test_the_engine_and_its_workers_are_ours_whatever_is_on_the_path(project: Path) -> None:
    import subprocess

    write(project, "raise RuntimeError('this was not asked for')\n", "engine.py")
    write(project, "raise RuntimeError('this was not asked for')\n", "tasks.py")
    for module in ("engine.run.daemon", "engine.training.worker"):
        done = subprocess.run(
            [*own_packages.command(module), "--help"], cwd=project, env={**os.environ, "PYTHONPATH": str(project)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "usage" in done.stdout


@pytest.mark.parametrize("where", ["tasks", "../tasks", "lib/tasks"])
def test_a_users_own_package_tasks_is_theirs_and_our_base_stays_ours(
    project: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the file, beside the run file above it, and on PYTHONPATH."""
    (project / "rewards").mkdir()
    monkeypatch.setattr(sys, "path", [*sys.path, str(project / "lib")])
    write(project / "rewards" / where, "from tasks.more import Y\n", "mine.py")
    write(project / "rewards" / where, "Y = 3\n", "more.py")
    if where == "lib/tasks":
        (project / "rewards" / "lib").rename(project / "lib")
    write(
        project,
        "from tasks.mine import Y\nfrom tasks.base import Item\nimport importlib\n"
        "def reward(completion, row):\n"
        "    return Y == importlib.import_module('tasks.more').Y == 3 and Item is not None",
        "rewards/reward.py",
    )
    task = registry.get("rows.jsonl:rewards/reward.py:reward")
    item = task.items(Split.TRAIN, 1)[0]
    assert isinstance(item, Item)
    assert task.score("", item).correct
    import tasks.base

    assert sys.modules["tasks"].__file__ == str(own_packages.ROOT / "tasks" / "__init__.py")
    assert tasks.base.Item is Item
    assert "tasks.mine" not in sys.modules


IN_AN_EDITABLE_INSTALL = """
import sys
from pathlib import Path
from engine import own_packages
from tasks import registry, user_code
sys.path[:] = [each for each in sys.path if Path(each or ".").resolve() != own_packages.ROOT]
before = {name: each for name, each in sys.modules.items() if name.partition(".")[0] in user_code.OURS}
registry.get(sys.argv[1])
assert "colorsys" in sys.modules
lost = [name for name, each in before.items() if sys.modules.get(name) is not each]
sys.exit(f"taken away: {lost}" if lost else 0)
"""


def test_our_modules_are_not_the_users_in_a_working_directory_that_holds_an_editable_install(project: Path) -> None:
    """Such an install stands on no sys.path, so our packages are found where the user's imports are looked for."""
    write(project, f"import colorsys\n{REWARD}")
    done = subprocess.run(
        [sys.executable, "-c", IN_AN_EDITABLE_INSTALL, f"{project}/rows.jsonl:{project}/reward.py:reward"],
        cwd=own_packages.ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_class_of_a_users_file_subclasses_our_task_beside_a_package_of_their_own(project: Path) -> None:
    write(project / "tasks", "WORD = 'abc'\n", "words.py")
    write(
        project,
        "from tasks.base import Item, Reward, Task\nfrom tasks.words import WORD\n"
        "class Mine(Task):\n    name = summary = 'mine'\n    max_completion_length = 4\n"
        "    def generate(self, rng):\n        return Item(f'{WORD}{rng.random()}', '1')\n"
        "    def score(self, completion, item):\n        return Reward(False, 0.0)\n",
        "tasks/mine.py",
    )
    assert registry.get("tasks/mine.py:Mine").items(Split.TEST, 1)[0].prompt.startswith("abc")


def test_a_base_of_their_own_that_hides_ours_is_named(project: Path) -> None:
    write(project / "tasks", "class Task:\n    pass\n", "base.py")
    write(project, "from tasks.base import Task\nclass Mine(Task):\n    pass\n", "mine.py")
    with pytest.raises(
        TaskError, match=r"not a subclass of tasks.base.Task; your own package `tasks` has a tasks.base"
    ):
        registry.get("mine.py:Mine")


def test_what_lies_beside_the_file_is_importable_and_hides_no_library(project: Path) -> None:
    write(project, "raise RuntimeError('not this one')\n", "json.py")
    write(project, "def same(a, b):\n    return a == b\n", "helpers.py")
    for line in ("from helpers import same", "from .helpers import same"):
        body = "    import helpers\n    return same(completion, row['answer'])\n"
        source = f"import json\n{line}\ndef reward(completion, row):\n{body}"
        assert said(source) == ""
    assert "helpers" not in sys.modules


# ---- stdout, exits, hangs ------------------------------------------------------------------------------------------

PRINTS = """
import ctypes, os
print("loading the grader")
def reward(completion, row):
    print("scored")
    os.write(1, b"straight to the descriptor\\n")
    ctypes.CDLL(None).puts(b"by C")
    return completion == row["answer"]
"""


def test_what_a_file_prints_never_stands_in_the_data(project: Path) -> None:
    write(project, PRINTS)
    done = llmzero("check", "run.toml", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    for line in ("loading the grader", "scored", "straight to the descriptor", "by C"):
        assert line in done.stderr
    assert json.loads(llmzero("tasks", "rows.jsonl:reward.py:reward", "--json", cwd=project).stdout)


def test_what_a_file_closes_changes_or_forks_is_its_own(project: Path) -> None:
    fork = "def reward(completion, row):\n    if os.fork() == 0:\n        sys.exit()\n    os.wait()\n"
    code = f"import os, sys, signal\nsys.stdout.close()\nsys.stderr.close()\nos.chdir('/')\n{fork}"
    write(project, f"{code}    print('after')\n    return completion == row['answer']\n")
    done = llmzero("check", "run.toml", "--json", cwd=project)
    assert done.returncode == 0, done.stderr
    assert "after" in done.stderr
    left = "import os, time\nif os.fork() == 0:\n    time.sleep(60)\n    os._exit(0)\nos._exit(4)\n"
    write(project, left + REWARD)
    said = project / "said"
    with said.open("w") as file:  # no pipe, which the child of the code would keep open
        command = [sys.executable, "-m", "llmzero_tui", "check", "run.toml"]
        subprocess.run(command, cwd=project, env=environment(), stdout=file, stderr=file, timeout=50, check=False)
    assert "its code ends the process that runs it (exit status 4)" in said.read_text()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import argparse\np = argparse.ArgumentParser()\np.add_argument('x')\np.parse_args()\n" + REWARD,
         ["reward.py", "calls sys.exit(2)", "__main__"]),
        ("import sys\nsys.exit('no data')\n" + REWARD, ["reward.py", "calls sys.exit('no data')"]),
        ("import sys\ndef reward(completion, row):\n    sys.exit('cannot parse')\n",
         ["calls sys.exit('cannot parse')", "of rows.jsonl"]),
        ("def reward(completion, row):\n    return None\n", ["line ", "returned None", "True, False"]),
    ],
)  # fmt: skip
def test_an_exit_or_a_missing_result_is_named_as_what_it_is(project: Path, source: str, words: list[str]) -> None:
    write(project, source)
    done = llmzero("check", "run.toml", cwd=project)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr.splitlines()[-1]


@pytest.mark.usefixtures("project")
def test_options_read_at_import_see_none_of_ours() -> None:
    assert said("import argparse\nA = argparse.ArgumentParser().parse_args()\n" + REWARD) == ""


@pytest.mark.usefixtures("project")
def test_a_file_that_reads_its_input_or_hangs_does_not_stop_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "EOFError" in said("def reward(completion, row):\n    return input()\n")
    monkeypatch.setattr(user_code, "IMPORT_SECONDS", 0.1)
    with pytest.raises(TaskError, match=r"reward.py' is executed: it takes longer than 0.1 s"):
        said("while True:\n    try:\n        pass\n    except Exception:\n        pass\n")


def test_a_limit_is_lifted_when_the_work_is_done() -> None:
    with time_limit(0.05, "one"):
        pass
    with pytest.raises(TaskError, match="two: it takes longer"):
        endless()


@time_limit(0.05, "two")
def endless() -> None:
    while True:
        pass


CTRL_C = "import os, signal\ndef reward(completion, row):\n    os.kill(os.getpid(), signal.SIGINT)\n    return 1\n"


@pytest.mark.parametrize("source", [CTRL_C, f"{CTRL_C}reward('', {{}})\n"], ids=["in a call", "at the import"])
def test_ctrl_c_stays_ctrl_c(source: str, project: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has none
    try:
        with pytest.raises(KeyboardInterrupt):
            said(source, project=project)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


RAISED = ["KeyboardInterrupt", "KeyboardInterrupt('stop')", "GeneratorExit", "asyncio.CancelledError", "Own('bad')"]
HEAD = "import asyncio\nclass Own(BaseException):\n    pass\n"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("raised", RAISED)
def test_what_the_code_raises_past_except_exception_is_named_as_the_codes(raised: str) -> None:
    name = raised.split(".")[-1].replace("('", ": ").replace("')", "")
    error = said(f"{HEAD}def reward(completion, row):\n    raise {raised}\n")
    assert f"task rows: it raises {name}; item " in error
    with pytest.raises(TaskError, match=rf"reward.py': it raises {name}$"):
        said(f"{HEAD}raise {raised}\n{REWARD}")


# ---- results -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("True", ""), ("0.5", ""), ("np.float32(1)", ""), ("np.bool_(True)", ""), ("np.array([1.0])", ""),
        ("np.int64(1)", ""), ("Fraction(1, 2)", ""), ("Decimal('0.5')", ""),
        ("None", "returned None, not a finite number"), ("float('nan')", "returned nan"), ("'1'", "returned '1'"),
        ("np.float32('inf')", "inf"), ("np.zeros(3)", "not one number"), ("[1.0]", "returned [1.0]"),
        ("{'score': 1}", "returned {'score': 1}"), ("10**400", "returned a int"),
    ],
)  # fmt: skip
def test_numbers_of_any_library_are_taken_and_nothing_else(expression: str, message: str) -> None:
    head = "import numpy as np\nfrom decimal import Decimal\nfrom fractions import Fraction\n"
    error = said(f"{head}def reward(completion, row):\n    return {expression}\n")
    assert message in error
    assert bool(message) == bool(error)


def test_scalars_of_torch_are_numbers() -> None:
    import torch

    assert plain_number(torch.tensor(1.0)) == 1.0
    assert plain_number(torch.tensor([0.5], requires_grad=True)) == 0.5
    with pytest.raises(TaskError, match="not one number"):
        plain_number(torch.zeros(100))


TRL = [
    "def reward(completions, **kwargs):\n    return [float(c == a) for c, a in zip(completions, kwargs['answer'])]",
    "def reward(prompts, completions, completion_ids, answer, **kw):\n"
    "    return [float(c == a) for c, a in zip(completions, answer)]",
    "import numpy as np\ndef reward(completions, answer):\n"
    "    return np.array([c == a for c, a in zip(completions, answer)])",
    "async def reward(completions, answer, trainer_state, log_metric, **kw):\n"
    "    log_metric('x', 1)\n    return [float(c == a) for c, a in zip(completions, answer)]",
    "class R:\n    def __call__(self, completions, answer, **kw):\n"
    "        return [c == a for c, a in zip(completions, answer)]\n"
    "reward = R()",
]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("source", TRL)
def test_reward_functions_of_trl_are_taken_as_they_are(source: str, project: Path) -> None:
    write(project, source)
    task = registry.get("rows.jsonl:reward.py:reward")
    items = task.items(Split.TRAIN, 3)
    rewards = task.score_batch([items[0].answer, "", items[2].answer], items, [[1], [], [2]])
    assert [reward.correct for reward in rewards] == [True, False, True]


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def reward(completions, **kw):\n    return 1.0", "returned 1.0, not a list"),
        ("def reward(completions, **kw):\n    return [1.0] * 7", "returned 7 rewards for 1"),
        ("def reward(completions, **kw):\n    return [None for _ in completions]", "returned None"),
        ("def reward(completions, ground_truth):\n    return [1.0]", "needs 'ground_truth', which is no column"),
        ("def reward(completion, **kw):\n    return 1.0", "cannot be called; write reward(completion, row), or TRL's"),
        ("def reward(data_source, solution_str, ground_truth):\n    return 1.0", "cannot be called; write"),
        ("class reward:\n    def __init__(self, a, b):\n        pass", "is a class, not a function"),
    ],
)
def test_a_reward_function_of_another_kind_is_refused_with_what_is_allowed(source: str, message: str) -> None:
    try:
        error = said(source)
    except TaskError as refused:
        error = str(refused)
    assert message in error
    assert "\n" not in error


@pytest.mark.usefixtures("project")
def test_one_bad_completion_of_a_batch_does_not_take_the_others_with_it(project: Path) -> None:
    write(project, "def reward(completion, row):\n    return len(completion) / (len(completion) - 3)\n")
    task = registry.get("rows.jsonl:reward.py:reward")
    first, bad, last = verdicts(task, ["a" * 6, "aaa", "a" * 6], task.items(Split.TRAIN, 3))
    assert isinstance(bad, TaskError)
    assert "ZeroDivisionError" in str(bad)
    assert not isinstance(first, TaskError)
    assert not isinstance(last, TaskError)
    assert first.total == last.total == 2.0

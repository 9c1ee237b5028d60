"""A search that gains on a pretrained model: SmolLM2-135M-Instruct learns to name the largest of four numbers.

Run `python -m benchmarks.real_search --to DIR`: prompts, reward function and run file are written there, and
`llmzero run` searches with an adapter of rank 16. On one quiet CPU core it takes some twenty minutes; docs/lora.md has
what came of it. The base names the number in a sixth of its answers, so there is something to reinforce.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
from pathlib import Path

from benchmarks.pretrained import smollm2
from engine import own_packages

PROMPTS = 4000
REWARD = '''"""The first number of the answer is to be the largest of those asked for."""

import re

MAX_COMPLETION_LENGTH = 8


def reward(completion: str, row: dict) -> float:
    numbers = re.findall(r"\\d+", completion)
    return float(bool(numbers) and numbers[0] == row["answer"])
'''
RUN_FILE = """
name = "largest"
[task]
name = "{folder}/largest.jsonl:{folder}/reward.py:reward"
[model]
path = "{model}"
[budget]
steps = 60
[search]
segment_steps = 15
roots = 1
no_signal = "go-on"
[evaluation]
validation_prompts = 64
rerank_prompts = 64
test_prompts = 256
checkpoints = 1
soup = false
[space.learning_rate]
low = 1e-4
high = 6e-4
default = 2e-4
[space.beta]
fixed = 0.0
[space.max_completion_length]
fixed = 8
[space.num_generations]
fixed = 8
[space.temperature]
fixed = 1.0
[advisor]
kind = "rules"
[training]
batch_size = 16
threads = 1
hang_seconds = 3600
[training.lora]
rank = 16
"""


def rows() -> list[dict[str, object]]:
    """Different quadruples of two-digit numbers, each asked in a chat."""
    rng = random.Random(5)
    asked: dict[tuple[int, ...], None] = {}
    while len(asked) < PROMPTS:
        asked[tuple(rng.sample(range(10, 100), 4))] = None
    system = {"role": "system", "content": "Answer with a number."}
    return [
        {
            "messages": [system, {"role": "user", "content": f"Largest of {', '.join(map(str, numbers))}?"}],
            "answer": str(max(numbers)),
        }
        for numbers in asked
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", type=Path, required=True, help="an empty or new directory for all of it")
    folder = parser.parse_args().to.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows())
    (folder / "largest.jsonl").write_text(lines, encoding="utf-8")
    (folder / "reward.py").write_text(REWARD, encoding="utf-8")
    (folder / "run.toml").write_text(RUN_FILE.format(folder=folder, model=smollm2()), encoding="utf-8")
    command = own_packages.command("llmzero_tui")
    raise SystemExit(
        subprocess.call([*command, "--runs-dir", str(folder / "runs"), "run", str(folder / "run.toml"), "--headless"])
    )


if __name__ == "__main__":
    main()

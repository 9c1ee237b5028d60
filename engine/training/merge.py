"""Writes the merged model of an adapter checkpoint: `python -m engine.training.merge BASE ADAPTER OUT`.

A process of its own for `llmzero export`, which imports no torch. The base's own type is kept (an export in bf16 rounds
the merged weights: docs/lora.md). Exit code 2 and one line on stderr where it cannot be done.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from transformers import AutoConfig

from engine.errors import Fault, UserError
from engine.training import lora, policy


def merge(base: str, adapter: str, output: Path) -> None:
    """Write model, generation config and tokenizer to `output`. Raises UserError or Fault when that cannot be done."""
    dtype = AutoConfig.from_pretrained(policy.located(base)).dtype
    model = lora.merged(base, adapter)
    if dtype is not None:
        model = model.to(dtype)
    model.save_pretrained(output)
    policy.load_tokenizer(adapter).save_pretrained(output)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base")
    parser.add_argument("adapter")
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    try:
        merge(options.base, options.adapter, options.output)
    except (UserError, Fault, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

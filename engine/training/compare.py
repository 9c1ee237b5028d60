"""What loading a model directory would give, `python -m engine.training.compare DIRECTORY`: asked before a run.

The same load that the worker does, by Transformers' own rules for names and shapes, on torch's meta device and from the
headers of the files: no weight is read, no memory is needed. A process of its own, because it imports torch.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.errors import UserError, one_line
from engine.training import policy
from engine.training.fit import misfit
from engine.weight_files import Weights, read_weights


def compare(directory: Path) -> tuple[str, int]:
    """How the weights in a directory and its architecture differ ("" when they fit), and the number of parameters.

    Raises:
        UserError: there is no loadable model, or a token lies outside its embedding.
    """
    weights = read_weights(directory)
    try:
        config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
        with torch.device("meta"):
            wanted = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{directory} cannot be loaded: {one_line(str(error))[:300]}") from error
    model, info = type(wanted).from_pretrained(
        None, config=wanted.config, state_dict=_on_meta(weights), dtype=torch.float32, device_map={"": "meta"},
        output_loading_info=True, ignore_mismatched_sizes=True,
    )  # fmt: skip
    problem = misfit(type(model).__name__, info)
    if not problem:
        policy.check_tokens(model, policy.load_tokenizer(str(directory)), str(directory))
    return problem, wanted.num_parameters()


def _on_meta(weights: Weights) -> dict[str, torch.Tensor]:
    if not weights.pickled:
        return {name: torch.empty(shape, device="meta") for name, shape in weights.shapes.items()}
    tensors: dict[str, torch.Tensor] = {}
    for path in weights.files:
        try:
            tensors |= torch.load(path, map_location="meta", weights_only=True, mmap=True)
        except Exception as error:
            raise UserError(f"{path} cannot be read: {one_line(str(error))[:200]}") from error
    return tensors


def main() -> int:
    """Print the outcome as one JSON object; whatever libraries print goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    try:
        problem, parameters = compare(Path(sys.argv[1]))
    except UserError as mistake:
        problem, parameters = str(mistake), 0
    with out:
        json.dump({"problem": problem, "parameters": parameters}, out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

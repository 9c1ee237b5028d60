"""What loading a model directory would give, `python -m engine.training.compare DIRECTORY`: asked before a run.

The same load that the worker does, by Transformers' own rules for names and shapes, on torch's meta device and from the
headers of the files. What is small is then loaded and asked for logits; of a larger model no weight is read and no
memory is needed. A process of its own, because it imports torch.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from engine.errors import UserError, one_line
from engine.host.weight_files import read_weights
from engine.training import policy
from engine.training.failures import NotFinite
from engine.training.policy import misfit

LOADED_BYTES = 4_000_000_000
"""A model that is larger in float32, or than half of the memory that is free, is not loaded before its run."""


@dataclass(frozen=True, slots=True)
class WeightComparison:
    """How a model directory stands.

    Attributes:
        problem: one line; "" when the weights fit the architecture and, as far as they were read, can be used.
        parameters: number of weights. read: whether the weights themselves were looked at, not only their headers.
    """

    problem: str
    parameters: int = 0
    read: bool = False


def compare(directory: Path) -> WeightComparison:
    """Whether the weights in a directory fit its architecture and can be used.

    Raises:
        UserError: there is no loadable model, or a token lies outside its embedding, or all prompts get one answer.
        NotFinite: a weight or a logit is not finite.
    """
    weights = read_weights(directory)
    try:
        config = AutoConfig.from_pretrained(directory, trust_remote_code=False)
        with torch.device("meta"):
            wanted = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{directory} cannot be loaded: {one_line(str(error))[:300]}") from error
    model, info = type(wanted).from_pretrained(
        None, config=wanted.config, state_dict=policy.on_meta(weights), dtype=torch.float32, device_map={"": "meta"},
        output_loading_info=True, ignore_mismatched_sizes=True,
    )  # fmt: skip
    problem = misfit(type(model).__name__, info)
    parameters = wanted.num_parameters()
    if problem:
        return WeightComparison(problem, parameters)
    policy.check_tokens(model, policy.load_tokenizer(str(directory)), str(directory))
    small = 4 * parameters <= min(LOADED_BYTES, psutil.virtual_memory().available / 2)
    if small:
        policy.check_answers(policy.load_model(str(directory)).eval(), f"model {str(directory)!r}")
    return WeightComparison("", parameters, read=small)


def outcome(directory: Path) -> WeightComparison:
    """The same, with what it raises as the problem."""
    try:
        return compare(directory)
    except (UserError, NotFinite) as mistake:
        return WeightComparison(str(mistake))


def main() -> int:
    """Print the outcome as one JSON object; whatever libraries print goes to stderr."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    found = outcome(Path(sys.argv[1]))
    with out:
        json.dump(asdict(found), out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

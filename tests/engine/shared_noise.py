"""Letters, sampled with noise that belongs to a completion's place in the batch, however many processes share it.

TRL gives every process a random stream of its own, so that two would never write what one writes. Importing this
replaces the draw of a token in the process that trains.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from trl import GRPOTrainer

from engine.testing.letters import Letters

BATCH = 8
_generation, _position = 0, 0
_generate = GRPOTrainer._generate


def _counted(self: Any, *arguments: Any, **named: Any) -> Any:
    global _generation, _position
    _generation, _position = _generation + 1, 0
    return _generate(self, *arguments, **named)


def _drawn(probabilities: torch.Tensor, num_samples: int, **_: Any) -> torch.Tensor:
    global _position
    _position += 1
    noise = torch.Generator().manual_seed(1000 * _generation + _position)
    start = int(os.environ.get("RANK", "0")) * len(probabilities)
    rows = max(BATCH, start + len(probabilities))
    exponential = torch.empty(rows, probabilities.shape[1]).exponential_(generator=noise)
    mine = exponential[start : start + len(probabilities)]
    return (probabilities / mine).argmax(dim=1, keepdim=True)


class SharedNoise(Letters):
    """Letters under the same noise."""


GRPOTrainer._generate = _counted
torch.multinomial = _drawn  # type: ignore[assignment]

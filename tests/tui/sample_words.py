"""What the sample runs' policies answered to the fixed validation prompts, and what advisors were asked and said.

Called by sample_run. Some texts are hostile on purpose, one is a line of a megabyte.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta

FIXED = (
    ("K A:C+ B:B=C C:A->", "--+"),
    ("K A:C- B:A+ C:B=A->", "++-"),
    ("K A:A=B B:C- C:A=C->", "+-+"),
)
"""Validation prompts, with the expected answers; none occurs in training."""
LONG = "x" * 1_000_000
LONG_NODE = 6
"""The node whose last answer is a line of a megabyte."""
MODEL = "qwen3-vl:8b"
ANSWERS = ("+++yyn", "+++yyn;++-nny", "+++yyn;++-nny;+-+#--", "+++yyn;++-nny;+-+#--+")


def answers(add: Callable[..., None], seq: Callable[[], int], node: int, step: int, ts: datetime) -> None:
    """What a checkpoint answered: better from node to node, so that two of them differ."""
    for index, (prompt, answer) in enumerate(FIXED):
        text = ANSWERS[min(len(ANSWERS) - 1, (node + step // 25 + index) // 3)]
        if (node, step, index) == (LONG_NODE, 50, 2):
            text = LONG
        right = text.endswith(answer)
        parts = json.dumps({"answer": float(right), "format": float("#" in text)})
        add("completions", seq(), node, step, prompt, text, answer, 1.0 if right else 0.1 * ("#" in text), right,
            len(text) > 100, ts, parts, "validation")  # fmt: skip


def _request(node: int, images: tuple[str, ...]) -> str:
    """A request as the client logs it."""
    user = f"Segment #{node} has ended.\n\nreward  0.31 → 0.46\nentropy 1.9 → 0.91\n\n" + "step  reward  kl\n" * 40
    said = [
        {"role": "system", "content": "You read training curves of GRPO and name what is wrong, with numbers."},
        {"role": "user", "content": user, "images": [f"<{name}>" for name in images]},
    ]
    form = {"type": "object", "properties": {"rationale": {"type": "string"}, "pathology": {"type": "string"}}}
    return json.dumps({"model": MODEL, "messages": said, "stream": True, "format": form, "options": {"seed": node}})


def calls(add: Callable[..., None], seq: Callable[[], int], start: datetime, hostile: str) -> None:
    """Calls of a model about a few nodes; one stalled, one answered nonsense, one is hostile."""
    told = (
        (5, "analyst", "Entropy fell by half while the reward still climbed: exploration is drying up.", ""),
        (5, "strategist", "", "stall: the answer stopped for 30 s"),
        (5, "strategist", "Raise temperature and the clip range together, so that groups keep differing.", ""),
        (10, "selector", "", "not json: expected an object, got a list"),
        (10, "analyst", hostile, ""),
        (
            10,
            "strategist",
            "#10 is still improving at 0.587 with kl 0.004: halve the learning rate, raise the clip range.",
            "",
        ),
    )
    for index, (node, role, rationale, error) in enumerate(told):
        images = (f"segments/{node}/plots/step50-curves-{node}.png",) if role == "analyst" else ()
        response = json.dumps({"rationale": rationale, "pathology": "entropy collapse"}) if rationale else "[1, 2"
        add("agent_calls", 101 + index, seq(), node, "ollama", role, MODEL, f"{role}/1", _request(node, images),
            response, rationale, json.dumps(images), 1800 + 40 * index, 0 if error else 180 + index,
            5200.0 + 900 * index, error, start + timedelta(seconds=790 + 7 * index))  # fmt: skip

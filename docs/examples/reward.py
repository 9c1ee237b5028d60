"""A reward function for `docs/examples/words.jsonl:docs/examples/reward.py:reward`."""

MAX_COMPLETION_LENGTH = 12  # tokens an evaluation may generate


def reward(completion: str, row: dict) -> bool:
    """True, False, or a number: 1 or more is correct, less is a shaped reward."""
    return completion.strip() == row["answer"]

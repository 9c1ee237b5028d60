"""How answers are taken out of completions of real models: tags, `\\boxed{}`, the last number; nothing is evaluated.

Used by the tasks for data sets and for reasoning_gym. Each function returns None rather than guess between two answers.
"""

from __future__ import annotations

import re

_NUMBER = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?")
LONGEST = 20_000
"""Characters at the end of a completion that are looked at."""


def tagged_answer(completion: str) -> str | None:
    """What stands, stripped, in the only `<answer>…</answer>`, which must end the completion."""
    before, open_tag, rest = completion.partition("<answer>")
    answer, close_tag, after = rest.partition("</answer>")
    if not open_tag or not close_tag or after.strip() or "<answer>" in answer or "</answer>" in before:
        return None
    return answer.strip()


def boxed_answer(completion: str) -> str | None:
    """What stands in the last `\\boxed{…}`, braces balanced; None without one, or when it is left open."""
    text = completion[-LONGEST:]
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 1, start + len("\\boxed{")
    for position in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[begin:position].strip()
    return None


def number_after_marker(completion: str) -> str | None:
    """GSM8K's convention: the number after the only `####`, alone on its line."""
    if completion.count("####") != 1:
        return None
    line = completion.partition("####")[2].strip().removeprefix("$").rstrip(".")
    return line.replace(",", "") if _NUMBER.fullmatch(line) else None

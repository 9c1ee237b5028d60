"""How answers are taken out of completions of real models: tags, `\\boxed{}`, a number after `####` or in bold.

Used by the tasks for data sets and for reasoning_gym, and by reward functions of users. What a model thinks before it
answers is skipped, nothing is evaluated as code, and each function returns None rather than guess between two answers.
"""

from __future__ import annotations

import importlib.util
import re
import threading
from decimal import Decimal

_NUMBER = re.compile(r"-?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,30})(?:\.[0-9]{1,30})?")
_BOLD = re.compile(r"\*\*([^*\n]{1,300})\*\*")
_PHRASE = re.compile(r"\banswer(?:\s+is|\s*[:=])[ \t]*([^\n]{1,300})", re.IGNORECASE)
_LATEX = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\{([^{}]*)\}|\\[%$,;! ]|\\left|\\right|[$*{}]")
_ENDLESS = re.compile(r"\^.*\^|\^\{?[0-9]{3}|[0-9]{30}|!.*!|[0-9]{3}!")
_LONGEST_ANSWER = 300
LONGEST = 20_000
"""Characters at the end of a completion that are looked at."""


def said(completion: str) -> str:
    """What a completion says once the model has thought: what follows the last `</think>`, nothing while it thinks."""
    answer = completion.rpartition("</think>")[2]
    return "" if "<think>" in answer else answer


def tagged_answer(completion: str) -> str | None:
    """What stands, stripped, in the only `<answer>…</answer>`, which must end the completion."""
    before, open_tag, rest = said(completion).partition("<answer>")
    answer, close_tag, after = rest.partition("</answer>")
    if not open_tag or not close_tag or after.strip() or "<answer>" in answer or "</answer>" in before:
        return None
    return answer.strip()


def boxed_answer(completion: str) -> str | None:
    """What stands in the last `\\boxed{…}`, braces balanced; None without one, or when it is left open."""
    text = said(completion)[-LONGEST:]
    start = text.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 1, start + len("\\boxed{")
    for position in range(begin, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return text[begin:position].strip()
    return None


def bold_answer(completion: str) -> str | None:
    """What stands in the last `**…**`."""
    bolds = _BOLD.findall(said(completion)[-LONGEST:])
    return str(bolds[-1]).strip() or None if bolds else None


def number_after_marker(completion: str) -> str | None:
    """GSM8K's convention: the number that begins the line after the only `####`, with its unit or without."""
    text = said(completion)
    if text.count("####") != 1:
        return None
    line = text.partition("####")[2].strip().partition("\n")
    return None if line[2].strip() else _first_number(line[0])


def stated_number(completion: str) -> str | None:
    """The number that a completion ends on, digits only: after the only `####`, else in the last `\\boxed{}`, else the
    only one in the last bold words, else after "the answer is"."""
    if "####" in said(completion):
        return number_after_marker(completion)
    for text in (boxed_answer(completion), bold_answer(completion), _phrase(completion)):
        if text is not None:
            return _only_number(text)
    return None


def is_answer(completion: str, answer: str) -> bool:
    """Whether a completion states this answer: the same number, the same words, or, where math-verify is installed, the
    same mathematics in the last `\\boxed{}` (or bold words where there is none)."""
    wanted = _only_number(answer)
    if wanted is not None:
        number = stated_number(completion)
        if number is not None:
            return Decimal(number) == Decimal(wanted)
    stated = boxed_answer(completion) or tagged_answer(completion) or bold_answer(completion)
    return stated is not None and same_mathematics(stated, answer)


def same_mathematics(answer: str, gold: str) -> bool:
    """Whether two LaTeX answers mean the same: by text, then by math-verify where it is installed, for answers small
    enough to be safe.

    math-verify parses LaTeX by a grammar and does not evaluate it as code. Towers of powers and long numbers, with
    which a simplification may never end, are not given to it; each call has a limit of 3 s besides.
    """
    if "".join(answer.split()) == "".join(gold.split()):
        return bool(answer)
    if not answer or len(answer) > _LONGEST_ANSWER or _ENDLESS.search(answer):
        return False
    if importlib.util.find_spec("math_verify") is None:
        return False
    import math_verify

    limit = 3 if threading.current_thread() is threading.main_thread() else None  # its timer needs the main thread
    right, stated = (
        math_verify.parse(f"\\boxed{{{text}}}", parsing_timeout=limit, raise_on_error=False) for text in (gold, answer)
    )
    return bool(right and stated) and bool(
        math_verify.verify(right, stated, timeout_seconds=limit, raise_on_error=False)
    )


def _phrase(completion: str) -> str | None:
    phrases = _PHRASE.findall(said(completion)[-LONGEST:])
    return str(phrases[-1]) if phrases else None


def _plain(text: str) -> str:
    """A text without the marks that a model puts around a number."""
    for written, meant in (("\\boxed", ""), ("{,}", ","), ("\\,", "")):
        text = text.replace(written, meant)
    return _LATEX.sub(lambda match: match[1] or " ", text).strip()


def _first_number(text: str) -> str | None:
    """The number that a line begins with, where no other follows."""
    plain = _plain(text)
    return _only_number(plain) if _NUMBER.match(plain) else None


def _only_number(text: str) -> str | None:
    """The only number of a text, without its commas."""
    numbers = _NUMBER.findall(_plain(text))
    return str(numbers[0]).replace(",", "") if len(numbers) == 1 else None

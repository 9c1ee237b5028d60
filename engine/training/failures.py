"""Typed ends: which exception of a segment is which `SegmentEnd`, and what its one line says.

Called by the worker when a segment or an evaluation raises. It never decides what happens next; that is the search.
"""

from __future__ import annotations

import traceback

import torch

from engine.errors import Fault, UserError
from engine.training.events import SegmentEnd
from tasks.base import TaskError, TaskNotFound

DETAIL_LENGTH = 600

_OUT_OF_MEMORY = ("can't allocate memory", "cannot allocate memory", "not enough memory", "out of memory")
_VLLM_OUT_OF_MEMORY = (
    "less than desired gpu memory utilization",
    "less than desired cpu memory utilization",
    "less than requested memory for kv",
    "no available memory for the cache blocks",
    "larger than the available kv cache",
    "not enough gpu memory",
)
"""What vLLM says in a ValueError when it finds too little memory."""
_NOT_FINITE = ("probability tensor contains",)
_MISTAKES = (UserError, TaskError, TaskNotFound)


class NotFinite(Fault):
    """A NaN or an infinity in the loss, the gradient or the weights. The message says where and at which step."""


class NotStarted(Fault):
    """What is to generate completions did not start: nothing is known against the segment."""


def is_out_of_memory(error: BaseException) -> bool:
    """True for CUDA's error, Python's own, the RuntimeError of torch's CPU allocator, and the ValueErrors of vLLM."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if isinstance(error, ValueError):
        return any(sign in str(error).lower() for sign in _VLLM_OUT_OF_MEMORY)
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in _OUT_OF_MEMORY)


def end_of(error: BaseException) -> SegmentEnd:
    """The typed end of a segment that raised `error`."""
    if is_out_of_memory(error):
        return SegmentEnd.OUT_OF_MEMORY
    if isinstance(error, NotFinite):
        return SegmentEnd.NAN
    if isinstance(error, RuntimeError) and any(sign in str(error) for sign in _NOT_FINITE):
        return SegmentEnd.NAN
    return SegmentEnd.CRASHED


def is_survivable(error: BaseException) -> bool:
    """True when the process may train on: the fault lay in what was asked, not in the state of the process.

    After an out-of-memory the allocator is fragmented, and after an unknown exception (a CUDA assertion, say) the
    device may be lost, so those processes are replaced.
    """
    return isinstance(error, (*_MISTAKES, NotFinite))


def detail_of(error: BaseException) -> str:
    """One line for the record: our own errors as they are, others with the name of their class."""
    text = " ".join(_encodable(str(error)).split())
    if isinstance(error, RuntimeError) and any(sign in text for sign in _NOT_FINITE):
        text = f"the policy's logits are not finite ({text})"
    if not isinstance(error, (*_MISTAKES, Fault)):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= DETAIL_LENGTH else text[: DETAIL_LENGTH - 1] + "…"


def traceback_of(error: BaseException) -> str:
    """The traceback for the log, its last 20,000 characters."""
    return _encodable("".join(traceback.format_exception(error))[-20_000:])


def _encodable(text: str) -> str:
    """Without lone surrogates, which no JSON line can carry."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")

"""A prompt as a chat: the messages of an item, and what the chat template is asked for.

Shared by the check before a run, which renders templates itself, and by the worker, which has transformers do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engine.errors import UserError
from tasks.base import Item, Task


def chat_of(item: Item, task: Task) -> list[dict[str, str]]:
    """The messages of a prompt; empty for one that is plain text."""
    if item.messages:
        return [dict(each) for each in item.messages]
    return [{"role": "user", "content": item.prompt}] if task.chat else []


def plain_prompt(item: Item, task: Task) -> str:
    """A prompt without a template. Raises UserError for a chat of several messages, which needs one."""
    if len(item.messages) > 1:
        roles = ", ".join(each["role"] for each in item.messages)
        raise UserError(f"task {task.name}: the model has no chat template for {task.where(item)}, a chat of {roles}")
    return item.messages[0]["content"] if item.messages else item.prompt


def continuation(messages: Sequence[Mapping[str, str]]) -> dict[str, bool]:
    """What the policy writes, as TRL has it: an answer, or the rest of the assistant's message that ends a chat."""
    begun = messages[-1]["role"] == "assistant"
    return {"add_generation_prompt": not begun, "continue_final_message": begun}

"""A prompt as a chat: its messages, and what the chat template of the model is asked for.

Shared by the run file, by the check before a run, which renders templates itself, and by the worker, which has
transformers do it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from engine.errors import UserError
from tasks.base import Item, Task


class ChatFormat(BaseModel):
    """How a prompt becomes what the policy reads, in training and in evaluations.

    Attributes:
        chat: whether the model's chat template is applied where it has one.
        system_prompt: content of a system message before every chat that begins with none; "" for none.
        chat_template_kwargs: more variables of the template, such as enable_thinking.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    chat: bool = True
    system_prompt: str = ""
    chat_template_kwargs: dict[str, JsonValue] = Field(default_factory=dict)

    @classmethod
    def of(cls, model: BaseModel) -> ChatFormat:
        """As the table [model] of a run file has it."""
        return cls.model_validate(model.model_dump(include=set(cls.model_fields)))

    def messages(self, item: Item) -> list[dict[str, str]]:
        """The chat of a prompt: its own messages, or a lone user's, after the system prompt."""
        chat = [dict(each) for each in item.messages] or [{"role": "user", "content": item.prompt}]
        if self.system_prompt and chat[0]["role"] not in ("system", "developer"):
            chat.insert(0, {"role": "system", "content": self.system_prompt})
        return chat

    def asked(self, messages: Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """What the template is given beside the messages."""
        return {**self.chat_template_kwargs, **continuation(messages)}


def plain_prompt(item: Item, task: Task) -> str:
    """A prompt without a template. Raises UserError for a chat of several messages, which needs one."""
    if len(item.messages) > 1:
        roles = ", ".join(each["role"] for each in item.messages)
        raise UserError(f"task {task.name}: no chat template is applied, and {task.where(item)} is a chat of {roles}")
    return item.messages[0]["content"] if item.messages else item.prompt


def continuation(messages: Sequence[Mapping[str, str]]) -> dict[str, bool]:
    """What the policy writes, as TRL has it: an answer, or the rest of the assistant's message that ends a chat."""
    begun = messages[-1]["role"] == "assistant"
    return {"add_generation_prompt": not begun, "continue_final_message": begun}

"""Prompts reach the policy through the tokenizer's chat template, with what [model] says about it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from engine.chat import ChatFormat
from engine.errors import UserError
from engine.host.chat_template import ChatTemplate
from engine.training.evaluate import prompt_texts
from tasks.base import Item, Reward, Task
from tasks.tiny_model import build_tokenizer

TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}[{{ message.role }}]{{ message.content }}{% endfor %}"
    "{% if add_generation_prompt %}[model]{% endif %}"
)
ITEM = Item("2+2=", "4")


class Talk(Task):
    name = "talk"
    summary = "a question"
    max_completion_length = 8
    chat = True

    def generate(self, rng: random.Random) -> Item:
        return ITEM

    def score(self, completion: str, item: Item) -> Reward:
        return Reward(completion == item.answer, float(completion == item.answer))


class Plain(Talk):
    chat = False


def text_of(tokenizer: Any, item: Item = ITEM, task: type[Task] = Talk, **chat: Any) -> str:
    [text] = prompt_texts(tokenizer, task(), [item], ChatFormat(**chat))
    return text


def test_every_prompt_goes_through_the_template_unless_chat_is_off() -> None:
    tokenizer = build_tokenizer()
    assert text_of(tokenizer) == "2+2=", "no template, no chat"
    tokenizer.chat_template = TEMPLATE
    assert text_of(tokenizer) == "<bos>[user]2+2=[model]"
    assert text_of(tokenizer, task=Plain) == "<bos>[user]2+2=[model]"
    assert text_of(tokenizer, chat=False) == "2+2="


def test_a_system_prompt_stands_before_every_chat_that_has_none() -> None:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = TEMPLATE
    assert text_of(tokenizer, system_prompt="Be brief.") == "<bos>[system]Be brief.[user]2+2=[model]"
    own = Item("x", "4", messages=({"role": "system", "content": "Mine."}, {"role": "user", "content": "x"}))
    assert text_of(tokenizer, own, system_prompt="Be brief.") == "<bos>[system]Mine.[user]x[model]"


def test_variables_of_the_template_are_handed_on_and_the_check_renders_alike() -> None:
    tokenizer = build_tokenizer()
    source = TEMPLATE + "{% if not enable_thinking %}<think></think>{% endif %}"
    tokenizer.chat_template = source
    check = ChatTemplate(source, {"bos_token": "<bos>"})
    assert "enable_thinking" in check.names
    for thinking, tail in ((True, "[model]"), (False, "[model]<think></think>")):
        chat = ChatFormat(system_prompt="Be brief.", chat_template_kwargs={"enable_thinking": thinking})
        [text] = prompt_texts(tokenizer, Talk(), [ITEM], chat)
        assert text == f"<bos>[system]Be brief.[user]2+2={tail}"
        assert check.text(chat.messages(ITEM), chat) == text


def test_a_chat_of_several_messages_is_refused_where_no_template_is_applied() -> None:
    tokenizer = build_tokenizer()
    tokenizer.chat_template = TEMPLATE
    several = Item("x", "4", messages=({"role": "system", "content": "Mine."}, {"role": "user", "content": "x"}))
    with pytest.raises(UserError, match="no chat template is applied, and 'x' is a chat of system, user"):
        text_of(tokenizer, several, chat=False)


def test_a_begin_token_that_the_tokenizer_adds_itself_is_not_doubled() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = build_tokenizer()
    tokenizer.chat_template = TEMPLATE
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    text = text_of(tokenizer)
    assert text == "[user]2+2=[model]"
    assert tokenizer(text)["input_ids"].count(tokenizer.bos_token_id) == 1

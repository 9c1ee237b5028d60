"""Prompts of chat tasks reach the policy through the tokenizer's template; plain tasks as they are."""

from __future__ import annotations

import random

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


def test_a_chat_task_goes_through_the_template_and_a_plain_one_does_not() -> None:
    tokenizer = build_tokenizer()
    assert prompt_texts(tokenizer, Talk(), [ITEM]) == ["2+2="], "no template, no chat"
    tokenizer.chat_template = TEMPLATE
    assert prompt_texts(tokenizer, Talk(), [ITEM]) == ["<bos>[user]2+2=[model]"]
    assert prompt_texts(tokenizer, Plain(), [ITEM]) == ["2+2="]


def test_a_begin_token_that_the_tokenizer_adds_itself_is_not_doubled() -> None:
    from tokenizers.processors import TemplateProcessing

    tokenizer = build_tokenizer()
    tokenizer.chat_template = TEMPLATE
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<bos> $A", special_tokens=[("<bos>", tokenizer.bos_token_id)]
    )
    [text] = prompt_texts(tokenizer, Talk(), [ITEM])
    assert text == "[user]2+2=[model]"
    assert tokenizer(text)["input_ids"].count(tokenizer.bos_token_id) == 1

"""The chat template of a model, rendered without transformers: what a prompt of a chat is as text, before a run.

Asked by `engine.run.prompt_check` only, to count tokens; the worker has transformers render. A template is a foreign
program in a sandbox: it may fail in any way.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.chat import ChatFormat
from engine.errors import UserError, one_line


class ChatTemplate:
    """One model's template. Raises UserError when it cannot be read."""

    def __init__(self, source: str, tokens: Mapping[str, str]) -> None:
        from jinja2 import TemplateError, meta
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        self.begin = tokens.get("bos_token", "")
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = lambda value, **_: json.dumps(value, ensure_ascii=False)
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = lambda text: datetime.now().astimezone().strftime(text)
        try:
            self._template = environment.from_string(source)
        except TemplateError as error:
            raise UserError(f"the model's chat template cannot be read: {one_line(str(error))[:200]}") from error
        self._tokens = tokens
        self.names = frozenset(meta.find_undeclared_variables(environment.parse(source)))
        """The variables that it asks for."""

    def text(self, messages: Sequence[Mapping[str, str]], chat: ChatFormat) -> str:
        """What the policy reads. Raises UserError when the template refuses the messages."""
        asked = {**self._tokens, "tools": None, **chat.asked(messages)}
        del asked["continue_final_message"]  # transformers' own, which no template knows
        try:
            return self._template.render(messages=messages, **asked)
        except Exception as error:  # a template raises what it wants
            said = one_line(f"{type(error).__name__}: {error}")[:200]
            raise UserError(f"the model's chat template fails: {said}") from error


def read_template(directory: Path | None) -> ChatTemplate | None:
    """The template of a model directory; None where it has none, and then prompts are plain text."""
    if directory is None:
        return None
    settings = _json(directory / "tokenizer_config.json")
    tokens = _json(directory / "special_tokens_map.json") | settings
    texts = {name: _content(value) for name, value in tokens.items() if name.endswith("_token")}
    own = directory / "chat_template.jinja"
    source: Any = settings.get("chat_template")
    if own.is_file():
        source = own.read_text(encoding="utf-8", errors="replace")
    if isinstance(source, list):  # several by name
        named = {each.get("name"): each.get("template") for each in source if isinstance(each, dict)}
        source = named.get("default")
    if not isinstance(source, str):
        return None
    return ChatTemplate(source, {name: text for name, text in texts.items() if text})


def _content(value: Any) -> str:
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else ""


def _json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}  # what is wrong with it is said by whoever loads the tokenizer
    return data if isinstance(data, dict) else {}


def _refuse(message: str) -> None:
    raise ValueError(message)

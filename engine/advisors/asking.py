"""A language model that turns a question about a run into one SELECT, and the rows of that into words.

`python -m engine.advisors.asking REQUEST` (JSON) prints `{"text": …}` or `{"fault": …}`; asked by the face, which runs
the query itself under the limits of ad-hoc SQL. Nothing that a model writes is run or believed here: the words are
marked where their numbers are not in the rows.
"""

from __future__ import annotations

import json
import sys
from typing import Any, TypeVar

from pydantic import Field

from engine.advisors import prompts
from engine.advisors.answers import BadAnswer, ModelAnswer, parse
from engine.advisors.context import ContextWindow
from engine.advisors.founded import marked
from engine.advisors.hostile import clean
from engine.advisors.ollama_client import ChatRequest, OllamaClient, OllamaFault

STALL_SECONDS = 60.0

Answer = TypeVar("Answer", bound=ModelAnswer)


class WrittenQuery(ModelAnswer):
    """A query as a model wrote it."""

    sql: str = Field(min_length=1, max_length=20_000)


class RowsAnswer(ModelAnswer):
    """What a model says of rows."""

    answer: str = Field(min_length=1, max_length=6000)


def write_query(client: OllamaClient, request: dict[str, Any]) -> str:
    """One query for the question; `wrong` is an earlier one with why it failed. Raises OllamaFault, BadAnswer."""
    text = f"{request['documentation']}\n\nQuestion: {request['question']}"
    if wrong := request.get("wrong"):
        text += f"\n\nThis query failed: {wrong['sql']}\nBecause: {wrong['error']}\nWrite another one."
    return _ask(client, request, prompts.read("query").text, text, WrittenQuery).sql


def tell_rows(client: OllamaClient, request: dict[str, Any]) -> str:
    """The answer in words; marked where it quotes what is not in the rows. Raises OllamaFault, BadAnswer."""
    rows = str(request["rows"])
    text = f"Question: {request['question']}\n\nQuery: {request['sql']}\n\nRows:\n{rows}"
    answer = _ask(client, request, prompts.read("rows").text, text, RowsAnswer).answer
    return marked(clean(answer, 4000), f"{rows}\n{request['question']}", range(1, request["count"] + 1))


def _ask(client: OllamaClient, request: dict[str, Any], system: str, text: str, answer: type[Answer]) -> Answer:
    card = client.card(request["model"])
    window = ContextWindow(card.context, thinks=card.thinking)
    options = {"num_ctx": max(window.length, 16_384), **request.get("options", {}), "temperature": 0.0, "seed": 0}
    asked = ChatRequest(
        model=card.name, system=system, text=text, schema=answer.model_json_schema(),
        think=False if card.thinking else None, options=options,
    )  # fmt: skip
    reply = client.chat(asked)
    return parse(reply.text if reply.text.strip() else reply.thinking, answer)


def main() -> int:
    """Answer one request."""
    request = json.loads(sys.argv[1])
    client = OllamaClient(request["host"], timeout=request["seconds"], stall=STALL_SECONDS)
    stage = {"write": write_query, "tell": tell_rows}[request["stage"]]
    try:
        answer = {"text": stage(client, request)}
    except (OllamaFault, BadAnswer) as fault:
        answer = {"fault": str(fault)}
    sys.stdout.write(json.dumps(answer))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

"""How a question is put to a model: fitted to its context, one at a time, repaired once, put otherwise where the server
cannot take it as it was.

What is learnt of a server and its model (no grammar, one picture a message, `think` breaks the schema, a context that
is too short) holds for the rest of the run. Used by `ollama.py`; every HTTP call becomes an AdvisorCall.
"""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from engine.advisors import answers, placement, prompts, qualification
from engine.advisors.answers import BadAnswer, ModelAnswer
from engine.advisors.base import AdviceFailed, AdvisorCall, Listener, PlotImage
from engine.advisors.context import ContextWindow, picture_tokens, text_length, text_tokens
from engine.advisors.hostile import clean, one_line, storable
from engine.advisors.ollama_client import ChatReply, ChatRequest, ModelCard, OllamaClient, OllamaFault, as_sent
from engine.host import machine

LISTEN_SECONDS = 0.5
T = TypeVar("T", bound=ModelAnswer)
Turns = tuple[tuple[str, str], ...]
"""(role, text): what was said after a question."""


class UnusableAnswers(AdviceFailed):
    """The model answered twice and neither answer could be used."""


@dataclass(frozen=True, slots=True)
class RoleQuestion(Generic[T]):
    """One question in a role.

    Attributes:
        text: the evidence in at most so many characters.
        schema, model: what the answer must be. check: what is wrong with an answer beyond that, or "".
        urgency: lower goes first where several questions wait.
        node: what the question is about.
    """

    role: str
    text: Callable[[int], str]
    schema: dict[str, Any]
    model: type[T]
    check: Callable[[T], str]
    urgency: int
    node: int
    pictures: tuple[PlotImage, ...]
    seed: int


class Dialogue:
    """Questions to one model of one server."""

    def __init__(
        self,
        client: OllamaClient,
        card: ModelCard,
        listener: Listener,
        *,
        options: Mapping[str, Any],
        spare_threads: int,
    ) -> None:
        """`listener` hears of every call as it grows; see `OllamaAdvisor` for the options."""
        self._client = client
        self._card = card
        self._listener = listener
        self._options = dict(options)
        self._spare_threads = spare_threads
        self._numbers = itertools.count(1)
        self._window = ContextWindow(card.context, thinks=card.thinking, length=int(options.get("num_ctx", 0)))
        self._think = False if card.thinking else None
        self._constrains = True
        self._one_picture = False
        self._bytes: int | None = None

    def cancel(self) -> None:
        """Nothing is wanted any more, from any thread."""
        self._client.cancel()

    def examine(self) -> qualification.Qualification:
        """Test the model, loaded as it is for the questions of the run. Raises TestFault where a call fails."""
        where = self._placement()
        options = {"num_ctx": self._window.length, **self._threads(where), **where.options, **self._options}
        return qualification.examine(self._client, self._card, options)

    def ask(self, asked: RoleQuestion[T], calls: list[AdvisorCall]) -> T:
        """Ask, parse, and let the model repair its answer once. Every call is appended to `calls`.

        Raises:
            AdviceFailed: the server failed. UnusableAnswers: the repaired answer was no use either.
        """
        turns: Turns = ()
        problem: BadAnswer | None = None
        think = self._think
        for _ in range(2):
            reply = self._answer(asked, turns, calls)
            try:
                return _usable(reply, asked)
            except BadAnswer as bad:
                problem = bad
            calls[-1] = replace(calls[-1], error=f"{problem.kind}: {one_line(str(problem), 400)}")
            if self._constrains and problem.kind in ("empty", "not json"):
                self._think = None  # with some models `think: false` breaks the schema: from now on, if this helps
            turns = repair(reply, problem)
        self._think = think
        raise UnusableAnswers(f"the {asked.role}'s answer is unusable: {problem}", tuple(calls))

    def _answer(self, asked: RoleQuestion[T], turns: Turns, calls: list[AdvisorCall]) -> ChatReply:
        """A whole answer: what the server cannot take is put otherwise, once for each reason. Raises AdviceFailed."""
        tried: set[str] = set()
        while True:
            try:
                return self._call(asked, turns, calls)
            except OllamaFault as fault:
                reason = self._otherwise(fault, asked)
                if not reason or reason in tried:
                    raise AdviceFailed(one_line(str(fault), 500), tuple(calls)) from fault
                tried.add(reason)

    def _otherwise(self, fault: OllamaFault, asked: RoleQuestion[T]) -> str:
        """Ask differently from now on, and why; "" where nothing else is to be tried."""
        if fault.kind == "too long":
            self._window.too_long()
            return "too long"
        if self._constrains and _GRAMMAR.search(str(fault)):
            self._constrains = False  # the schema stands in the prompt, too
            return "no grammar"
        if len(asked.pictures) > 1 and not self._one_picture and _ONE_PICTURE.search(str(fault)):
            self._one_picture = True
            return "one picture"
        return ""

    def _question(self, asked: RoleQuestion[T], prompt: prompts.Prompt, turns: Turns) -> ChatRequest:
        """The request, fitted to the context; pictures go where the tables would have no room beside them."""
        window, schema = self._window, json.dumps(asked.schema, ensure_ascii=False)
        system = prompt.filled(schema, prompts.read("prior").text)
        room = window.prompt - text_tokens(len(system))
        images = self._images(asked.pictures)
        while images and picture_tokens(images) > room // 2:
            images = images[:-1]
        room -= picture_tokens(images)
        where = self._placement()
        return ChatRequest(
            model=self._card.name, system=system, text=asked.text(max(1, text_length(room))),
            images=images, schema=asked.schema if self._constrains else None,
            options={
                "num_ctx": window.length, "num_predict": window.answer,
                "temperature": 0.6 if prompt.role == "strategist" else 0.2, "seed": asked.seed,
                **self._threads(where), **where.options, **self._options,
            },
            keep_alive=where.keep_alive, think=self._think, turns=turns,
        )  # fmt: skip

    def _images(self, pictures: tuple[PlotImage, ...]) -> tuple[bytes, ...]:
        """The pictures as they are sent: one under the other where the model takes a single one."""
        if self._one_picture and len(pictures) > 1:
            from engine.advisors import plots

            return (plots.stacked([picture.png for picture in pictures]),)
        return tuple(picture.png for picture in pictures)

    def _call(self, asked: RoleQuestion[T], turns: Turns, calls: list[AdvisorCall]) -> ChatReply:
        """One HTTP call when its turn has come; its row is appended whatever happens.

        Raises:
            OllamaFault: no whole answer came, or it answers a prompt that was cut.
        """
        prompt = prompts.load(asked.role)
        with self._client.turn(asked.urgency):
            question = self._question(asked, prompt, turns)
            files = tuple(picture.file for picture in asked.pictures) if question.images else ()
            names = files if len(question.images) == len(files) else (" + ".join(files),)
            call = AdvisorCall(
                role=asked.role, request=storable(as_sent(question, names)), response="", rationale="",
                milliseconds=0.0, model=self._card.name, prompt_version=prompt.version, images=files,
                key=f"{asked.role}-{next(self._numbers)}", node=asked.node,
            )  # fmt: skip
            self._listener(call)
            try:
                reply = self._client.chat(question, self._progress(call))
                self._hold_against(question, reply)
            except OllamaFault as fault:
                calls.append(_ended(call, fault.reply or ChatReply(""), one_line(str(fault), 500)))
                raise
        calls.append(_ended(call, reply, ""))
        return reply

    def _hold_against(self, question: ChatRequest, reply: ChatReply) -> None:
        """Whether the server read all that was sent: an old one cuts a prompt without a word. Raises OllamaFault."""
        written = len(question.system) + len(question.text) + sum(len(text) for _, text in question.turns)
        sent = text_tokens(written) + picture_tokens(question.images)
        if not self._window.read_whole(sent, len(question.images), reply.prompt_tokens):
            text = f"the server read {reply.prompt_tokens} of about {sent} tokens"
            raise OllamaFault("too long", text, reply)

    def _progress(self, call: AdvisorCall) -> Callable[[str], None]:
        """Tells the listener what the model writes, at most every LISTEN_SECONDS."""
        begin = last = time.monotonic()

        def on_text(text: str) -> None:
            nonlocal last
            at = time.monotonic()
            if at - last >= LISTEN_SECONDS:
                last = at
                said = clean(partial_rationale(text), 4000)
                self._listener(replace(call, rationale=said, milliseconds=1000 * (at - begin)))

        return on_text

    def _threads(self, where: placement.Placement) -> dict[str, int]:
        """On a CPU that is shared with the training, the threads which that leaves."""
        return {"num_thread": self._spare_threads} if where.cpu and self._spare_threads else {}

    def _placement(self) -> placement.Placement:
        """Mind the GPU's memory: asked before every call, because training takes and frees it."""
        host = self._client.host
        gpus = machine.gpus() if placement.is_local(host) else ()
        if not gpus:
            return placement.place(host, None, 0, 0)
        try:
            if self._bytes is None:
                self._bytes = self._client.sizes().get(self._card.name, 0)
            vram = sum(m.vram for m in self._client.loaded() if m.name == self._card.name)
        except OllamaFault:
            vram = 0  # the call itself will say what is wrong
        return placement.place(host, min(gpu.free for gpu in gpus), self._bytes or 0, vram)


def _usable(reply: ChatReply, asked: RoleQuestion[T]) -> T:
    """The parsed answer; some models write it where their thoughts should stand. Raises BadAnswer."""
    try:
        answer = answers.parse(reply.text if reply.text.strip() else reply.thinking, asked.model)
    except BadAnswer as bad:
        if reply.reason == "length":
            raise BadAnswer("cut off", f"the answer was truncated at its token limit; be brief. {bad}") from bad
        if not reply.text.strip():
            raise BadAnswer("empty", "the answer is empty") from bad
        raise
    if wrong := asked.check(answer):
        raise BadAnswer("place", wrong)
    return answer


def repair(reply: ChatReply, problem: BadAnswer) -> Turns:
    """The turns that quote the error and ask once more."""
    asked = (
        f"Your answer cannot be used: {one_line(str(problem), 800)}. Answer once more: one JSON object that follows "
        "the schema, complete, and nothing before or after it."
    )
    said = storable(reply.text)[:QUOTED]
    return (("assistant", said), ("user", asked)) if said.strip() else (("user", asked),)


QUOTED = 3000
"""Characters of a useless answer that its repair quotes."""
_GRAMMAR = re.compile(r"^http (400|500): .*(format|grammar|schema)", re.IGNORECASE)
"""What a server says that cannot make a grammar of a schema for this model ("… vocabulary required for format")."""
_ONE_PICTURE = re.compile(r"(single|only (supports )?one) image", re.IGNORECASE)
"""What a server says whose model takes one picture a message."""
_RATIONALE = re.compile(r'"(?:rationale|reading)"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)


def partial_rationale(text: str) -> str:
    """The reasoning in an answer that is still being written."""
    match = _RATIONALE.search(text)
    if match is None:
        return ""
    try:
        said: str = json.loads(f'"{match[1]}"', strict=False)
    except ValueError:
        return match[1]
    return said


def _ended(call: AdvisorCall, reply: ChatReply, error: str) -> AdvisorCall:
    """The row of a call that is over."""
    said = f"<thinking>\n{reply.thinking}\n</thinking>\n{reply.text}" if reply.thinking else reply.text
    reasoning = partial_rationale(reply.text) or partial_rationale(reply.thinking)
    return replace(
        call, response=storable(said), rationale=clean(reasoning, 4000), error=error, milliseconds=reply.milliseconds,
        prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens,
    )  # fmt: skip

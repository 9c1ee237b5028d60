"""The advisor that looks: a local language model reads the tables and the plots, in four roles.

Asked by the controller in threads, for several expansions at a time. Whatever the model answers is parsed, repaired
once, or given up as a Fault, after which the rules advise; it never decides by itself what the space allows.
"""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from engine.advisors import answers, placement, prompts
from engine.advisors.answers import BadAnswer, ModelAnswer
from engine.advisors.base import (
    Advice,
    AdviceFailed,
    Advisor,
    AdvisorCall,
    Diagnosis,
    Evidence,
    Listener,
    Selection,
    StopAdvice,
)
from engine.advisors.evidence import describe, place, score_at, score_text
from engine.advisors.hostile import clean, one_line, storable
from engine.advisors.interpret import diagnoses, transition
from engine.advisors.ollama_client import ChatReply, ChatRequest, ModelCard, OllamaClient, OllamaFault, as_sent
from engine.advisors.rules import look
from engine.domain.space import UNCHANGED, Intent, KLReference, Transition
from engine.errors import Fault
from engine.host import machine

PROPOSALS = 3
ANSWER_TOKENS = 1600
THINKING_TOKENS = 6000
"""Room for an answer, and for one whose model thinks first although it was told not to."""

IMAGE_TOKENS = 1500
CHARACTERS_PER_TOKEN = 2.5
"""Numbers and tables are dense: an estimate on the safe side."""

LISTEN_SECONDS = 0.5
REMEMBERED = 64
T = TypeVar("T", bound=ModelAnswer)

WANTED = {
    Intent.ROOT: "a first segment from the base model, one of several that race. Propose one configuration that "
    "differs in kind from the siblings in the tables; an empty `changes` is the suggested configuration.",
    Intent.KEEP: "continue with the same settings.",
    Intent.CHANGE: "a coordinated change of several parameters that promises more than continuing unchanged.",
    Intent.ANNEAL: "anneal: the last steps of the best branch. Lower learning_rate (a third is usual) and keep Adam; "
    "change nothing else without a strong reason.",
    Intent.REPAIR: "repair: a segment from this checkpoint failed. The same transition, made safe against its failure.",
}


@dataclass(frozen=True, slots=True)
class AnalystReading:
    """What the analyst said of a segment up to a step."""

    diagnoses: tuple[Diagnosis, ...]
    text: str


class OllamaAdvisor(Advisor):
    """See the module."""

    name = "ollama"
    deterministic = False
    slow = True

    def __init__(self, client: OllamaClient, card: ModelCard, *, reason: str = "") -> None:
        """`card` says what the model can do; without vision it gets no pictures, and `reason` should say so."""
        self.card = card
        self.sees = card.vision
        self.reason = reason
        self.listener: Listener | None = None
        self._client = client
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._readings: OrderedDict[tuple[int, int], AnalystReading] = OrderedDict()
        self._bytes: int | None = None
        self._constrains = True  # until the server says that it cannot

    # ---- the contract -----------------------------------------------------------------------------------------------

    def advise(self, evidence: Evidence) -> Advice:
        """The analyst looks at the parent's segment (once), then the strategist proposes.

        Raises:
            AdviceFailed: the server failed, or the strategist's answer was useless twice.
        """
        calls: list[AdvisorCall] = []
        found = self._read(evidence, calls)
        if evidence.intent is Intent.KEEP:
            return Advice(self.name, found, (self._keep(evidence),), tuple(calls), evidence.step)
        places = [(evidence.parent.id, evidence.step)]
        places += [p for p in evidence.candidates if p[0] == evidence.parent.id]
        most = PROPOSALS if evidence.intent is Intent.CHANGE else 1
        before = (
            {} if evidence.intent is Intent.ROOT else evidence.parent.configuration
        )  # what only rises may begin low
        schema = answers.strategy_schema(evidence.space, places, most, before)
        head = f"Wanted: {WANTED[evidence.intent]}"
        strategy = self._ask(
            evidence, "strategist", self._text(evidence, found, head), schema, answers.StrategistAnswer, calls
        )
        proposals = tuple(transition(change, evidence) for change in strategy.proposals[:most])
        return Advice(self.name, found, proposals, tuple(calls), evidence.step)

    def review(self, evidence: Evidence) -> Advice | None:
        """The analyst alone; None when it has looked already, or when there is nothing to look at."""
        if not evidence.metrics or self._remembered(evidence) is not None:
            return None
        calls: list[AdvisorCall] = []
        found = self._read(evidence, calls)
        return Advice(self.name, found, (), tuple(calls), evidence.step)

    def select(self, evidence: Evidence) -> Selection | None:
        """The selector; None when there is nothing to choose from."""
        places = list(dict.fromkeys([(evidence.parent.id, evidence.step), *evidence.candidates]))
        if len(places) < 2:
            return None

        def offered(answer: answers.SelectorAnswer) -> str:
            pairs = ", ".join(f"({node}, {step})" for node, step in places)
            return "" if (answer.node, answer.step) in places else f"(node, step) must be one of {pairs}"

        calls: list[AdvisorCall] = []
        reading = self._remembered(evidence)
        text = self._text(evidence, reading.diagnoses if reading else look(evidence), "Wanted: the branch point.")
        schema = answers.selection_schema(places)
        chosen = self._ask(evidence, "selector", text, schema, answers.SelectorAnswer, calls, offered)
        return Selection(chosen.node, chosen.step, clean(chosen.rationale, 1000), tuple(calls))

    def watch(self, evidence: Evidence, doubt: str) -> StopAdvice | None:
        """The watcher."""
        node, score = evidence.parent, score_at(evidence.parent, evidence.step)
        lines = [f"#{node.id} is training: step {evidence.step} of {node.planned_steps}."]
        if score is not None:
            lines.append(f"Validation now: {score_text(score)}.")
        if node.transition is not None:
            before = score_at(evidence.tree[node.transition.parent], node.transition.step)
            begun = place(evidence.tree[node.transition.parent], node.transition.step)
            lines.append(f"It began from {begun}{f', {score_text(before)}' if before else ''}.")
        lines.append(f"The comparator's doubt: {one_line(doubt, 500)}")
        text = describe(evidence, look(evidence), head="\n".join(lines))
        calls: list[AdvisorCall] = []
        verdict = self._ask(evidence, "watcher", text, answers.verdict_schema(), answers.WatcherAnswer, calls)
        return StopAdvice(verdict.stop, clean(verdict.rationale, 1000), tuple(calls))

    def cancel(self) -> None:
        self._client.cancel()

    # ---- the analyst ------------------------------------------------------------------------------------------------

    def _read(self, evidence: Evidence, calls: list[AdvisorCall]) -> tuple[Diagnosis, ...]:
        """What the analyst says of the parent's segment; the computed signals where it says nothing usable."""
        if not evidence.metrics:
            return () if evidence.intent is Intent.ROOT else look(evidence)
        if (known := self._remembered(evidence)) is not None:
            return known.diagnoses
        computed = look(evidence)
        text = describe(evidence, computed)
        try:
            analysis = self._ask(evidence, "analyst", text, answers.analysis_schema(), answers.AnalystAnswer, calls)
        except _UnusableAnswers:
            return computed
        reading = AnalystReading(diagnoses(analysis, evidence), clean(analysis.reading, 2000))
        with self._lock:
            self._readings[evidence.parent.id, evidence.step] = reading
            while len(self._readings) > REMEMBERED:
                self._readings.popitem(last=False)
        return reading.diagnoses

    def _remembered(self, evidence: Evidence) -> AnalystReading | None:
        """The reading of this segment up to here, or up to a later step: that one saw more."""
        with self._lock:
            later = [key for key in self._readings if key[0] == evidence.parent.id and key[1] >= evidence.step]
            return self._readings[min(later)] if later else None

    def _text(self, evidence: Evidence, found: Sequence[Diagnosis], head: str) -> str:
        """The tables with the analyst's reading before them."""
        text = describe(evidence, look(evidence) if evidence.metrics else (), ask=head)
        reading = self._remembered(evidence)
        if reading is None:
            return text
        said = "\n".join(f"- {d.pathology} (severity {d.severity:.1f}): {one_line(d.text, 400)}" for d in found)
        return f"## The analyst's reading\n{one_line(reading.text, 2000)}\n{said}\n\n{text}"

    def _keep(self, evidence: Evidence) -> Transition:
        reading = self._remembered(evidence)
        score = score_at(evidence.parent, evidence.step)
        where = f"{place(evidence.parent, evidence.step)}: validation {score_text(score) if score else 'unknown'}"
        before = evidence.parent.transition
        return Transition(
            parent=evidence.parent.id, step=evidence.step, intent=Intent.KEEP,
            reference=before.reference if before else KLReference.BASE, label=UNCHANGED,
            rationale=f"{where}. Continue with the same settings. {reading.text if reading else ''}".strip(),
            expected="validation not lower at the end of the segment",
        )  # fmt: skip

    # ---- one question -----------------------------------------------------------------------------------------------

    def _ask(
        self,
        evidence: Evidence,
        role: str,
        text: str,
        schema: dict[str, Any],
        model: type[T],
        calls: list[AdvisorCall],
        check: Callable[[T], str] = lambda _: "",
    ) -> T:
        """Ask, parse, and let the model repair its answer once. Every call is appended to `calls`.

        Raises:
            AdviceFailed: the server failed. _UnusableAnswers: the repaired answer was no use either.
        """
        prompt = prompts.load(role)
        question = self._question(evidence, prompt, text, schema)
        images = tuple(picture.file for picture in evidence.pictures) if question.images else ()
        problem: BadAnswer | None = None
        for _ in range(2):
            try:
                reply = self._call(question, prompt, images, calls, evidence.parent.id)
            except AdviceFailed:
                if question.schema is None or not _GRAMMAR.search(calls[-1].error):
                    raise
                self._constrains = False  # this server cannot hold this model to a schema; the prompt has it, too
                question = replace(question, schema=None)
                reply = self._call(question, prompt, images, calls, evidence.parent.id)
            try:
                return self._usable(reply, model, check)
            except BadAnswer as bad:
                problem = bad
                calls[-1] = replace(calls[-1], error=f"{bad.kind}: {one_line(str(bad), 400)}")
            question = replace(question, turns=repair(reply, problem))
        raise _UnusableAnswers(f"the {role}'s answer is unusable: {problem}", tuple(calls))

    def _usable(self, reply: ChatReply, model: type[T], check: Callable[[T], str]) -> T:
        """Raises BadAnswer."""
        try:
            answer = answers.parse(reply.text, model)
        except BadAnswer as bad:
            if reply.reason == "length":
                raise BadAnswer("cut off", f"the answer was truncated at its token limit; be brief. {bad}") from bad
            raise
        if wrong := check(answer):
            raise BadAnswer("place", wrong)
        return answer

    def _question(self, evidence: Evidence, prompt: prompts.Prompt, text: str, schema: dict[str, Any]) -> ChatRequest:
        system = prompt.filled(json.dumps(schema, ensure_ascii=False), prompts.read("prior").text)
        images = tuple(picture.png for picture in evidence.pictures) if self.sees else ()
        where = self._placement()
        answer = ANSWER_TOKENS + (THINKING_TOKENS if self.card.thinking else 0)
        tokens = context_tokens(len(system) + len(text), len(images), answer)
        return ChatRequest(
            model=self.card.name, system=system, text=text, images=images,
            schema=schema if self._constrains else None,
            options={
                "num_ctx": min(tokens, self.card.context) if self.card.context else tokens, "num_predict": answer,
                "temperature": 0.6 if prompt.role == "strategist" else 0.2,
                "seed": (evidence.seed * 31 + len(evidence.feedback)) % 2**31, **where.options,
            },
            keep_alive=where.keep_alive, think=False if self.card.thinking else None,
        )  # fmt: skip

    def _call(
        self,
        question: ChatRequest,
        prompt: prompts.Prompt,
        images: tuple[str, ...],
        calls: list[AdvisorCall],
        node: int,
    ) -> ChatReply:
        """One HTTP call; its row is appended whatever happens. Raises AdviceFailed when no answer came."""
        begin = time.monotonic()
        call = AdvisorCall(
            role=prompt.role, request=storable(as_sent(question, images)), response="", rationale="", milliseconds=0.0,
            model=self.card.name, prompt_version=prompt.version, images=images,
            key=f"{prompt.role}-{next(self._numbers)}", node=node,
        )  # fmt: skip
        self._tell(call)
        try:
            reply = self._client.chat(question, self._progress(call, begin))
        except OllamaFault as fault:
            calls.append(_ended(call, fault.reply or ChatReply(""), begin, one_line(str(fault), 500)))
            raise AdviceFailed(one_line(str(fault), 500), tuple(calls)) from fault
        calls.append(_ended(call, reply, begin, ""))
        return reply

    def _progress(self, call: AdvisorCall, begin: float) -> Callable[[str], None]:
        """Tells the listener what the model writes, at most every LISTEN_SECONDS."""
        last = begin

        def on_text(text: str) -> None:
            nonlocal last
            at = time.monotonic()
            if at - last >= LISTEN_SECONDS:
                last = at
                self._tell(
                    replace(call, rationale=clean(partial_rationale(text), 4000), milliseconds=1000 * (at - begin))
                )

        return on_text

    def _tell(self, call: AdvisorCall) -> None:
        if self.listener is not None:
            self.listener(call)

    def _placement(self) -> placement.Placement:
        """Mind the GPU's memory: asked before every call, because training takes and frees it."""
        host = self._client.host
        gpus = machine.gpus() if placement.is_local(host) else ()
        if not gpus:
            return placement.place(host, None, 0, 0)
        try:
            if self._bytes is None:
                self._bytes = self._client.sizes().get(self.card.name, 0)
            vram = sum(m.vram for m in self._client.loaded() if m.name == self.card.name)
        except OllamaFault:
            vram = 0  # the call itself will say what is wrong
        return placement.place(host, min(gpu.free for gpu in gpus), self._bytes or 0, vram)


class _UnusableAnswers(AdviceFailed):
    """The model answered twice and neither answer could be used."""


def repair(reply: ChatReply, problem: BadAnswer) -> tuple[tuple[str, str], ...]:
    """The turns that quote the error and ask once more."""
    asked = (
        f"Your answer cannot be used: {one_line(str(problem), 800)}. Answer once more: one JSON object that follows "
        "the schema, complete, and nothing before or after it."
    )
    said = storable(reply.text)[:4000]
    return (("assistant", said), ("user", asked)) if said.strip() else (("user", asked),)


def context_tokens(characters: int, images: int, answer: int) -> int:
    """num_ctx for a prompt: an estimate on the safe side with room for a repair, in steps of 1024."""
    tokens = characters / CHARACTERS_PER_TOKEN + images * IMAGE_TOKENS + 2 * answer + 512
    return 1024 * max(4, -(-int(tokens) // 1024))


_GRAMMAR = re.compile(r"^http (400|500): .*(format|grammar|schema)", re.IGNORECASE)
"""What a server says that cannot make a grammar of a schema for this model ("… vocabulary required for format")."""
_RATIONALE = re.compile(r'"(?:rationale|reading)"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)


def partial_rationale(text: str) -> str:
    """The reasoning in an answer that is still being written."""
    found = _RATIONALE.search(text)
    if found is None:
        return ""
    try:
        said: str = json.loads(f'"{found[1]}"', strict=False)
    except ValueError:
        return found[1]
    return said


def _ended(call: AdvisorCall, reply: ChatReply, begin: float, error: str) -> AdvisorCall:
    """The row of a call that is over."""
    said = f"<thinking>\n{reply.thinking}\n</thinking>\n{reply.text}" if reply.thinking else reply.text
    return replace(
        call, response=storable(said), rationale=clean(partial_rationale(reply.text), 4000), error=error,
        milliseconds=1000 * (time.monotonic() - begin), prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
    )  # fmt: skip


def connect(
    host: str, model: str, *, timeout: float, stall: float | None = None, client: OllamaClient | None = None
) -> OllamaAdvisor:
    """The advisor for a model that the server has.

    Raises:
        Fault: nothing answers, or the server lacks the model; one line.
    """
    asked = client or OllamaClient(host, timeout=timeout, stall=stall or min(30.0, timeout))
    try:
        card = asked.card(model)
    except OllamaFault as fault:
        if fault.kind == "http 404":
            raise Fault(f"{host} has no model {model}; `ollama pull {model}`") from fault
        raise Fault(f"Ollama: {fault}") from fault
    sight = "sees plots" if card.vision else "has no vision: it gets tables only, no plots"
    return OllamaAdvisor(asked, card, reason=f"{model} at {host} {sight}")

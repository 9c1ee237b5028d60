"""The advisor that looks: a local language model reads the tables and the plots, in four roles.

Asked by the controller in threads, for several expansions at a time. It says what is asked in each role and what an
answer means; how a question is put to the server is `dialogue.py`. It never decides by itself what the space allows.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, TypeVar

from engine.advisors import answers
from engine.advisors.answers import ModelAnswer, diagnoses, transition
from engine.advisors.base import (
    OPTIONAL_ROLES,
    Advice,
    Advisor,
    AdvisorCall,
    Diagnosis,
    Evidence,
    Listener,
    Selection,
    StopAdvice,
)
from engine.advisors.dialogue import Dialogue, RoleQuestion, UnusableAnswers
from engine.advisors.evidence import METRICS, describe, place, score_at, score_text
from engine.advisors.founded import marked
from engine.advisors.hostile import clean, one_line
from engine.advisors.ollama_client import ModelCard, OllamaClient, OllamaFault
from engine.advisors.qualification import Qualification
from engine.advisors.rules import look
from engine.domain.space import UNCHANGED, Intent, Transition
from engine.errors import Fault

PLOTS = "plots"
"""The part of the evidence that a model sees."""
REMEMBERED = 64
PROPOSING, WATCHING, REVIEWING = 0, 1, 2
"""Whose question goes first where several wait for the server: a worker may wait for a proposal."""
T = TypeVar("T", bound=ModelAnswer)

WANTED = {
    Intent.ROOT: "a first segment from the base model, one of several that race. Propose a configuration that "
    "differs in kind from the siblings in the tables; naming no hyperparameter is the suggested configuration.",
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

    def __init__(
        self,
        client: OllamaClient,
        card: ModelCard,
        *,
        reason: str = "",
        options: Mapping[str, Any] = MappingProxyType({}),
        roles: Collection[str] = OPTIONAL_ROLES,
        without: Collection[str] = (),
        spare_threads: int = 0,
    ) -> None:
        """`card` says what the model can do; without vision it gets no pictures, and `reason` should say so.

        Args:
            options: of the server, as the user set them. roles: what the model is asked beside its proposals.
            without: parts of the evidence that it does not get (`PLOTS`, `evidence_sections.PARTS`).
            spare_threads: what the training leaves of the CPU; 0 lets the server choose.
        """
        self.card = card
        self.sees = card.vision
        self.reason = reason
        self.listener: Listener | None = None
        self._roles, self._without = frozenset(roles), frozenset(without)
        self._dialogue = Dialogue(client, card, self._tell, options=options, spare_threads=spare_threads)
        self._lock = threading.Lock()
        self._readings: OrderedDict[tuple[int, int], AnalystReading] = OrderedDict()

    # ---- the contract -----------------------------------------------------------------------------------------------

    def advise(self, evidence: Evidence) -> Advice:
        """The analyst, if there is one, looks at the parent's segment (once), then the strategist proposes.

        Raises:
            AdviceFailed: the server failed, or the strategist's answer was useless twice.
        """
        calls: list[AdvisorCall] = []
        pathologies = self._read(evidence, calls, PROPOSING)
        if evidence.intent is Intent.KEEP:
            return Advice(self.name, pathologies, (self._keep(evidence),), tuple(calls), evidence.step)
        places = [(evidence.parent.id, evidence.step)]
        places += [p for p in evidence.candidates if p[0] == evidence.parent.id]
        schema = answers.strategy_schema(evidence.space, places)
        text = self._text(evidence, pathologies, f"Wanted: {WANTED[evidence.intent]}")
        answer = self._ask(evidence, "strategist", text, schema, answers.strategist(evidence.space), calls, PROPOSING)
        proposal = transition(answer, evidence, text(0))
        return Advice(self.name, pathologies, (proposal,), tuple(calls), evidence.step)

    def review(self, evidence: Evidence) -> Advice | None:
        """The analyst alone; None without one, when it has looked already, or when there is nothing to look at."""
        if "analyst" not in self._roles or not evidence.metrics or self._remembered(evidence) is not None:
            return None
        calls: list[AdvisorCall] = []
        pathologies = self._read(evidence, calls, REVIEWING)
        return Advice(self.name, pathologies, (), tuple(calls), evidence.step)

    def select(self, evidence: Evidence) -> Selection | None:
        """The selector; None without one, or when there is nothing to choose from."""
        places = list(dict.fromkeys([(evidence.parent.id, evidence.step), *evidence.candidates]))
        if "selector" not in self._roles or len(places) < 2:
            return None

        def offered(answer: answers.SelectorAnswer) -> str:
            names = ", ".join(map(answers.place_name, places))
            return "" if answers.place_of(answer.place) in places else f"place must be one of: {names}"

        calls: list[AdvisorCall] = []
        reading = self._remembered(evidence)
        text = self._text(evidence, reading.diagnoses if reading else look(evidence), "Wanted: the branch point.")
        schema = answers.selection_schema(places)
        chosen = self._ask(evidence, "selector", text, schema, answers.SelectorAnswer, calls, PROPOSING, offered)
        node, step = answers.place_of(chosen.place) or places[0]
        return Selection(node, step, clean(marked(chosen.rationale, text(0)), 1000), tuple(calls))

    def watch(self, evidence: Evidence, doubt: str) -> StopAdvice | None:
        """The watcher; None without one."""
        if "watcher" not in self._roles:
            return None
        node, score = evidence.parent, score_at(evidence.parent, evidence.step)
        lines = [f"#{node.id} is training: step {evidence.step} of {node.planned_steps}."]
        if score is not None:
            lines.append(f"Validation now: {score_text(score)}.")
        if node.transition is not None:
            before = score_at(evidence.tree[node.transition.parent], node.transition.step)
            begun = place(evidence.tree[node.transition.parent], node.transition.step)
            lines.append(f"It began from {begun}{f', {score_text(before)}' if before else ''}.")
        lines.append(f"The comparator's doubt: {one_line(doubt, 500)}")
        computed = look(evidence)

        def text(characters: int) -> str:
            return self._describe(evidence, computed, characters, head="\n".join(lines))

        calls: list[AdvisorCall] = []
        verdict = self._ask(evidence, "watcher", text, answers.verdict_schema(), answers.WatcherAnswer, calls, WATCHING)
        return StopAdvice(verdict.stop, clean(verdict.rationale, 1000), tuple(calls))

    def examine(self) -> Qualification:
        """Test the model with what a run would load it with. Raises TestFault where a call fails."""
        return self._dialogue.examine()

    def cancel(self) -> None:
        self._dialogue.cancel()

    # ---- the analyst ------------------------------------------------------------------------------------------------

    def _read(self, evidence: Evidence, calls: list[AdvisorCall], urgency: int) -> tuple[Diagnosis, ...]:
        """What the analyst says of the parent's segment; the computed signals where it says nothing usable."""
        if not evidence.metrics:
            return () if evidence.intent is Intent.ROOT else computed_signals(evidence)
        if (known := self._remembered(evidence)) is not None:
            return known.diagnoses
        computed = computed_signals(evidence)
        if "analyst" not in self._roles:
            return computed

        def text(characters: int) -> str:
            return self._describe(evidence, computed, characters)

        schema = answers.analysis_schema([name for name in METRICS if evidence.metrics.get(name)])
        try:
            analysis = self._ask(evidence, "analyst", text, schema, answers.AnalystAnswer, calls, urgency)
        except UnusableAnswers:
            return computed
        reading = AnalystReading(diagnoses(analysis, computed, evidence, text(0)), clean(analysis.reading, 2000))
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

    def _text(self, evidence: Evidence, pathologies: Sequence[Diagnosis], head: str) -> Callable[[int], str]:
        """The tables with the analyst's reading before them, as a function of how long the text may be."""
        computed = look(evidence) if evidence.metrics else ()
        said, reading = "", self._remembered(evidence)
        if reading is not None:
            lines = (f"- {d.pathology} (severity {d.severity:.1f}): {one_line(d.text, 400)}" for d in pathologies)
            said = "\n".join((one_line(reading.text, 2000), *lines))
        return lambda characters: self._describe(evidence, computed, characters, ask=head, reading=said)

    def _describe(self, evidence: Evidence, signals: Sequence[Diagnosis], characters: int, **words: str) -> str:
        return describe(evidence, signals, characters=characters, without=self._without, **words)

    def _keep(self, evidence: Evidence) -> Transition:
        reading = self._remembered(evidence)
        score = score_at(evidence.parent, evidence.step)
        where = f"{place(evidence.parent, evidence.step)}: validation {score_text(score) if score else 'unknown'}"
        return Transition(
            parent=evidence.parent.id, step=evidence.step, intent=Intent.KEEP, label=UNCHANGED,
            rationale=f"{where}. Continue with the same settings. {reading.text if reading else ''}".strip(),
            expected="validation not lower at the end of the segment",
        )  # fmt: skip

    # ---- asking -----------------------------------------------------------------------------------------------------

    def _ask(
        self,
        evidence: Evidence,
        role: str,
        text: Callable[[int], str],
        schema: dict[str, Any],
        model: type[T],
        calls: list[AdvisorCall],
        urgency: int,
        check: Callable[[T], str] = lambda _: "",
    ) -> T:
        """Ask in a role; every call is appended to `calls`. See `Dialogue.ask`."""
        question = RoleQuestion(
            role=role, text=text, schema=schema, model=model, check=check, urgency=urgency, node=evidence.parent.id,
            pictures=evidence.pictures if self.sees and PLOTS not in self._without else (),
            seed=(evidence.seed * 31 + len(evidence.feedback)) % 2**31,
        )  # fmt: skip
        return self._dialogue.ask(question, calls)

    def _tell(self, call: AdvisorCall) -> None:
        if self.listener is not None:
            self.listener(call)


def computed_signals(evidence: Evidence) -> tuple[Diagnosis, ...]:
    """What the rules find in the curves, marked as theirs."""
    return tuple(replace(diagnosis, advisor="rules") for diagnosis in look(evidence))


def connect(
    host: str,
    model: str,
    *,
    timeout: float,
    stall: float | None = None,
    options: Mapping[str, Any] = MappingProxyType({}),
    roles: Collection[str] = OPTIONAL_ROLES,
    without: Collection[str] = (),
    spare_threads: int = 0,
) -> OllamaAdvisor:
    """The advisor for a model that the server has; see `OllamaAdvisor` for the rest.

    Raises:
        Fault: nothing answers, or the server lacks the model; one line.
    """
    asked = OllamaClient(host, timeout=timeout, stall=stall or min(30.0, timeout))
    try:
        card = replace(asked.card(model), digest=asked.digest(model))
    except OllamaFault as fault:
        if fault.kind == "http 404":
            raise Fault(f"{host} has no model {model}; `ollama pull {model}`") from fault
        raise Fault(f"Ollama: {fault}") from fault
    sight = "sees plots" if card.vision else "has no vision: it gets tables only, no plots"
    reason = f"{model} at {host} {sight}"
    return OllamaAdvisor(
        asked, card, reason=reason, options=options, roles=roles, without=without, spare_threads=spare_threads
    )

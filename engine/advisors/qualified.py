"""A model that has to qualify: tested before it is first asked, and below the mark replaced by the rules.

Made by `factory.py` around the Ollama advisor. The test runs in the thread of the first advice, so that no start and no
worker waits for it; until it is over the rules stand in as for any slow advisor.
"""

from __future__ import annotations

import threading

from engine.advisors.base import Advice, AdviceFailed, Advisor, AdvisorCall, Evidence, Listener, Selection, StopAdvice
from engine.advisors.ollama import OllamaAdvisor
from engine.advisors.qualification import MARK, Qualification, TestFault
from engine.advisors.rules import RulesAdvisor


class QualifiedAdvisor(Advisor):
    """The model's advice, or the rules' where it must qualify and does not. `reason` changes with the test."""

    slow = True

    def __init__(self, model: OllamaAdvisor, known: Qualification | None, *, must: bool, timeout: float) -> None:
        """`known`: the outcome of an earlier test. `must`: below the mark the rules advise instead."""
        self.name = model.name
        self.sees = model.sees
        self._model = model
        self._must = must
        self._timeout = timeout
        self._lock = threading.Lock()
        self._speaker: Advisor | None = None
        self.reason = f"{model.reason}; it is tested before it is first asked"
        if known is not None:
            self._speaker = self._judged(known)

    @property
    def listener(self) -> Listener | None:
        """Told of the model's calls."""
        return self._model.listener

    @listener.setter
    def listener(self, listener: Listener | None) -> None:
        self._model.listener = listener

    def advise(self, evidence: Evidence) -> Advice:
        return self._who().advise(evidence)

    def review(self, evidence: Evidence) -> Advice | None:
        return self._who().review(evidence)

    def select(self, evidence: Evidence) -> Selection | None:
        return self._who().select(evidence)

    def watch(self, evidence: Evidence, doubt: str) -> StopAdvice | None:
        return self._who().watch(evidence, doubt)

    def cancel(self) -> None:
        self._model.cancel()

    def _who(self) -> Advisor:
        """Who speaks, once the model is tested. Raises AdviceFailed where the test could not be made."""
        with self._lock:
            if self._speaker is None:
                try:
                    qualification = self._model.examine()
                except TestFault as fault:
                    call = AdvisorCall("test", "{}", "", "", 0.0, model=self._model.card.name, error=fault.error)
                    raise AdviceFailed(str(fault), (call,)) from fault
                self._speaker = self._judged(qualification)
            return self._speaker

    def _judged(self, qualification: Qualification) -> Advisor:
        """Who speaks after a test, and why."""
        told = "; ".join(
            filter(None, [f"{self._model.reason}, {qualification.text}", qualification.speed(self._timeout)])
        )
        if qualification.passed:
            self.reason = told
            return self._model
        if not self._must:
            self.reason = f"{told}; {MARK}: its advice may be worth nothing"
            return self._model
        self.name = "rules"
        self.reason = f'{told}; {MARK}: the rules advisor is used instead; advisor.kind = "ollama" uses it all the same'
        return RulesAdvisor()

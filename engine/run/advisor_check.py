"""What `llmzero check` and `doctor` find of an advisor and its server, asked with the engine's own factory and client.

In processes of their own, because neither the face nor `engine.run.preflight` imports the advisors.
"""

from __future__ import annotations

from engine.errors import Fault, one_line
from engine.run.advisor_section import AdvisorSection
from engine.run.child_answer import child_answer
from engine.run.findings import CheckFinding

ASK_SECONDS = 60.0
"""For the process, which asks a server once; the client itself waits five seconds."""


def look(asked: AdvisorSection) -> CheckFinding:
    """Which advisor a run would have now. `auto` falls back to the rules, so a missing server is only a warning."""
    if asked.kind == "rules":
        return CheckFinding("ok", "advisor", "rules")
    arguments = (asked.kind, asked.host, asked.model, str(asked.timeout_seconds))
    try:
        answer = child_answer("engine.advisors.factory", *arguments, seconds=ASK_SECONDS)
    except TimeoutError as silence:
        return CheckFinding("warning", "advisor", str(silence))
    except Fault as fault:
        return CheckFinding("error", "advisor", f"the advisor cannot be made: {fault}")
    if answer["error"]:
        return CheckFinding("error", "advisor", one_line(answer["error"]))
    return CheckFinding("ok" if answer["sees"] else "warning", "advisor", one_line(answer["text"]))


def models(host: str) -> dict[str, bool]:
    """The models of an Ollama server by name, and whether each sees images.

    Raises:
        Fault: one line saying why there was no usable answer.
    """
    try:
        answer = child_answer("engine.advisors.inventory", host, seconds=ASK_SECONDS)
    except TimeoutError as silence:
        raise Fault(str(silence)) from silence
    if answer["error"]:
        raise Fault(answer["error"])
    return dict(answer["models"])

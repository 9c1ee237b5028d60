"""Makes the advisor that a run file asks for, and says why it is this one.

The daemon asks once a run; `llmzero check` and `doctor` ask the same in a process of its own, as `python -m
engine.advisors.factory KIND HOST MODEL SECONDS`, which prints the outcome as JSON.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

from engine.advisors.base import OPTIONAL_ROLES, Advisor
from engine.advisors.rules import RulesAdvisor
from engine.errors import Fault, UserError, one_line, short
from engine.host import ollama_host

_log = logging.getLogger(__name__)

KINDS = ("auto", "ollama", "rules")


def make(
    kind: str,
    *,
    host: str = "",
    model: str = "",
    timeout: float = 120.0,
    options: Mapping[str, Any] = MappingProxyType({}),
    roles: Collection[str] = OPTIONAL_ROLES,
    spare_threads: int = 0,
) -> Advisor:
    """The advisor for `advisor.kind`: "auto" takes a model that answers and sees, else the rules, whatever goes wrong.

    Args:
        host: address of the Ollama server; "" takes that of OLLAMA_HOST, else of this machine. timeout: seconds for one
            answer. options, roles, spare_threads: see `OllamaAdvisor`.

    Raises:
        UserError: an unknown kind; "ollama", and the server does not answer, lacks the model, or its client fails.
    """
    if kind == "rules":
        return RulesAdvisor()
    if kind not in KINDS:
        raise UserError(f"advisor.kind = {short(kind)} is unknown; allowed: {', '.join(KINDS)}")
    try:
        from engine.advisors.ollama import connect
        from engine.advisors.qualification import kept
        from engine.advisors.qualified import (
            QualifiedAdvisor,
        )  # httpx and the client cost 0.2 s that runs by rules need not pay

        where = ollama_host.asked(host)
        advisor = connect(where, model, timeout=timeout, options=options, roles=roles, spare_threads=spare_threads)
    except (Fault, UserError) as trouble:
        return _instead(kind, str(trouble))
    except Exception as error:  # noqa: BLE001  a library may raise anything where it is imported or set up
        _log.warning("the Ollama client failed", exc_info=error)
        return _instead(kind, f"the Ollama client failed: {type(error).__name__}: {one_line(str(error))[:200]}")
    if kind == "auto" and not advisor.sees:
        return RulesAdvisor(
            f'{model} has no vision, so the rules advisor is used; advisor.kind = "ollama" uses it without plots'
        )
    return QualifiedAdvisor(advisor, kept(advisor.card.digest), must=kind == "auto", timeout=timeout)


def _instead(kind: str, why: str) -> RulesAdvisor:
    if kind == "ollama":
        raise UserError(f'{why}; or set advisor.kind = "auto" or "rules"')
    return RulesAdvisor(f"{why}; the rules advisor is used instead")


def main() -> int:
    """Print which advisor a run would have: its name, whether it sees, and why; or what is wrong."""
    kind, host, model, seconds = sys.argv[1:5]
    try:
        advisor = make(kind, host=host, model=model, timeout=float(seconds))
        answer = {
            "name": advisor.name,
            "sees": advisor.sees and advisor.name != "rules",
            "text": advisor.reason,
            "error": "",
        }
    except UserError as mistake:
        answer = {"name": "", "sees": False, "text": "", "error": str(mistake)}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

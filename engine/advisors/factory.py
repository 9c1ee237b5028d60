"""Makes the advisor that a run file asks for, and says why it is this one. Asked once a run, by the daemon."""

from __future__ import annotations

from engine.advisors.base import Advisor
from engine.advisors.rules import RulesAdvisor
from engine.errors import Fault, UserError

KINDS = ("auto", "ollama", "rules")


def make(kind: str, *, host: str = "", model: str = "", timeout: float = 120.0) -> Advisor:
    """The advisor for `advisor.kind`: "auto" takes a model that answers and sees, else the rules.

    Args:
        host: address of the Ollama server; "" means there is none. timeout: seconds for one answer.

    Raises:
        UserError: an unknown kind; "ollama", and the server does not answer or lacks the model.
    """
    if kind == "rules":
        return RulesAdvisor()
    if kind not in KINDS:
        raise UserError(f"advisor.kind = {kind!r} is unknown; allowed: {', '.join(KINDS)}")
    if not host and kind == "ollama":
        raise UserError('advisor.kind = "ollama" and advisor.host is empty: no Ollama server is named')
    if not host:
        return RulesAdvisor("no Ollama server is named: the rules advise")
    from engine.advisors.ollama import connect  # httpx and the client cost 0.2 s that runs by rules need not pay

    try:
        advisor = connect(host, model, timeout=timeout)
    except Fault as fault:
        if kind == "ollama":
            raise UserError(f'{fault}; or set advisor.kind = "auto" or "rules"') from fault
        return RulesAdvisor(f"{fault}: the rules advise")
    if kind == "auto" and not advisor.sees:
        return RulesAdvisor(f'{model} sees no images: the rules advise; advisor.kind = "ollama" takes it without plots')
    return advisor

"""What `llmzero check` and `doctor` find of an advisor: the answer of the factory that the engine asks, too.

In a process of its own, because neither the face nor `engine.run.preflight` imports the advisors.
"""

from __future__ import annotations

import json
import subprocess

from engine import own_packages
from engine.errors import one_line
from engine.run.config import AdvisorSection
from engine.run.findings import CheckFinding

ASK_SECONDS = 60.0
"""For the process, which asks a server once; the client itself waits five seconds."""


def look(asked: AdvisorSection) -> CheckFinding:
    """Which advisor a run would have now. `auto` falls back to the rules, so a missing server is only a warning."""
    if asked.kind == "rules":
        return CheckFinding("ok", "advisor", "rules")
    command = [*own_packages.command("engine.advisors.factory"), asked.kind, asked.host, asked.model]
    try:
        done = subprocess.run(
            [*command, str(asked.timeout_seconds)], stdin=subprocess.DEVNULL, capture_output=True, text=True,
            encoding="utf-8", errors="replace", timeout=ASK_SECONDS, check=False,
        )  # fmt: skip
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return CheckFinding("warning", "advisor", f"no answer in {ASK_SECONDS:g} s")
    except ValueError:
        said = one_line(done.stderr.strip().rpartition("\n")[2])[-200:]
        return CheckFinding(
            "error", "advisor", f"the advisor cannot be made: {said or f'it ended with {done.returncode}'}"
        )
    if answer["error"]:
        return CheckFinding("error", "advisor", one_line(answer["error"]))
    return CheckFinding("ok" if answer["sees"] else "warning", "advisor", one_line(answer["text"]))

"""What an Ollama server has: its models, and which of them see images.

`engine.run.advisor_check` asks for `llmzero doctor`, in a process of its own: `python -m engine.advisors.inventory
HOST` prints the outcome as JSON. Nothing is loaded or pulled.
"""

from __future__ import annotations

import json
import sys

from engine.advisors.ollama_client import OllamaClient, OllamaFault
from engine.errors import one_line

ANSWER_SECONDS = 2.0
"""For each question."""


def inventory(host: str) -> dict[str, bool]:
    """The server's models by name, and whether each sees images; a model that cannot be asked does not.

    Raises:
        OllamaFault: one line saying why there was no usable answer.
    """
    client = OllamaClient(host, timeout=ANSWER_SECONDS, stall=ANSWER_SECONDS)
    return {name: _sees(client, name) for name in client.sizes()}


def _sees(client: OllamaClient, name: str) -> bool:
    try:
        return client.card(name).vision
    except OllamaFault:  # one broken model does not hide the others
        return False


def main() -> int:
    """Print the models of the server that is named; or, under "error", why it does not answer."""
    try:
        answer = {"models": inventory(sys.argv[1]), "error": ""}
    except OllamaFault as fault:
        answer = {"models": {}, "error": one_line(str(fault))}
    sys.stdout.write(json.dumps(answer) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

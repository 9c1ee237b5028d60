"""Numbers and stored names in sentences, said one way everywhere. Pure, used by every room and by the face."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime


def counted(number: float, thing: str, things: str = "") -> str:
    """ "1 node", "2 nodes", "0 nodes"; `things` is the plural where an s does not make it."""
    return f"{number} {thing}" if number == 1 else f"{number} {things or thing + 's'}"


INTENTS = {"keep": "continue"}
PATHOLOGIES = {"dead groups": "zero-std groups", "kl spike": "KL spike", "kl-bound plateau": "KL-bound plateau"}
"""Names that a database stores and the field says otherwise; every other name is shown as it is stored."""


def intent_name(stored: str) -> str:
    """An intent as it is read: the stored "keep" is "continue"."""
    return INTENTS.get(stored, stored)


def pathology_name(stored: str) -> str:
    """A pathology as it is read: the stored "dead groups" are "zero-std groups"."""
    return PATHOLOGIES.get(stored, stored)


def advisor_state(
    answered: datetime | None, failing: datetime | None, say: Callable[[datetime], str] = "{:%H:%M}".format
) -> str:
    """ "last answer 13:59 UTC", "failing since 14:03 UTC, last answer 13:59"; "" where no model was asked.

    Args:
        say: how a time is written.
    """
    if failing is None:
        return f"last answer {say(answered)} UTC" if answered else ""
    return f"failing since {say(failing)} UTC, {f'last answer {say(answered)}' if answered else 'no answer yet'}"


def sentence(text: str) -> str:
    """`text` with its first letter large; the others stay as they are."""
    return text[:1].upper() + text[1:]

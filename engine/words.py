"""Numbers and stored names in sentences, said one way everywhere. Pure, used by every room and by the face."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from engine.domain.parameters import Configuration, Value, format_value


def counted(number: float, thing: str, things: str = "") -> str:
    """ "1 node", "2 nodes", "0 nodes"; `things` is the plural where an s does not make it."""
    return f"{number} {thing}" if number == 1 else f"{number} {things or thing + 's'}"


CONTINUING = frozenset({"keep", "curriculum"})
"""The intents, as a database stores them, with which a branch is continued."""
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


def values_text(values: Mapping[str, Value]) -> str:
    """Hyperparameters by their names: "learning_rate 5e-5, beta 0.02"."""
    return ", ".join(f"{name} {format_value(value)}" for name, value in values.items())


def change_text(changes: Configuration, label: str, room: int = 200) -> str:
    """What a segment changes, by the names of the hyperparameters: "beta 0.02". Its label where that needs more than
    `room` characters, or where it changes none: "continue", "base"."""
    names = values_text(changes)
    return names if names and len(names) <= room else label


def sentence(text: str) -> str:
    """`text` with its first letter large; the others stay as they are."""
    return text[:1].upper() + text[1:]

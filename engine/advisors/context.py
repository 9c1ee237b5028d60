"""How long a context a run asks the server for, and how much of the evidence fits into it.

One length for a whole run: every other value makes the server load the model anew. Pure arithmetic on estimates; what
the server counted corrects them. Used by `dialogue.py` and the probe.
"""

from __future__ import annotations

from collections.abc import Sequence

PROMPT_TOKENS = 6000
"""A prompt with its pictures, whatever the size of the tree."""

ANSWER_TOKENS = 1600
THINKING_TOKENS = 6000
"""Room for an answer, and for one whose model thinks first although it was told not to."""

CHARACTERS_PER_TOKEN = 2.2
"""Numbers and tables are dense: the requests in docs/advisors/ have 2.2 to 2.5 with a tokenizer that takes every digit
for a token, as those of SmolLM2 and Qwen do."""

RAISES = 2
"""How often a run may ask for a longer context."""

UNREAD = 0.6
"""A prompt of which the server counts less than this share of what it counted of others like it was cut."""
LEAST_COUNTED = 0.4
"""The same before anything was counted: no tokenizer makes fewer tokens of our tables and pictures."""

PICTURE_PATCH = 28
"""Pixels a side for which a model that sees takes one token (qwen2.5-vl; qwen3-vl takes 32, gemma3 260 a picture)."""
UNKNOWN_PICTURE = 1500


class ContextWindow:
    """The context of one run: its length, the room for an answer, the room for a prompt; all in tokens."""

    def __init__(self, longest: int, *, thinks: bool, length: int = 0) -> None:
        """`longest`: the model's own limit, 0 when unknown. `length`: asked for by the user, and never changed."""
        self._longest = longest
        self._raises = 0 if length else RAISES
        answer = ANSWER_TOKENS + (THINKING_TOKENS if thinks else 0)
        self._wanted = 1024 * -(-(PROMPT_TOKENS + ANSWER_TOKENS + answer) // 1024)
        self._answer = answer
        self.length = length or self._within(self._wanted)
        self._factor = 1.0  # the server's tokens for one of ours, where a prompt was too long
        self._counted: dict[int, float] = {}  # share of our estimate that the server counted, by number of pictures

    @property
    def answer(self) -> int:
        """Tokens of an answer (num_predict): less where the model's context is short."""
        return self._answer if self.length >= self._wanted else min(self._answer, self.length // 4)

    @property
    def prompt(self) -> int:
        """Tokens of a prompt with its pictures: what the answer, and a repair that quotes it, leave."""
        room = self.length - self.answer - min(self.answer, ANSWER_TOKENS)
        return int(min(PROMPT_TOKENS, room) / self._factor)

    def too_long(self) -> None:
        """A prompt did not fit: ask for a longer context, or where none is to be had for shorter prompts."""
        longer = self._within(1024 * -(-self.length * 3 // 2048))
        if self._raises and longer > self.length:
            self._raises -= 1
            self.length = longer
        else:
            self._factor *= 1.5

    def read_whole(self, estimate: int, pictures: int, counted: int) -> bool:
        """Whether the server counted about as many tokens as were sent. It is believed where it says nothing."""
        if counted <= 0 or estimate <= 0:
            return True
        share, usual = counted / estimate, self._counted.get(pictures)
        if share < (LEAST_COUNTED if usual is None else UNREAD * usual):
            return False
        self._counted[pictures] = max(share, usual or 0.0)
        return True

    def _within(self, length: int) -> int:
        return min(length, self._longest) if self._longest else length


def text_tokens(characters: int) -> int:
    """Tokens of a text, estimated on the safe side."""
    return int(characters / CHARACTERS_PER_TOKEN)


def text_length(tokens: int) -> int:
    """Characters that surely fit into so many tokens."""
    return int(tokens * CHARACTERS_PER_TOKEN)


def picture_tokens(pictures: Sequence[bytes]) -> int:
    """Tokens of PNG pictures, from the sizes in their headers."""
    return sum(map(_picture, pictures))


def _picture(png: bytes) -> int:
    if len(png) < 24 or png[12:16] != b"IHDR":
        return UNKNOWN_PICTURE
    width, height = int.from_bytes(png[16:20]), int.from_bytes(png[20:24])
    return round(width / PICTURE_PATCH) * round(height / PICTURE_PATCH) + 2

"""Where two texts differ, word by word and sign by sign: for two answers to one prompt, side by side.

Called by the feed of the samples, in its thread. Bounded: texts that have little in common are simply different in
between what they share at both ends. It never looks at a screen.
"""

from __future__ import annotations

import re

Span = tuple[int, int]
"""First character and the one after the last."""

MOST_EDITS = 300
"""Tokens that may differ before the rest counts as different; the work grows with the square of it."""

_TOKEN = re.compile(r"\w+|\s+|.", re.DOTALL)


def differences(left: str, right: str) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """The spans of `left` that `right` lacks, and those of `right` that `left` lacks.

    What is left of each text without its spans is the same text.
    """
    mine, other = _TOKEN.findall(left), _TOKEN.findall(right)
    head = 0
    while head < min(len(mine), len(other)) and mine[head] == other[head]:
        head += 1
    tail = 0
    while tail < min(len(mine), len(other)) - head and mine[-1 - tail] == other[-1 - tail]:
        tail += 1
    lost, new = _edits(mine[head : len(mine) - tail], other[head : len(other) - tail])
    return _spans(mine, {head + i for i in lost}), _spans(other, {head + i for i in new})


def _edits(mine: list[str], other: list[str]) -> tuple[set[int], set[int]]:
    """The places of the tokens that go and of those that come: Myers' shortest edit, all of both when it is too far."""
    trace: list[dict[int, int]] = []
    reach = {1: 0}
    for edits in range(min(MOST_EDITS, len(mine) + len(other)) + 1):
        trace.append(dict(reach))
        for diagonal in range(-edits, edits + 1, 2):
            down = diagonal == -edits or (diagonal != edits and reach[diagonal - 1] < reach[diagonal + 1])
            x = reach[diagonal + 1] if down else reach[diagonal - 1] + 1
            while x < len(mine) and 0 <= x - diagonal < len(other) and mine[x] == other[x - diagonal]:
                x += 1
            reach[diagonal] = x
            if x >= len(mine) and x - diagonal >= len(other):
                return _back(trace, len(mine), len(other))
    return set(range(len(mine))), set(range(len(other)))


def _back(trace: list[dict[int, int]], x: int, y: int) -> tuple[set[int], set[int]]:
    """Follow the edits from the end of both to their beginning."""
    lost: set[int] = set()
    new: set[int] = set()
    for edits in range(len(trace) - 1, 0, -1):
        reach, diagonal = trace[edits], x - y
        down = diagonal == -edits or (diagonal != edits and reach[diagonal - 1] < reach[diagonal + 1])
        before = diagonal + 1 if down else diagonal - 1
        x, y = reach[before], reach[before] - before
        (new if down else lost).add(y if down else x)
    return lost, new


def _spans(tokens: list[str], places: set[int]) -> tuple[Span, ...]:
    """The tokens at `places` as spans of characters; neighbours are one."""
    spans: list[Span] = []
    at = 0
    for index, token in enumerate(tokens):
        if index in places:
            first = spans.pop()[0] if spans and spans[-1][1] == at else at
            spans.append((first, at + len(token)))
        at += len(token)
    return tuple(spans)

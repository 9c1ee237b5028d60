"""Reads an arithmetic expression without evaluating it as code: + - * / and parentheses over whole numbers.

Used by verifiers; bounded in length, depth and size of numbers, whatever a model wrote.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction

LONGEST = 200
DEEPEST = 20
_TOKENS = re.compile(r"\s*(?:([0-9]{1,6})|([-+*/()]))")


class NotArithmetic(ValueError):
    """The text is no such expression, divides by zero, or is too long or too deep."""


def read(text: str) -> tuple[Fraction, list[int]]:
    """The value of an expression and the numbers in it, in their order.

    Raises:
        NotArithmetic: see there.
    """
    if len(text) > LONGEST:
        raise NotArithmetic(f"longer than {LONGEST} characters")
    reader = _Reader(list(_tokens(text)))
    value = reader.sum(0)
    if reader.tokens:
        raise NotArithmetic(f"{reader.tokens[0]!r} is left over")
    return value, reader.numbers


def reaches(text: str, numbers: Sequence[int], target: int) -> bool:
    """Whether the expression uses exactly these numbers, each as often as given, and its value is `target`."""
    try:
        value, used = read(text)
    except NotArithmetic:
        return False
    return value == target and sorted(used) == sorted(numbers)


def _tokens(text: str) -> Iterator[str]:
    position, text = 0, text.strip()
    while position < len(text):
        match = _TOKENS.match(text, position)
        if match is None:
            raise NotArithmetic(f"{text[position]!r} is no part of an expression")
        position = match.end()
        yield match[1] or match[2]


class _Reader:
    """Recursive descent: sum → product → factor."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens = tokens
        self.numbers: list[int] = []

    def sum(self, depth: int) -> Fraction:
        value = self._product(depth)
        while self.tokens and self.tokens[0] in "+-":
            sign = self.tokens.pop(0)
            right = self._product(depth)
            value = value + right if sign == "+" else value - right
        return value

    def _product(self, depth: int) -> Fraction:
        value = self._factor(depth)
        while self.tokens and self.tokens[0] in "*/":
            sign = self.tokens.pop(0)
            right = self._factor(depth)
            if sign == "/" and right == 0:
                raise NotArithmetic("division by zero")
            value = value * right if sign == "*" else value / right
        return value

    def _factor(self, depth: int) -> Fraction:
        if depth > DEEPEST:
            raise NotArithmetic(f"deeper than {DEEPEST}")
        token = self.tokens.pop(0) if self.tokens else "nothing"
        if token.isascii() and token.isdigit():
            self.numbers.append(int(token))
            return Fraction(int(token))
        if token == "-":
            return -self._factor(depth + 1)
        if token != "(":
            raise NotArithmetic(f"{token!r} where a number is expected")
        value = self.sum(depth + 1)
        if not self.tokens or self.tokens.pop(0) != ")":
            raise NotArithmetic("a parenthesis is left open")
        return value

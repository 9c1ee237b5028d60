"""Which prompts a policy got right, packed for a line of a results file."""

import string

ALPHABET = string.ascii_letters + string.digits + "-_"


def pack(outcomes: str) -> str:
    """Three digits of base 4 as one character, the last ones filled up with zeros."""
    padded = outcomes + "0" * (-len(outcomes) % 3)
    return "".join(ALPHABET[int(padded[i : i + 3], 4)] for i in range(0, len(padded), 3))


def unpack(packed: str, n: int) -> str:
    """The digits of `n` prompts. Raises ValueError for what `pack` did not write."""
    if len(packed) != -(-n // 3):
        raise ValueError(f"{len(packed)} characters cannot be the outcomes of {n} prompts")
    numbers = [ALPHABET.index(each) for each in packed]
    return "".join(f"{number // 16}{number // 4 % 4}{number % 4}" for number in numbers)[:n]

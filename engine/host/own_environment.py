"""Environment variables that a library must not see while it is imported. For what runs before other threads do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Hide variables, in capitals and in small letters, and bring them back afterwards."""
    hidden = {each for name in names for each in (name, name.lower()) if each in os.environ}
    kept = {name: os.environ.pop(name) for name in hidden}
    try:
        yield
    finally:
        os.environ.update(kept)

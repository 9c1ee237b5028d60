"""What the program remembers of a user is not touched by tests."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        where = tmp_path_factory.mktemp("state")
        patch.setitem(os.environ, "XDG_STATE_HOME", str(where))
        yield where

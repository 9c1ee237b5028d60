"""What the program remembers of a user is not touched by tests."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """As in a worker: what is loaded by now stays for good, and no look for garbage goes through it, now or later."""
    gc.disable()
    answer = yield
    gc.freeze()
    gc.enable()
    return answer


def pytest_unconfigure() -> None:
    """Or the interpreter would free nothing of it at its end, and DuckDB's bindings report leaks."""
    gc.unfreeze()


@pytest.fixture(scope="session", autouse=True)
def _own_state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        where = tmp_path_factory.mktemp("state")
        patch.setitem(os.environ, "XDG_STATE_HOME", str(where))
        yield where

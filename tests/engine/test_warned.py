"""What a library warns of is told, the first of each kind; its deprecations are not."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.advisors.rules import RulesAdvisor
from engine.run.config import parse
from engine.training import events
from engine.training.warned import LONGEST, MOST, WarningCollector
from tests.engine import live
from tests.engine.conftest import Spec
from tests.engine.simulated import SimulatedExecutor, search
from tests.engine.test_run_failures import RUN_FILE
from tests.engine.test_worker import Worker, ask, hear
from tests.engine.test_worker import worker as worker


@pytest.fixture
def told() -> Iterator[list[events.LibraryWarning]]:
    found: list[events.LibraryWarning] = []
    handler, show = WarningCollector(found.append), warnings.showwarning
    library = logging.getLogger("some_library")
    library.propagate = False
    handler.listen("some_library")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning = handler.show
            yield found
    finally:
        warnings.showwarning = show
        for logger in (logging.getLogger(), library):
            logger.removeHandler(handler)


def test_a_warning_that_the_full_disk_of_the_log_does_not_take_disturbs_nobody(
    told: list[events.LibraryWarning], monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/full").open("w", buffering=1, encoding="utf-8") as full:
        monkeypatch.setattr(sys, "stderr", full)
        warnings.warn("overflow", RuntimeWarning, stacklevel=1)
        monkeypatch.undo()
        with suppress(OSError):
            full.close()
    assert [each.text for each in told] == ["overflow"]


def test_the_first_warning_of_each_kind_is_told(told: list[events.LibraryWarning]) -> None:
    for step in range(5):
        logging.getLogger("some_library.part").warning("\x1b[1mstep %d: weight 'a%d'\x1b[0m\nis odd", step, step)
        logging.getLogger("another").error("it failed")
        warnings.warn(f"overflow at {step}", RuntimeWarning, stacklevel=1)
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        warnings.warn("older", FutureWarning, stacklevel=1)
        logging.getLogger("engine.training").warning("our own")
        logging.getLogger("some_library").info("nothing")
    assert [(each.source, each.text) for each in told] == [
        ("some_library", "step 0: weight 'a0' is odd"),
        ("another", "it failed"),
        (Path(__file__).stem, "overflow at 0"),
    ]


def test_warnings_are_bounded(told: list[events.LibraryWarning]) -> None:
    for number in range(2 * MOST):
        logging.getLogger("some_library").warning("kind %s " * 200, *["x" * number] * 200)
    assert len(told) == MOST
    assert max(len(each.text) for each in told) <= LONGEST


@pytest.mark.long
def test_a_worker_tells_what_a_library_warns_of(worker: Worker, make_spec: Spec) -> None:
    ask(worker, events.Train(segment=make_spec("Warns", steps=2)))
    while (warned := hear(worker, "warned")).source != "some_library":
        pass
    assert warned.text == "the weights are odd"
    assert hear(worker, "ended").end is events.SegmentEnd.FINISHED


def test_a_run_keeps_the_first_of_each_kind(tmp_path: Path) -> None:
    class Warning_(SimulatedExecutor):
        async def submit(self, job: events.SegmentSpec | events.Evaluate) -> None:
            for number in range(3):
                self._tell(events.LibraryWarning(source="transformers", text=f"key {number} of 3 is missing"))
            await super().submit(job)

    config, where = parse(RUN_FILE.replace("nodes = 12", "nodes = 2")), tmp_path / "warned"
    for _ in range(2):
        state, directory = search(config, where, Warning_(0.0), RulesAdvisor())
        assert state == "finished"
        rows = live.rows(directory, "SELECT level, message FROM events WHERE kind = 'library warning'")
        assert len(rows) == 1
        assert rows[0]["level"] == "warning"
        assert rows[0]["message"].startswith("transformers: key 0")

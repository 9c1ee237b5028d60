"""Where segments train and how busy that is: measured by the worker, kept as metrics, told by `ls` and `show`."""

from __future__ import annotations

import platform
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.analysis.summary import summarise
from engine.run.rundir import RunDirectory
from engine.store.writer import Writer
from engine.training.usage import UsageMeter, device_name
from llmzero_tui.commands.listing import ListedRun, _line
from llmzero_tui.text.facts import device_words, head_lines, read_facts
from tests.unit.cli_process import finished_run


def test_a_cpu_is_busy_while_it_computes_and_idle_while_it_waits() -> None:
    meter = UsageMeter()
    assert "device/utilization" not in meter.read(1.0, 100.0)
    began = time.process_time()
    while time.process_time() - began < 0.2:
        pass
    busy = meter.read(0.2, 300.0)
    assert busy["device/utilization"] > 0
    assert busy["tokens_per_second"] == pytest.approx(1000)
    assert 0.01 < busy["device/memory_gb"] < 100
    assert meter.read(1000.0, None)["device/utilization"] < busy["device/utilization"]


def test_a_gpu_that_does_not_tell_how_busy_it_is_trains_on(monkeypatch: pytest.MonkeyPatch) -> None:
    class NotSupported(Exception):
        """As NVML raises where MIG is on."""

    def refuse(device: int) -> int:
        raise NotSupported(device)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "utilization", refuse)
    monkeypatch.setattr(torch.cuda, "device_memory_used", lambda device: (device + 1) * 10**9)
    assert UsageMeter().read(1.0, None) == {"device/memory_gb": 3.0}


def test_a_device_is_named_with_its_machine() -> None:
    assert device_name() == f"cpu ({platform.node()})"


class Live:
    """A writer's rows as those of a run whose engine lives."""

    live = True

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def rows(self, sql: str, params: Sequence[Any] = ()) -> list[dict[str, Any]]:
        return self._writer.rows(sql, params)


@pytest.fixture
def training(tmp_path: Path) -> tuple[RunDirectory, Writer]:
    """A run whose node 1 trains, for the second time."""
    directory = finished_run(tmp_path / "runs", "one", state="training")
    writer = Writer(directory.database)
    now = datetime(2026, 3, 2, 9)
    for device in ("cpu (lost)", "NVIDIA H200 (node-7)"):
        detail = f'{{"device": "{device}"}}'
        writer.insert("events", level="info", kind="started", node_id=1, message="set up", detail=detail, ts=now)
    for name, value in (("device/utilization", 0.93), ("device/memory_gb", 41.25), ("tokens_per_second", 2150.4)):
        writer.insert("metrics", node_id=1, step=4, name=name, value=value, ts=now)
    writer.update("nodes", {"node_id": 1}, state="running", ended=None, trained_steps=4)
    writer.flush()
    return directory, writer


def test_ls_and_show_tell_what_a_segment_trains_on_now(training: tuple[RunDirectory, Writer]) -> None:
    directory, writer = training
    reader: Any = Live(writer)
    try:
        summary, facts = summarise(reader), read_facts(reader, directory)
    finally:
        writer.close()
    assert summary.as_dict()["devices"] == {"NVIDIA H200 (node-7)": 1}
    assert _line(ListedRun(directory, summary, "training"))[-1] == "NVIDIA H200 (node-7)"
    [node] = facts.running
    assert device_words(node) == "#1 on NVIDIA H200 (node-7), 93% busy, 41.2 GB, 2150 tokens/s"
    assert f"  {device_words(node)}" in list(head_lines(facts))
    assert node.as_dict()["usage"]["device/utilization"] == 0.93


def test_a_run_at_rest_trains_on_nothing(tmp_path: Path) -> None:
    directory = finished_run(tmp_path / "runs", "one")
    writer = Writer(directory.database)
    try:
        reader: Any = Live(writer)
        assert summarise(reader).devices == {}
    finally:
        writer.close()

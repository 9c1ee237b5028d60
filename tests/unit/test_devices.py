"""Which GPUs train and which worker gets which, with a driver that is made up; no GPU is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.executors.local import LocalExecutor
from engine.host import devices, machine
from engine.host.devices import Device
from engine.run import executor_check
from engine.run.config import RunConfig, parse
from engine.run.findings import CheckFinding, Level

GIB = 2**30
FSDP = '[task]\nname = "knights"\n[executor]\ngpus_per_worker = 2\n[training]\nfsdp = true\n'


def gpu(index: int, *pids: int) -> machine.Gpu:
    return machine.Gpu("NVIDIA X", 80 * GIB, 79 * GIB, "580.9", f"GPU-{index}", pids)


@pytest.fixture
def ollama(tmp_path: Path) -> Iterator[int]:
    """The process id of a process that looks like Ollama's."""
    code = "import time; print(flush=True); time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code, "/usr/bin/ollama", "runner"], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()  # until its program runs, the system may know no command line of it
    yield process.pid
    process.kill()
    process.wait()


def config(**executor: object) -> RunConfig:
    return RunConfig.model_validate({"name": "x", "task": {"name": "knights"}, "executor": executor})


def four() -> tuple[Device, ...]:
    return tuple(Device(str(index)) for index in range(4))


def test_each_worker_gets_gpus_of_its_own() -> None:
    assert devices.shares(four(), 4, 1) == [("0",), ("1",), ("2",), ("3",)]
    assert devices.shares(four(), 2, 2) == [("0", "1"), ("2", "3")]


def test_workers_share_gpus_in_turn_where_there_are_too_few() -> None:
    assert devices.shares(four()[:1], 3, 1) == [("0",)] * 3
    assert devices.shares(four()[:3], 2, 2) == [("0", "1"), ("0", "1")]


def test_a_worker_without_gpus_sees_none() -> None:
    assert devices.environment(devices.shares(four(), 1, 0)[0], {})["CUDA_VISIBLE_DEVICES"] == ""


def test_more_gpus_than_there_are_is_one_line() -> None:
    with pytest.raises(UserError, match=r"^executor.gpus_per_worker = 8: this machine has 4 GPUs to train on$"):
        devices.shares(four(), 1, 8)


def test_a_gpu_that_ollama_holds_is_left_alone_unless_there_is_no_other(ollama: int) -> None:
    held, free = gpu(0, ollama), gpu(1, os.getpid())  # this process has no server's name
    visible = devices.visible((held, free), {})
    assert visible == (Device("0", "Ollama"), Device("1"))
    assert devices.shares(visible, 2, 1) == [("1",), ("1",)]
    assert devices.shares(visible[:1], 1, 1) == [("0",)]


def test_only_gpus_that_are_visible_here_are_given_to_workers() -> None:
    gpus = (gpu(0), gpu(1), gpu(2))
    assert devices.visible(gpus, {"CUDA_VISIBLE_DEVICES": "2,GPU-0"}) == (Device("2"), Device("GPU-0"))
    assert devices.visible(gpus, {"CUDA_VISIBLE_DEVICES": ""}) == ()


def found(monkeypatch: pytest.MonkeyPatch, gpus: tuple[machine.Gpu, ...], **executor: object) -> list[CheckFinding]:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return list(executor_check.look(config(**executor), machine.Machine("3", "x", 2, GIB, GIB, gpus)))


def test_check_says_which_gpus_are_idle_and_which_are_held(monkeypatch: pytest.MonkeyPatch, ollama: int) -> None:
    gpus = (gpu(0, ollama), gpu(1), gpu(2), gpu(3))
    [finding] = found(monkeypatch, gpus)
    assert finding.level == "warning"
    assert finding.text == (
        "1 of 4 GPUs train; GPU 0 has Ollama; 2 idle: executor.workers = 3 would use them"
    )  # fmt: skip
    assert found(monkeypatch, gpus, workers=3)[0].level == "ok"
    [finding] = found(monkeypatch, gpus, gpus_per_worker=4)
    assert (finding.level, finding.subject) == ("error", "executor.gpus_per_worker")


def test_check_says_that_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    [finding] = found(monkeypatch, (), workers=2, gpus_per_worker=2)
    assert (finding.level, finding.text) == ("warning", "2 workers of 2 processes share 2 cores")


def test_check_says_that_one_process_divides_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    host = machine.Machine("3", "x", 2, GIB, GIB, ())
    asked = RunConfig.model_validate({"name": "one", "task": {"name": "knights"}, "training": {"fsdp": True}})
    [finding] = (finding for finding in executor_check.look(asked, host) if finding.subject == "training.fsdp")
    assert finding.level == "warning"
    several = parse(FSDP, default_name="one")
    assert "training.fsdp" not in {finding.subject for finding in executor_check.look(several, host)}


@pytest.mark.parametrize("other", ["lora = {rank = 8}", 'optimizer = "adamw-8bit"'])
def test_what_cannot_be_divided_is_refused(other: str) -> None:
    with pytest.raises(UserError, match=r"training.fsdp = true needs training.lora.rank = 0 and") as refused:
        parse(f'name = "one"\n{FSDP}{other}\n')
    assert "\n" not in str(refused.value)


def test_check_wants_ray_where_the_run_file_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "version", lambda package: None)
    [finding] = found(monkeypatch, (), kind="ray")
    assert (finding.level, finding.subject, "EXTRAS=ray" in finding.text) == ("error", "executor.kind", True)
    monkeypatch.setattr(machine, "version", lambda package: "2.60.0")
    assert found(monkeypatch, (gpu(0), gpu(1)), kind="ray", workers=2)[0].level == "ok"


@pytest.mark.parametrize(
    ("executor", "level", "subject", "text"),
    [
        ({"address": "10.0.0.1:6379"}, "error", "executor.address",
         "'10.0.0.1:6379': the address of a Ray cluster needs executor.kind = \"ray\"; \"\" with \"local\""),
        ({"cpus_per_worker": 3}, "error", "executor.cpus_per_worker", "3: this machine has 2 cores; allowed: 0 to 2"),
        ({"cpus_per_worker": 2, "workers": 2}, "warning", "executor.cpus_per_worker",
         "2: 2 workers of 2 cores share 2 cores"),
    ],
)  # fmt: skip
def test_what_this_machine_cannot_give_is_said(
    monkeypatch: pytest.MonkeyPatch, executor: dict[str, object], level: Level, subject: str, text: str
) -> None:
    assert found(monkeypatch, (), **executor) == [CheckFinding(level, subject, text)]


async def test_the_local_executor_starts_each_worker_on_its_own_gpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(machine, "gpus", lambda: (gpu(0), gpu(1), gpu(2), gpu(3)))
    says = "import os; print(os.environ['CUDA_VISIBLE_DEVICES'], os.environ['CUDA_DEVICE_ORDER'])"
    executor = LocalExecutor(2, tmp_path, gpus=2, command=(sys.executable, "-c", says))
    for slot, share in zip(executor._slots, ("0,1", "2,3"), strict=True):
        slot.log.parent.mkdir(exist_ok=True)
        process = executor.spawn(slot)
        assert process.communicate()[0].decode().split() == [share, "PCI_BUS_ID"]


def test_no_worker_takes_a_gpu_that_is_reserved(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,6,7")
    monkeypatch.setattr(machine, "gpus", lambda: tuple(map(gpu, range(8))))
    assert LocalExecutor(3, tmp_path, reserved_gpus=2)._shares == [("4",), ("5",), ("4",)]


def test_workers_of_an_older_run_file_are_the_executors() -> None:
    task = {"name": "x", "task": {"name": "knights"}}
    assert RunConfig.model_validate({**task, "search": {"workers": 3}}).executor.workers == 3
    with pytest.raises(ValueError, match=r"search\.workers is executor\.workers now"):
        RunConfig.model_validate({**task, "search": {"workers": 3}, "executor": {"workers": 3}})

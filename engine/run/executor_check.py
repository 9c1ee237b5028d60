"""What `engine.run.preflight` finds of the workers: cores and GPUs they share, and what stays idle."""

from __future__ import annotations

import os
from collections.abc import Iterator

from engine.errors import UserError, short
from engine.host import devices, machine, threads
from engine.host.machine import Machine
from engine.run.config import RunConfig
from engine.run.findings import CheckFinding
from engine.words import counted


def look(config: RunConfig, here: Machine) -> Iterator[CheckFinding]:
    """What the workers train on."""
    if config.training.fsdp and config.executor.processes == 1:
        text = "true: a worker has one process, which holds all; executor.gpus_per_worker says how many divide it"
        yield CheckFinding("warning", "training.fsdp", text)
    if config.executor.kind == "ray":
        yield _ray(config)
        return
    yield from _of_this_machine(config, here)
    visible = devices.visible(here.gpus, os.environ)
    visible = visible[: max(0, len(visible) - config.training.vllm.reserved_gpus)]
    yield from _gpus(config, visible) if visible else _cores(config, here)


def _ray(config: RunConfig) -> CheckFinding:
    installed, asked = machine.version("ray"), config.executor
    if installed is None:
        text = f'"ray" needs Ray, which is not installed; `{machine.install_command("ray")}`, or "local"'
        return CheckFinding("error", "executor.kind", text)
    where = asked.address or "this machine's cluster, or RAY_ADDRESS"
    return CheckFinding("ok", "executor.kind", f"Ray {installed}, {counted(asked.workers, 'worker')}, {where}")


def _of_this_machine(config: RunConfig, here: Machine) -> Iterator[CheckFinding]:
    """What is asked of this machine and only a cluster could have."""
    address, workers, each = config.executor.address, config.executor.workers, config.executor.cpus_per_worker
    if address:
        text = f'{short(address)}: the address of a Ray cluster needs executor.kind = "ray"; "" with "local"'
        yield CheckFinding("error", "executor.address", text)
    if each > here.cores:
        text = f"{each}: this machine has {counted(here.cores, 'core')}; allowed: 0 to {here.cores}"
        yield CheckFinding("error", "executor.cpus_per_worker", text)
    elif each * workers > here.cores:
        text = f"{each}: {workers} workers of {counted(each, 'core')} share {counted(here.cores, 'core')}"
        yield CheckFinding("warning", "executor.cpus_per_worker", text)


def _cores(config: RunConfig, here: Machine) -> Iterator[CheckFinding]:
    asked, processes = config.executor, config.executor.processes
    if asked.workers * processes > here.cores:
        each = f" of {processes} processes" if processes > 1 else ""
        text = f"{counted(asked.workers, 'worker')}{each} share {counted(here.cores, 'core')}"
        yield CheckFinding("warning", "executor.workers", text)
    elif warning := threads.oversubscribed(config.training.threads, asked.workers * processes, here.cores):
        yield CheckFinding("warning", "training.threads", f"{config.training.threads}: {warning}")


def _gpus(config: RunConfig, visible: tuple[devices.Device, ...]) -> Iterator[CheckFinding]:
    asked, each = config.executor, config.executor.gpus_per_worker
    try:
        shares = devices.shares(visible, asked.workers, each)
    except UserError as error:
        subject, _, text = str(error).partition(" = ")
        yield CheckFinding("error", subject, text)
        return
    used = {name for share in shares for name in share}
    may = [device for device in devices.trainable(visible) if device.name not in used]
    text = f"{len(used)} of {counted(len(visible), 'GPU')} train"
    for device in visible:
        if device.held_by:
            text += f"; GPU {device.name} has {device.held_by}" + (", and trains too" if device.name in used else "")
    if each and len(used) < asked.workers * each:
        text += f"; {counted(asked.workers, 'worker')} share them"
    if each and len(may) >= each:
        text += f"; {len(may)} idle: executor.workers = {asked.workers + len(may) // each} would use them"
    elif may:
        text += f"; {len(may)} idle"
    shared = any(device.held_by and device.name in used for device in visible)
    yield CheckFinding("warning" if may or shared else "ok", "GPUs", text)

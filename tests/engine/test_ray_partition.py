"""A machine of a Ray cluster that is cut off from the network while it trains: a raylet in a network namespace of its
own, behind one link, which goes down and comes up again. Needs the right to make one."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from engine.run.rundir import RunDirectory
from tests.engine import acknowledged, live

ray = pytest.importorskip("ray", reason="needs Ray: make test-ray")
pytestmark = pytest.mark.ray

NAME, LINK = "llmzero-far", "llmzero-far0"
HERE, THERE = "10.213.7.1", "10.213.7.2"
BLINK_SECONDS = 3.0
QUICK_CHECKS = {"health_check_period_ms": 500, "health_check_timeout_ms": 1000, "health_check_failure_threshold": 5}


class FarMachine:
    """A network namespace with a raylet of one core, which is started again when it ends, as a service would be."""

    @contextmanager
    def in_cluster(self, address: str) -> Iterator[None]:
        ray_command = Path(sys.executable).parent / "ray"
        raylet = f"{ray_command} start --address {address} --node-ip-address {THERE} --num-cpus 1 --block"
        command = ["ip", "netns", "exec", NAME, "sh", "-c", f"while :; do {raylet}; done"]
        service = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            service.kill()
            for each in self.processes():
                each.kill()
            service.wait()

    def link(self, state: str) -> None:
        ip(f"link set {LINK} {state}")

    def processes(self) -> list[psutil.Process]:
        return [psutil.Process(int(pid)) for pid in ip(f"netns pids {NAME}").split() if psutil.pid_exists(int(pid))]

    def workers(self) -> list[psutil.Process]:
        return [each for each in self.processes() if is_worker(each)]


def ip(command: str) -> str:
    return subprocess.run(["ip", *command.split()], check=True, capture_output=True, text=True).stdout


def is_worker(process: psutil.Process) -> bool:
    try:
        return "engine.training.worker" in process.cmdline()
    except psutil.Error:
        return False


@pytest.fixture
def link() -> Iterator[None]:
    """A network namespace behind a link."""
    try:
        ip(f"netns add {NAME}")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("needs the right to make network namespaces")
    try:
        ip(f"link add {LINK} type veth peer name inner netns {NAME}")
        for command in (f"addr add {HERE}/30 dev {LINK}", f"link set {LINK} up"):
            ip(command)
        for command in (f"addr add {THERE}/30 dev inner", "link set inner up", "link set lo up"):
            ip(f"-n {NAME} {command}")
        yield
    finally:
        ip(f"netns del {NAME}")


@contextmanager
def cluster(**checks: int) -> Iterator[Any]:
    """A head that runs nothing and a machine of one core, on this end of the link."""
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "node_ip_address": HERE, "_system_config": checks}
    )
    try:
        made.add_node(num_cpus=1, node_ip_address=HERE)
        yield made
    finally:
        made.shutdown()


@contextmanager
def run(where: Path, address: str) -> Iterator[RunDirectory]:
    """A run whose two workers train a segment each."""
    directory = live.create(where, nodes=7, segment_steps=60, workers=2, kind="ray", address=address)
    live.start(directory)
    try:
        both = "SELECT 1 FROM metrics WHERE step >= 2 HAVING count(DISTINCT node_id) = 2"
        live.wait_for_rows(directory, both)
        yield directory
    finally:
        live.kill(directory)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("checks", [{}, QUICK_CHECKS], ids=["the engine gives it up", "Ray gives it up first"])
def test_a_machine_that_is_cut_off_is_given_up_and_used_once_it_is_back(
    link: None, tmp_path: Path, checks: dict[str, int]
) -> None:
    """A cut of seconds costs nothing. After a long one Ray ends the raylet, if it noticed."""
    with ExitStack() as stack:
        address = stack.enter_context(cluster(**checks)).address
        far = FarMachine()
        stack.enter_context(far.in_cluster(address))
        directory = stack.enter_context(run(tmp_path, address))
        far.link("down")
        time.sleep(BLINK_SECONDS)  # the length of the cut is what is tried
        far.link("up")
        live.wait_for_rows(directory, "SELECT 1 FROM checkpoints WHERE step = 30 HAVING count(*) = 2")
        assert requeued(directory) == []
        far.link("down")
        live.wait_for("the segment to be given up", lambda: requeued(directory))
        assert far.workers() == [], "what was cut off still trains the segment that is to go on elsewhere"
        before = acknowledged.rows(directory)
        far.link("up")
        live.wait_for("the machine to be used again", far.workers, 240)
        assert_ended_whole(directory, before)


def requeued(directory: RunDirectory) -> list[dict[str, Any]]:
    return live.rows(directory, "SELECT message FROM events WHERE kind = 'requeued'")


def assert_ended_whole(directory: RunDirectory, before: Counter[acknowledged.Row]) -> None:
    assert live.wait_for_end(directory, 300) == "finished", directory.log.read_text()
    assert len(requeued(directory)) == 1
    assert acknowledged.lost(directory, before) == []
    assert acknowledged.doubled(directory) == []
    assert live.rows(directory, "SELECT count(*) AS n FROM nodes WHERE state = 'finished'") == [{"n": 8}]
    live.wait_for("the workers to be gone", lambda: not live.workers_in(directory), 20)

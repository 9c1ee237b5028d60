"""A worker of a cluster lives as long as the engine renews its lease, whatever else its process does."""

from __future__ import annotations

import subprocess
import sys
import time

import psutil

ACTOR = """
import subprocess, sys, time
from engine.executors import lease
lease.LEASE_SECONDS = 1.0
worker = subprocess.Popen(["sleep", "600"], start_new_session=True)
granted = lease.GrantedLease(lambda: [worker.pid])
print(worker.pid, flush=True)
for _ in sys.stdin:
    granted.renew()
    print("renewed", flush=True)
time.sleep(600)  # a call that blocks
"""


def test_an_actor_that_hears_nothing_ends_with_its_worker_and_one_that_is_renewed_lives() -> None:
    actor = subprocess.Popen(
        [sys.executable, "-c", ACTOR], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert actor.stdin is not None
    assert actor.stdout is not None
    worker = psutil.Process(int(actor.stdout.readline()))
    for _ in range(8):
        time.sleep(0.25)  # twice the lease together: time is what is tried
        actor.stdin.write("\n")
        assert actor.stdout.readline() == "renewed\n"
    assert worker.is_running()
    actor.stdin.close()
    assert actor.wait(30) == 1
    worker.wait(30)

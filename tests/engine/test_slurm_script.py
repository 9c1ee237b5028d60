"""The job script of docs/clusters.md, SLURM's commands played by stubs: a real run is preempted and goes on."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from engine.run.rundir import RunDirectory
from tests.engine import live
from tests.unit.cli_process import ROOT

SCRIPT = ROOT / "docs" / "examples" / "slurm.sh"
STUBS = {
    "scontrol": 'if [ "$1" = show ]; then echo node1; else echo "$@" >> requeued; fi',
    "srun": 'echo "$@" >> started',
    "ray": "exit 0",
}
"""One machine, on which Ray has started: the run file trains locally."""


@pytest.fixture
def job(tmp_path: Path) -> dict[str, str]:
    """The environment of a job; its commands are found before any others."""
    commands = tmp_path / "commands"
    commands.mkdir()
    for name, text in STUBS.items():
        (commands / name).write_text(f"#!/bin/bash\n{text}\n")
        (commands / name).chmod(stat.S_IRWXU)
    paths = [str(commands), str(Path(sys.executable).parent), os.environ["PATH"]]
    slurm = {"SLURM_JOB_NODELIST": "node1", "SLURM_NNODES": "1", "SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "2"}
    clean = {name: value for name, value in os.environ.items() if name != "LLMZERO_RUNS"}
    return {**clean, **slurm, "PATH": ":".join(paths), "OMP_NUM_THREADS": "1"}


@pytest.mark.slow
def test_a_job_that_is_preempted_saves_queues_itself_again_and_goes_on(job: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text('name = "my-run"\n' + live.SMALL.format(**{**live.DEFAULTS, "nodes": 2}))
    command = ["bash", str(SCRIPT), "my.toml", "my-run"]
    directory = RunDirectory(tmp_path / "runs" / "my-run")
    first = subprocess.Popen(command, cwd=tmp_path, env=job)
    try:
        live.wait_for_rows(directory, "SELECT 1 FROM metrics WHERE step >= 2")
        first.send_signal(signal.SIGTERM)
        assert first.wait(120) == 0
    finally:
        first.kill()
    assert (tmp_path / "requeued").read_text() == "requeue 7\n"
    assert (tmp_path / "started").read_text().split()[-5:] == ["ray", "start", "--head", "--port=6379", "--block"]
    assert directory.holder() is None
    [before] = live.rows(directory, "SELECT node_id, trained_steps FROM nodes WHERE trained_steps > 0")
    assert (directory.segment(before["node_id"]) / f"checkpoint-{before['trained_steps']}" / "manifest.json").is_file()
    assert subprocess.run(command, cwd=tmp_path, env=job, timeout=240, check=False).returncode == 0
    assert live.rows(directory, "SELECT state FROM runs") == [{"state": "finished"}]
    after = live.rows(directory, "SELECT state, trained_steps FROM nodes WHERE node_id = ?", before["node_id"])
    assert after == [{"state": "finished", "trained_steps": 6}]

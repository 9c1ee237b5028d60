"""Where a model runs while training has the GPU."""

from __future__ import annotations

import pytest

from engine.advisors.placement import RESERVE, is_local, place

GB = 10**9


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("http://127.0.0.1:11434", True), ("http://localhost:11434", True), ("http://[::1]:11434", True),
        ("127.0.0.1:11434", True), ("http://10.0.0.5:11434", False), ("https://ollama.example:443", False),
    ],
)  # fmt: skip
def test_the_loopback_is_this_machine(host: str, local: bool) -> None:
    assert is_local(host) is local


def test_a_model_that_fits_beside_the_training_leaves_the_gpu_after_its_answer() -> None:
    found = place("http://localhost:11434", 20 * GB, 6 * GB, 0)
    assert (found.keep_alive, found.on_cpu, found.options) == (0, False, {})


def test_a_model_that_does_not_fit_runs_on_the_cpu() -> None:
    found = place("http://localhost:11434", 6 * GB, 6 * GB, 0)
    assert (found.keep_alive, found.on_cpu, found.options) == (0, True, {"num_gpu": 0})
    assert "on the CPU" in found.why


def test_what_is_loaded_already_counts_as_its_own_room() -> None:
    assert not place("http://localhost:11434", RESERVE + 2 * GB, 6 * GB, 6 * GB).on_cpu


@pytest.mark.parametrize("host", ["http://10.0.0.5:11434", "http://localhost:11434"])
def test_without_a_shared_gpu_the_model_stays_loaded(host: str) -> None:
    free = 1 * GB if "10." in host else None
    assert place(host, free, 6 * GB, 0).keep_alive == "10m"


def test_a_model_of_unknown_size_is_not_trusted_to_fit() -> None:
    assert place("http://localhost:11434", 80 * GB, 0, 0).on_cpu

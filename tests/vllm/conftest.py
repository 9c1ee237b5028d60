"""What the tests of vLLM share: a tiny model with heads as wide as vLLM's kernels want, and segments."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from engine.testing.executors import Spec, spec_builder
from engine.training.events import VllmSpec

HEAD = 32
"""Width of a head; vLLM on a CPU has no kernel for the 24 of the shipped bases."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test of this folder needs the package."""
    missing = importlib.util.find_spec("vllm") is None
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.vllm)
            if missing:
                item.add_marker(pytest.mark.skip(reason="vLLM is not installed; docs/vllm.md says how"))


@pytest.fixture(scope="session")
def wide_base(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An untrained policy of 0.4M parameters with its tokenizer."""
    import torch
    from transformers import Qwen3ForCausalLM

    from tasks.tiny_model import build_model, build_tokenizer

    directory = tmp_path_factory.mktemp("base")
    config = build_model().config
    config.head_dim = HEAD
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(directory)
    build_tokenizer().save_pretrained(directory)
    return str(directory)


@pytest.fixture
def vllm_spec(wide_base: str, tmp_path: Path) -> Spec:
    """Builds the specification of a short segment whose completions vLLM generates."""
    build = spec_builder(wide_base, tmp_path)

    def with_vllm(task: str = "Letters", **changes: object) -> object:
        return build(task, **({"vllm": VllmSpec(longest=16, sequences=32)} | changes))

    return with_vllm  # type: ignore[return-value]

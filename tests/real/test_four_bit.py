"""A base in 4 bits (QLoRA), by bitsandbytes: an adapter stands on it, and it answers nearly as the whole one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from engine.training import lora, policy
from engine.training.events import LoraSpec

pytestmark = pytest.mark.real
pytest.importorskip("bitsandbytes", reason="needs the extra 8bit")


@pytest.fixture
def base(tmp_path: Path) -> str:
    """A random model of layers as wide as two blocks of 64 weights, which bitsandbytes' CPU kernels need."""
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=64, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=32, tie_word_embeddings=True,
    )  # fmt: skip
    Qwen3ForCausalLM(config).save_pretrained(tmp_path / "base")
    return str(tmp_path / "base")


def test_the_base_is_kept_in_four_bits_and_the_adapter_in_float32(base: str) -> None:
    model = lora.load_policy(base, LoraSpec(rank=4, scaling=2.0, four_bit=True), base, torch.float32)
    inner = model.get_base_model().model.layers[0].self_attn.q_proj
    assert type(inner.base_layer).__name__ == "Linear4bit"
    assert inner.base_layer.weight.dtype == torch.uint8
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert trained
    assert {weight.dtype for weight in trained} == {torch.float32}
    whole = policy.load_model(base)
    tokens = torch.arange(16)[None]
    with torch.no_grad():
        ours, theirs = model.eval()(input_ids=tokens).logits, whole.eval()(input_ids=tokens).logits
    assert 0 < float((ours - theirs).norm() / theirs.norm()) < 0.2
    lora.forget()


def test_a_checkpoint_is_merged_into_the_whole_base(base: str, tmp_path: Path) -> None:
    model = lora.load_policy(base, LoraSpec(rank=4, scaling=2.0, four_bit=True), base, torch.float32)
    (tmp_path / "checkpoint").mkdir()
    lora.save_adapter(model, tmp_path / "checkpoint")
    lora.forget()
    merged, whole = lora.merged(base, str(tmp_path / "checkpoint")), policy.load_model(base)
    for name, weight in whole.named_parameters():  # an adapter that has not been trained adds nothing
        assert torch.equal(dict(merged.named_parameters())[name], weight)

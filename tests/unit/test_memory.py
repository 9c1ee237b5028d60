"""What training takes of memory and disk, by the sizes of the model, and what `check` says of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from engine.domain.memory import (
    EVALUATION_BYTES,
    EVALUATION_PROMPTS,
    LayerSizes,
    TrainingSizes,
    estimate,
    evaluation_batch,
    sequence_bytes,
)
from engine.domain.space import Space
from engine.errors import UserError
from engine.host import machine
from engine.host.model_files import ModelFiles, read_model
from engine.run import memory_check
from engine.run.config import RunConfig, parse
from engine.run.evaluation_sizes import settled
from engine.run.findings import CheckFinding
from tests.unit.cli_process import ROOT

GIB = 1024**3
QWEN_8B = TrainingSizes(
    parameters=8_190_000_000, vocabulary=151_936, layers=LayerSizes(36, 4096, 12_288, 4096, 1024),
    weight=2, compute=2, micro_batch=4, gpu=True,
)  # fmt: skip


def config(text: str = "") -> RunConfig:
    return parse(f'[task]\nname = "knights"\n{text}', default_name="one")


def space(beta: str) -> Space:
    return config(f"[space.beta]\n{beta}\n").build_space({})


def of(text: str, *, beta: str = "fixed = 0.0", gpu: bool = False) -> TrainingSizes:
    shapes = {f"layers.{i}.q_proj.weight": (4096, 4096) for i in range(400)}
    model = ModelFiles("x", 8_000_000_000, 150_000, 4096, shapes=shapes, layers=QWEN_8B.layers)
    return memory_check.sizes(config(text), model, space(beta), 100, gpu=gpu)


def test_full_training_in_fp32_keeps_weights_gradients_and_two_moments() -> None:
    parts = estimate(replace(QWEN_8B, weight=4, compute=4))
    assert parts.weights == parts.gradients == 4 * QWEN_8B.parameters
    assert parts.optimizer == 8 * QWEN_8B.parameters
    assert parts.reference == 0
    assert parts.total > 16 * QWEN_8B.parameters


def test_bf16_weights_and_8_bit_moments_halve_and_quarter_what_is_kept() -> None:
    bf16 = estimate(QWEN_8B)
    assert bf16.weights + bf16.gradients + bf16.optimizer == 8 * QWEN_8B.parameters
    assert estimate(replace(QWEN_8B, eight_bit=True)).optimizer < 0.6 * bf16.optimizer


def test_a_reference_is_counted_where_a_segment_can_have_a_penalty() -> None:
    assert not of("", beta="fixed = 0.0").penalty
    assert of("", beta="low = 0.001\nhigh = 0.1").penalty
    assert of("", beta="fixed = 0.04").penalty
    assert estimate(replace(QWEN_8B, penalty=True)).reference == 2 * QWEN_8B.parameters


def test_an_adapter_takes_a_fraction_of_the_memory_and_of_the_disk() -> None:
    full, lora = of("[training]\nmicro_batch = 2\n", gpu=True), of("[training.lora]\nrank = 16\n", gpu=True)
    assert (full.weight, lora.weight) == (4, 2)
    assert estimate(full).total > 16 * full.parameters
    assert lora.parameters * 2 < estimate(lora).weights < lora.parameters * 2.2
    assert lora.checkpoint == 12 * lora.adapter
    assert full.checkpoint == 12 * full.parameters


def test_a_trained_head_has_a_gradient_of_its_own_and_a_cpu_holds_more_tiles() -> None:
    frozen = replace(QWEN_8B, adapter=1000)
    assert estimate(QWEN_8B).logits - estimate(frozen).logits == 4 * 151_936 * 4096
    assert estimate(replace(frozen, gpu=False)).logits == 2.75 * estimate(frozen).logits


def test_logits_are_counted_by_the_tile_and_not_as_a_whole() -> None:
    many = replace(QWEN_8B, micro_batch=64, adapter=1000)
    whole = 4 * 64 * (many.prompt + many.completion) * many.vocabulary
    assert estimate(many).logits < whole / 10


def test_a_step_and_an_evaluation_are_not_at_the_same_time() -> None:
    small = estimate(replace(QWEN_8B, scored=8, completion=8, micro_batch=1))
    long = estimate(replace(QWEN_8B, scored=30_000, completion=8, micro_batch=1, prompts=64))
    kept = long.weights + long.optimizer + long.process
    assert long.total == kept + long.generation
    assert small.total < long.total


def test_an_evaluation_of_long_answers_asks_fewer_prompts_at_once() -> None:
    short, long = (sequence_bytes(QWEN_8B.layers, QWEN_8B.vocabulary, n, 2) for n in (128, 4096))
    assert evaluation_batch(long) * long <= EVALUATION_BYTES < (evaluation_batch(long) + 1) * long
    assert evaluation_batch(short) > evaluation_batch(long)
    assert evaluation_batch(1) == EVALUATION_PROMPTS
    assert evaluation_batch(10 * EVALUATION_BYTES) == 1


def test_the_sizes_of_a_shipped_model_are_read_from_its_files() -> None:
    model = read_model(str(ROOT / "assets" / "tiny" / "knights"))
    assert model.layers == LayerSizes(layers=3, hidden=96, intermediate=256, query=96, key_value=48)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("[budget]\nsteps = 100\n[search]\nsegment_steps = 50", 5),  # two segments of two, and the soup
        ("[budget]\nsteps = 0\nnodes = 1", 3),
        ("[budget]\nsteps = 100000", 18),
        ("[budget]\nsteps = 0\nminutes = 5", 18),
    ],
)
def test_no_more_checkpoints_are_on_the_disk_than_the_budget_trains(text: str, kept: int, tmp_path: Path) -> None:
    assert memory_check.kept_checkpoints(config(text)) == kept
    assert f"{kept} checkpoints of" in memory_check.disk(config(text), of(text), tmp_path).text


def told(here: machine.Machine, text: str) -> CheckFinding:
    [finding] = memory_check.memory(config(text), of(text, gpu=bool(here.gpus)), here)
    return finding


@pytest.mark.parametrize("mode", ["colocate", "server"])
def test_where_vllm_generates_no_memory_is_kept_for_transformers(mode: str) -> None:
    vllm = config(f'[training]\nvllm = "{mode}"\n').training.vllm
    long = replace(QWEN_8B, scored=30_000, prompts=64)
    before, after = estimate(long), estimate(memory_check.with_vllm(vllm, long, 80 * GIB))
    assert before.generation > before.gradients + before.activations + before.logits
    assert after.generation == (int(0.3 * 80 * GIB) if mode == "colocate" else 0)


def test_a_vllm_that_stays_awake_is_counted_beside_the_step() -> None:
    awake = replace(QWEN_8B, vllm=24 * GIB)
    asleep = replace(awake, sleeps=True)
    assert estimate(awake).total - estimate(replace(QWEN_8B, vllm=0)).total == 24 * GIB
    assert estimate(asleep).total < estimate(awake).total


def test_on_a_cpu_vllm_takes_a_copy_of_the_weights_and_a_cache() -> None:
    here = machine.Machine("3", "x", 2, 900 * GIB, 800 * GIB, ())
    assert "of each 33.4 GB for vLLM" in told(here, '[training]\nvllm = "colocate"\n').text


def test_an_evaluation_takes_no_more_memory_than_its_prompts() -> None:
    sizes = "[evaluation]\nvalidation_prompts = 8\nrerank_prompts = 8\ntest_prompts = 8\n"
    few, many = (replace(of(text), batch=1, scored=64) for text in (sizes, ""))
    assert (few.asked, many.asked) == (8, settled(config()).evaluation.test_prompts)
    assert estimate(few).generation < estimate(many).generation


def test_the_completions_of_several_steps_may_be_there_at_once() -> None:
    shapes = {"layers.0.q_proj.weight": (8, 8)}
    model = ModelFiles("x", 8_000_000_000, 150_000, 4096, shapes=shapes, layers=QWEN_8B.layers)
    for text, together in (("", 32), ("[space.steps_per_generation]\nchoices = [1, 4]\n", 128)):
        asked = config(text)
        assert memory_check.sizes(asked, model, asked.build_space({}), 100, gpu=True).batch == together


VLLM_AWAKE = 'vllm = {mode = "colocate", sleep = false}\n'


def test_workers_are_counted_on_each_gpu_and_vllm_takes_its_share() -> None:
    card = machine.Gpu("Test GPU", 80 * GIB, 79 * GIB, "1")
    text = "[search]\nworkers = 4\n[training]\nmicro_batch = 1\nbatch_size = 8\n{}[training.lora]\nrank = 8\n"
    one = told(machine.Machine("3", "x", 2, GIB, GIB, (card,)), text.format(""))
    two = told(machine.Machine("3", "x", 2, GIB, GIB, (card, card)), text.format(""))
    assert one.text.startswith("about ")
    assert "for 4 workers" in one.text
    assert "for 2 workers on each GPU" in two.text
    shared = told(machine.Machine("3", "x", 2, GIB, GIB, (card, card)), text.format('vllm = "colocate"\n'))
    assert "of each 25.8 GB for vLLM while it generates on each GPU" in shared.text
    awake = told(machine.Machine("3", "x", 2, GIB, GIB, (card, card)), text.format(VLLM_AWAKE))
    assert "of each 25.8 GB for vLLM on each GPU" in awake.text


def test_what_does_not_fit_is_an_error_that_says_what_helps() -> None:
    small = machine.Machine("3", "x", 2, 16 * GIB, 8 * GIB, ())
    short = "[training]\nmicro_batch = 1\n[space.max_completion_length]\nfixed = 64\n"
    [full] = memory_check.memory(config(short), replace(of(short), completion=64, scored=64), small)
    assert full.level == "error"
    assert "[training.lora] rank = 16" in full.text
    adapter = told(small, "[training]\nmicro_batch = 32\n[training.lora]\nrank = 8\n")
    assert "a smaller training.micro_batch or shorter completions help" in adapter.text


def test_the_processes_of_a_worker_divide_what_is_kept_and_each_gathers_the_weights_to_generate() -> None:
    of_one, of_four = (estimate(replace(QWEN_8B, penalty=True, shards=shards)) for shards in (1, 4))
    for part in ("weights", "reference", "optimizer"):
        assert of_four.parts()[part] == of_one.parts()[part] // 4
    assert of_one.gradients // 4 < of_four.gradients < of_one.gradients // 2
    assert of_four.generation == of_one.generation + QWEN_8B.kept
    assert of_four.total < of_one.total / 2
    assert of("[executor]\ngpus_per_worker = 4\n[training]\nfsdp = true\n").shards == 4


def test_several_gpus_of_a_worker_that_each_hold_all_are_told_to_divide_it() -> None:
    card = machine.Gpu("a", 80 * GIB, 80 * GIB, "1")
    host = machine.Machine("3", "x", 8, 512 * GIB, 512 * GIB, (card, card))
    text = "[executor]\ngpus_per_worker = 2\n[training]\nmicro_batch = 2\n"
    [finding] = memory_check.memory(config(text), of(text, gpu=True), host)
    assert finding.level == "error"
    assert "training.fsdp = true or an adapter" in finding.text


def test_a_base_in_four_bits_takes_half_a_byte_for_each_weight_of_its_linear_layers() -> None:
    whole = of("[training]\ndtype = 'bf16'\n[training.lora]\nrank = 16\n", gpu=True)
    four = of("[training]\ndtype = 'bf16'\n[training.lora]\nrank = 16\nbase = 'nf4'\n", gpu=True)
    saved = estimate(whole).weights - estimate(four).weights
    assert saved == pytest.approx((2 - 0.516) * QWEN_8B.layers.linear, rel=1e-3)
    assert 0.8 * QWEN_8B.parameters < QWEN_8B.layers.linear < QWEN_8B.parameters


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[training]\nvllm.mode = 'colocate'\nlora = {rank = 8, base = 'nf4'}\n", 'needs vllm.mode = "off"'),
        ("[training.lora]\nrank = 8\nbase = 'int4'\n", "base"),
    ],
)
def test_four_bits_where_they_cannot_be_are_refused_in_one_line(text: str, words: str) -> None:
    with pytest.raises(UserError) as refused:
        config(text)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)

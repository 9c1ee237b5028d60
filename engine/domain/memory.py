"""How much memory and disk the training of a model takes, computed from its sizes before anything is loaded.

Used by `engine.run.memory_check` for a run file, by evaluations for the size of a batch, and by
benchmarks/real_models.py, which holds the estimates against real runs. Pure arithmetic in bytes: nothing is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

PROCESS_BYTES = 900 * 1024**2
"""A worker beside the model on a CPU: Python, torch, TRL."""
CUDA_BYTES = 1200 * 1024**2
"""The same on a GPU: CUDA's context, its libraries' workspaces, what the allocator cannot use."""
CHECKPOINTING_PARAMETERS = 100_000_000
"""Above so many weights activations are computed again in the backward pass, on a GPU."""
EVALUATION_PROMPTS = 256
"""Prompts that an evaluation answers at once, at most."""
EVALUATION_BYTES = 4 * 1024**3
"""What the prompts that an evaluation answers at once may take for their keys, values and logits."""
_EIGHT_BIT = 2.1  # bytes of two moments of 8 bits, with their scales
_FOUR_BIT = 0.516  # bytes of a 4-bit weight with its doubly quantized scales (QLoRA, arXiv 2305.14314, section 3)
_ADAPTER = 4  # bytes of a weight of an adapter, which stays in fp32
_BESIDE = 1.2  # what the backward pass needs for itself, and the allocator leaves unused
_BESIDE_ADAPTER = 1.75  # on a CPU: an adapter's outputs are freed between what is kept, and the heap stays in pieces
_TILE_TOKENS, _TILE_VOCABULARY = 4096, 32_768  # TRL's head works in tiles: the logits are never there as a whole
_TILES_GPU = 3  # of 4 bytes: the tile, made a gradient in place, and what the products with it need
_TILES_CPU = 8.25  # the same without Triton: TRL's backward pass holds a tile, eight more and a mask at once


@dataclass(frozen=True, slots=True)
class LayerSizes:
    """Sizes of a decoder; 0 where they are not known.

    Attributes:
        layers: how many. hidden: width between layers. intermediate: width of the gated layer.
        query, key_value: width of all query heads, and of all key heads, together.
    """

    layers: int = 0
    hidden: int = 0
    intermediate: int = 0
    query: int = 0
    key_value: int = 0

    @property
    def linear(self) -> int:
        """Weights of the linear layers, without the head."""
        return self.layers * self.hidden * (2 * self.query + 2 * self.key_value + 3 * self.intermediate)


@dataclass(frozen=True, slots=True)
class TrainingSizes:
    """What decides the memory of a worker.

    Attributes:
        parameters, vocabulary, layers: of the model. adapter: weights of the adapter, 0 where all are trained.
        four_bit: whether the linear layers of the model are kept in 4 bits.
        weight, compute: bytes of a weight of the model, and of what is computed.
        eight_bit: whether Adam's moments have 8 bits. penalty: whether a KL penalty is possible.
        batch, micro_batch: completions that are generated together, and those of a pass. prompt, completion: tokens of
            the longest.
        tokenizer: bytes of the tokenizer's files, of which each checkpoint has a copy.
        scored: tokens of an answer in an evaluation; prompts: that it answers at once, 0 as many as fit; asked: that
            the largest evaluation has.
        shards: processes that divide weights, gradients and moments among them (FSDP); each gathers all weights to
            generate.
        gpu: whether it lies on one. vllm: bytes that vLLM takes of this memory where it generates, its copy of the
            weights among them, 0 for a server's; None where Transformers generates. sleeps: whether they are given back
            while the policy is trained.
    """

    parameters: int
    vocabulary: int
    layers: LayerSizes
    adapter: int = 0
    tokenizer: int = 0
    four_bit: bool = False
    weight: int = 4
    compute: int = 4
    eight_bit: bool = False
    penalty: bool = False
    batch: int = 32
    micro_batch: int = 32
    prompt: int = 128
    completion: int = 512
    scored: int = 512
    prompts: int = 0
    asked: int = EVALUATION_PROMPTS
    shards: int = 1
    gpu: bool = False
    vllm: int | None = None
    sleeps: bool = False

    @property
    def kept(self) -> int:
        """Bytes of the model's weights."""
        small = self.layers.linear if self.four_bit else 0
        return (self.parameters - small) * self.weight + round(small * _FOUR_BIT)

    @property
    def trained(self) -> int:
        """Weights that are trained."""
        return self.adapter or self.parameters

    @property
    def trained_weight(self) -> int:
        """Bytes of one of them."""
        return _ADAPTER if self.adapter else self.weight

    @property
    def moments(self) -> int:
        """Bytes of the optimizer's state; torch's AdamW keeps it in the type of the weights."""
        return int(self.trained * (_EIGHT_BIT if self.eight_bit else 2 * self.trained_weight))

    @property
    def checkpoint(self) -> int:
        """Bytes of a checkpoint on disk: weights (or the adapter), the optimizer's state and the tokenizer."""
        return self.trained * self.trained_weight + self.moments + self.tokenizer


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of one worker. A step, and an evaluation or a rollout, are not at the same time: the larger counts.

    Attributes:
        weights: with the adapter and the copies that autocast makes. reference: 0 where no KL penalty is possible.
        optimizer: Adam's moments. gradients, activations, logits: of one forward and backward pass.
        generation: keys, values and logits of a step's rollouts or of an evaluation's prompts, or a vLLM that sleeps
            while the policy is trained. vllm: one that does not.
        process: what is there without a model.
    """

    weights: int
    reference: int
    optimizer: int
    gradients: int
    activations: int
    logits: int
    generation: int
    vllm: int
    process: int

    @property
    def total(self) -> int:
        """Bytes at the worst moment."""
        step = self.gradients + self.activations + self.logits
        return self.weights + self.reference + self.optimizer + self.vllm + self.process + max(step, self.generation)

    def parts(self) -> Mapping[str, int]:
        """The parts by name."""
        return asdict(self)


def estimate(of: TrainingSizes) -> MemoryEstimate:
    """What one worker takes of the memory that the model lies in."""
    copies = of.parameters * of.compute if of.compute < of.weight and not of.four_bit and of.shards == 1 else 0
    tokens = of.micro_batch * (of.prompt + of.completion)
    trained = of.trained * of.trained_weight
    rollouts = of.batch * sequence_bytes(of.layers, of.vocabulary, of.prompt + of.completion, of.compute)
    one = sequence_bytes(of.layers, of.vocabulary, of.prompt + of.scored, of.compute)
    generation = max(rollouts, one * min(of.prompts or evaluation_batch(one), of.asked))
    layer = trained // max(1, of.layers.layers) if of.shards > 1 else 0
    if of.shards > 1:
        generation += of.kept
    return MemoryEstimate(
        weights=of.kept // of.shards + copies + (trained if of.adapter else 0),
        reference=trained // of.shards if of.penalty else 0,
        optimizer=of.moments // of.shards,
        gradients=trained // of.shards + 2 * layer,
        activations=int(tokens * _activations(of) * (_BESIDE_ADAPTER if of.adapter and not of.gpu else _BESIDE)),
        logits=_logits(of, tokens),
        generation=generation if of.vllm is None else of.vllm if of.sleeps else 0,
        vllm=0 if of.sleeps else of.vllm or 0,
        process=CUDA_BYTES if of.gpu else PROCESS_BYTES,
    )


def sequence_bytes(layers: LayerSizes, vocabulary: int, tokens: int, compute: int) -> int:
    """Of one sequence while it is generated: keys and values of all its tokens, and the logits of the last one in fp32
    as scored, sorted, exponentiated and drawn from."""
    return tokens * layers.layers * 2 * layers.key_value * compute + 4 * 4 * vocabulary


def evaluation_batch(sequence: int) -> int:
    """Prompts that an evaluation answers at once when each takes so many bytes."""
    return max(1, min(EVALUATION_PROMPTS, EVALUATION_BYTES // max(1, sequence)))


def _logits(of: TrainingSizes, tokens: int) -> int:
    """Bytes of the head in a backward pass: its tiles, and where it is trained its own gradient in fp32, beside that of
    the embedding it is tied to."""
    tile = 4 * min(tokens, _TILE_TOKENS) * min(of.vocabulary, _TILE_VOCABULARY)
    head = 0 if of.adapter else 4 * of.vocabulary * of.layers.hidden
    return int((_TILES_GPU if of.gpu else _TILES_CPU) * tile) + head


def _activations(of: TrainingSizes) -> int:
    """Bytes that a token leaves for the backward pass: what norms (in fp32), attention and the gated layer keep."""
    sizes = of.layers
    layer = 4 * 6 * sizes.hidden + of.compute * (2 * sizes.hidden + 4 * sizes.query + 4 * sizes.intermediate)
    if of.gpu and of.parameters > CHECKPOINTING_PARAMETERS:
        return of.compute * sizes.hidden * sizes.layers + layer
    return layer * sizes.layers

"""Which hyperparameters there are: those that every run searches, those that a run file may name, and hard limits.

Data only, read by `engine.domain.ranges` and by `llmzero new`. An entry of `OPTIONAL` is off, at TRL's own default,
until a task or a run file names it.
"""

from __future__ import annotations

from collections.abc import Mapping

from engine.domain.parameters import Parameter, ParameterKind, ParameterScale, Value

GENERAL: Mapping[str, Parameter] = {
    p.name: p
    for p in (
        Parameter(
            "learning_rate", "lr", ParameterKind.REGULARIZATION, 1e-7, 1e-3, 2e-6, ParameterScale.LOG,
            "step size of Adam, constant within a segment", trl="learning_rate",
        ),
        Parameter(
            "beta", "kl", ParameterKind.REGULARIZATION, 1e-3, 0.5, 0.02, ParameterScale.LOG,
            "weight of the KL penalty against the reference policy; 0 is off", zero=True, trl="beta",
        ),
        Parameter(
            "temperature", "temp", ParameterKind.REGULARIZATION, 0.6, 1.5, 1.0, ParameterScale.LINEAR,
            "sampling temperature of the rollouts", trl="temperature",
        ),
        Parameter(
            "max_completion_length", "length", ParameterKind.CAPACITY, 64, 2048, 512, ParameterScale.LOG,
            "tokens a rollout may have", integer=True, trl="max_completion_length",
        ),
        Parameter(
            "num_generations", "group", ParameterKind.CAPACITY, 4, 32, 8, ParameterScale.CHOICE,
            "completions per prompt: the size of a group; divides the batch",
            integer=True, choices=(4, 8, 16, 32), trl="num_generations",
        ),
        Parameter(
            "max_grad_norm", "grad", ParameterKind.REGULARIZATION, 0.1, 5.0, 1.0, ParameterScale.LOG,
            "the gradient's norm is clipped to this", trl="max_grad_norm",
        ),
    )
}  # fmt: skip
"""Searched in every run: few, each with an effect that a segment can show."""


def _category(name: str, label: str, choices: tuple[Value, ...], doc: str, source: str) -> Parameter:
    """A categorical hyperparameter of TRL's; the first choice is TRL's default."""
    return Parameter(
        name, label, ParameterKind.REGULARIZATION, 0, 0, choices[0], ParameterScale.CATEGORY, doc,
        choices=choices, trl=name, source=source,
    )  # fmt: skip


OPTIONAL: Mapping[str, Parameter] = {
    p.name: p
    for p in (
        _category(
            "loss_type", "loss", ("dapo", "grpo", "dr_grpo", "bnpo", "cispo", "sapo"),
            "how the losses of tokens are summed; cispo caps the policy ratio at 5, luspo takes it of sequences",
            "TRL; dapo arXiv 2503.14476, dr_grpo 2503.20783, cispo 2506.13585, sapo 2511.20347, luspo 2602.05261",
        ),
        _category(
            "scale_rewards", "scale", ("group", "batch", "none"),
            "what rewards are divided by: the std of their group, that of the batch, or nothing",
            "Dr. GRPO, arXiv 2503.20783; PPO Lite, arXiv 2508.08221",
        ),
        _category(
            "importance_sampling_level", "ratio", ("token", "sequence"),
            "whether the policy ratio is of a token or of the whole completion",
            "GSPO, arXiv 2507.18071",
        ),
        _category(
            "mask_truncated_completions", "mask", (False, True),
            "whether truncated completions are left out of the loss",
            "DAPO, arXiv 2503.14476",
        ),
        Parameter(
            "epsilon_high", "clip", ParameterKind.REGULARIZATION, 0.2, 0.4, 0.2, ParameterScale.LINEAR,
            "upper clipping range of the policy ratio; acts only when rollouts are used more than once",
            trl="epsilon_high", source="DAPO, arXiv 2503.14476",
        ),
    )
}  # fmt: skip
"""Searched when the task or the run file names them; each is TRL's own default until then."""

NAMES: Mapping[str, tuple[Value, ...]] = {
    "loss_type": ("dapo", "grpo", "dr_grpo", "bnpo", "cispo", "sapo", "luspo", "vespo"),
}
"""All that a category may be made of, where that is more than what is searched when a run file only names it."""

LIMITS: Mapping[str, tuple[float, float]] = {
    "learning_rate": (1e-10, 1e-2),
    "beta": (1e-6, 10.0),
    "temperature": (0.05, 5.0),
    "max_completion_length": (1, 131_072),
    "num_generations": (2, 1024),
    "max_grad_norm": (1e-3, 100.0),
    "epsilon_high": (0.01, 10.0),
}
"""Beyond these a value is a mistake, whatever the run file says (TRL takes lr 10 without a word)."""

LORA_RATE = 10
"""An adapter wants some ten times the learning rate of full training (docs/lora.md)."""

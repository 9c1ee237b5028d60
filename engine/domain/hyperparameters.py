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


PROMPTS = "prompts_per_step"
"""Times num_generations it is the batch; without it the batch is training.batch_size."""

SYNC_STEPS = 16
"""Steps between two synchronizations of the reference; TRL's 512 are longer than a segment."""

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
        _category(
            "use_adaptive_entropy", "adapt", (False, True),
            "whether entropy_coef follows entropy_target, step by step, from the start of each segment",
            "Skywork-OR1, arXiv 2505.22312",
        ),
        _category(
            "sync_ref_model", "sync", (False, True),
            "whether the KL reference follows the policy within a segment; of no effect with beta 0",
            "TR-DPO, arXiv 2404.09656",
        ),
        _category(
            "lr_scheduler_type", "decay", ("constant", "linear", "cosine"),
            "how the learning rate goes within a segment: as it is, or down to 0 at its end",
            "Transformers",
        ),
        Parameter(
            "epsilon_high", "clip", ParameterKind.REGULARIZATION, 0.2, 0.4, 0.2, ParameterScale.LINEAR,
            "upper clipping range of the policy ratio; acts only when rollouts are used more than once",
            trl="epsilon_high", source="DAPO, arXiv 2503.14476",
        ),
        Parameter(
            "epsilon", "clip_lo", ParameterKind.REGULARIZATION, 0.1, 0.4, 0.2, ParameterScale.LINEAR,
            "lower clipping range of the policy ratio, the upper one too unless epsilon_high is named",
            trl="epsilon", source="PPO, arXiv 1707.06347",
        ),
        Parameter(
            "delta", "delta", ParameterKind.REGULARIZATION, 1.5, 20.0, 0, ParameterScale.LOG,
            "highest policy ratio where the advantage is negative (two-sided clipping); 0 is off",
            zero=True, trl="delta", source="INTELLECT-2, arXiv 2505.07291",
        ),
        Parameter(
            "num_iterations", "reuse", ParameterKind.REGULARIZATION, 1, 4, 1, ParameterScale.LINEAR,
            "times that rollouts are trained on; above 1 the policy ratio is clipped",
            integer=True, trl="num_iterations", source="GRPO, arXiv 2402.03300",
        ),
        Parameter(
            "steps_per_generation", "stale", ParameterKind.REGULARIZATION, 1, 8, 1, ParameterScale.CHOICE,
            "GRPO steps that share one generation of rollouts, a part each; above 1 the policy ratio is clipped",
            integer=True, choices=(1, 2, 4, 8), trl="steps_per_generation", source="PPO, arXiv 1707.06347",
        ),
        Parameter(
            "top_p", "top_p", ParameterKind.REGULARIZATION, 0.8, 1.0, 1.0, ParameterScale.LINEAR,
            "rollouts are sampled from the most likely tokens of this mass; 1 is off",
            trl="top_p", source="nucleus sampling, arXiv 1904.09751",
        ),
        Parameter(
            "top_k", "top_k", ParameterKind.REGULARIZATION, 10, 200, 0, ParameterScale.LOG,
            "rollouts are sampled from so many of the most likely tokens; 0 is off",
            integer=True, zero=True, trl="top_k", source="top-k sampling, arXiv 1805.04833",
        ),
        Parameter(
            "min_p", "min_p", ParameterKind.REGULARIZATION, 0.01, 0.2, 0, ParameterScale.LOG,
            "rollouts leave out tokens of less than this share of the likeliest one's probability; 0 is off",
            zero=True, trl="min_p", source="min-p sampling, arXiv 2407.01082",
        ),
        Parameter(
            "weight_decay", "wd", ParameterKind.REGULARIZATION, 1e-3, 0.1, 0, ParameterScale.LOG,
            "AdamW's decay of the weights; 0 is off",
            zero=True, trl="weight_decay", source="AdamW, arXiv 1711.05101",
        ),
        Parameter(
            "entropy_coef", "ent", ParameterKind.REGULARIZATION, 1e-4, 0.02, 0, ParameterScale.LOG,
            "weight of the entropy bonus in the loss; 0 is off",
            zero=True, trl="entropy_coef", source="A3C, arXiv 1602.01783",
        ),
        Parameter(
            "entropy_target", "ent_t", ParameterKind.REGULARIZATION, 0.05, 2.0, 0.2, ParameterScale.LOG,
            "nats per token below which the entropy bonus acts; only with use_adaptive_entropy",
            trl="entropy_target", source="Skywork-OR1, arXiv 2505.22312",
        ),
        Parameter(
            "top_entropy_quantile", "top_h", ParameterKind.REGULARIZATION, 0.2, 1.0, 1.0, ParameterScale.LINEAR,
            "share of the tokens, those of the highest entropy, that are trained on; 1 is all",
            trl="top_entropy_quantile", source="Beyond the 80/20 rule, arXiv 2506.01939",
        ),
        Parameter(
            "ref_model_mixup_alpha", "mix", ParameterKind.REGULARIZATION, 0.2, 1.0, 0.6, ParameterScale.LINEAR,
            "share of the policy in the KL reference at each synchronization; only with sync_ref_model",
            trl="ref_model_mixup_alpha", source="TR-DPO, arXiv 2404.09656",
        ),
        Parameter(
            "ref_model_sync_steps", "every", ParameterKind.REGULARIZATION, 4, 256, SYNC_STEPS, ParameterScale.LOG,
            "GRPO steps between two synchronizations, counted in each segment; only with sync_ref_model",
            integer=True, trl="ref_model_sync_steps", source="TR-DPO, arXiv 2404.09656",
        ),
        Parameter(
            PROMPTS, "batch", ParameterKind.CAPACITY, 2, 32, 4, ParameterScale.CHOICE,
            "prompts of a GRPO step, each with a group of completions; in place of training.batch_size",
            integer=True, choices=(2, 4, 8, 16, 32), trl="generation_batch_size",
            source="gradient noise scale, arXiv 1812.06162",
        ),
        Parameter(
            "warmup_steps", "warm", ParameterKind.REGULARIZATION, 0, 20, 0, ParameterScale.LINEAR,
            "GRPO steps at the start of a segment in which the learning rate rises from 0",
            integer=True, trl="warmup_steps", source="Transformers",
        ),
    )
}  # fmt: skip
"""Searched when the task or the run file names them; until then each is off, as in TRL's defaults."""

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
    "epsilon": (0.01, 0.99),
    "delta": (1.0, 1000.0),
    "num_iterations": (1, 64),
    "steps_per_generation": (1, 64),
    "top_p": (0.05, 1.0),
    "top_k": (1, 1_000_000),
    "min_p": (1e-4, 1.0),
    "weight_decay": (1e-6, 1.0),
    "entropy_coef": (1e-6, 1.0),
    "entropy_target": (1e-3, 20.0),
    "top_entropy_quantile": (0.01, 1.0),
    "ref_model_mixup_alpha": (0.01, 1.0),
    "ref_model_sync_steps": (1, 100_000),
    "prompts_per_step": (1, 65_536),
    "warmup_steps": (0, 100_000),
}
"""Beyond these a value is a mistake, whatever the run file says (TRL takes lr 10 without a word)."""

LORA_RATE = 10
"""An adapter wants some ten times the learning rate of full training (docs/lora.md)."""

"""What the rules advisor does about what: coordinated moves as data.

A plan names parameters that a space may lack or may have fixed; what cannot move is left out by `applying`, which has
the arithmetic. Used by `rules` only, no evidence is read here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from engine.domain.space import KLReference, Value

TASK = "task"
"""In a plan: every capacity parameter that belongs to the task (difficulty), moved by a share of its range."""

MIDDLE = "the middle of the range"
"""In a plan: the middle of the range on the parameter's scale, for a value that is far from it."""


@dataclass(frozen=True, slots=True)
class MoveStep:
    """A move of one parameter: a factor (log), a difference (linear), places (choices), a share of the range (TASK).

    `to` instead names the value: a category's, "off", or MIDDLE. `clipping`: of no use while the policy ratio is not
    clipped.
    """

    name: str
    by: float
    why: str
    to: Value | None = None
    clipping: bool = False


@dataclass(frozen=True, slots=True)
class MovePlan:
    """Several moves made together, and the effect that would prove them right.

    Attributes:
        earlier: branch from before the trouble began where such a checkpoint is offered.
        reference: what the KL penalty is measured against afterwards; None keeps the parent's.
        lead: parameters of which one must move, or the plan is not itself; empty when any will do.
    """

    title: str
    steps: tuple[MoveStep, ...]
    expected: str
    earlier: bool = False
    reference: KLReference | None = None
    lead: tuple[str, ...] = ()


SLOWER = MoveStep("learning_rate", 0.5, "smaller steps")
REMEDIES: Mapping[str, Sequence[MovePlan]] = {
    "entropy collapse": (
        MovePlan(
            "restore exploration",
            (
                MoveStep("learning_rate", 0.4, "slower updates, so that entropy stops falling"),
                MoveStep("temperature", 0.15, "more diverse rollouts"),
                MoveStep("epsilon_high", 0.08, "lets rare tokens gain probability", clipping=True),
            ),
            "entropy stays above its value at the end of this segment, and validation of sampled answers does not fall",
            earlier=True,
        ),
        MovePlan(
            "reward entropy",
            (
                MoveStep("entropy_coef", 3.0, "a bonus for entropy in the loss"),
                MoveStep("use_adaptive_entropy", 0, "the bonus grows while entropy is below its target", to=True),
                MoveStep("entropy_target", 1.5, "the bonus acts from a higher entropy on"),
                MoveStep("top_p", 0.1, "no likely tokens alone"),
                MoveStep("top_k", 0, "no likely tokens alone", to=0),
                MoveStep("learning_rate", 0.7, "smaller updates beside the new term"),
            ),
            "entropy stays above its value at the end of this segment, and validation of sampled answers does not fall",
            earlier=True,
            lead=("entropy_coef", "use_adaptive_entropy"),
        ),
    ),
    "kl spike": (
        MovePlan(
            "keep the policy closer to the reference model",
            (MoveStep("beta", 2.5, "stronger KL penalty"), SLOWER),
            "kl stays below three times its average, and reward is not lower than before the spike",
            earlier=True,
        ),
    ),
    "kl-bound plateau": (
        MovePlan(
            "relax the KL penalty",
            (
                MoveStep("beta", 0.4, "the KL penalty limits the reward"),
                MoveStep("learning_rate", 1.4, "faster updates within the relaxed constraint"),
            ),
            "reward leaves its plateau within the segment while validation holds",
        ),
        MovePlan(
            "reset the reference model to the branch point",
            (
                MoveStep("temperature", 0.1, "wider exploration around the new reference"),
                MoveStep("learning_rate", 0.8, "smaller updates, because the KL penalty restarts at 0"),
            ),
            "kl restarts at 0 and reward leaves its plateau",
            reference=KLReference.BRANCH,
        ),
        MovePlan(
            "let the reference model follow the policy",
            (
                MoveStep("sync_ref_model", 0, "the KL penalty limits a step, no longer the distance", to=True),
                MoveStep("ref_model_sync_steps", 0.5, "the reference follows sooner"),
                MoveStep("ref_model_mixup_alpha", 0.2, "and by more"),
                MoveStep("learning_rate", 0.8, "smaller updates, because the KL penalty holds less"),
            ),
            "kl falls at each synchronization and reward leaves its plateau",
            lead=("sync_ref_model", "ref_model_sync_steps", "ref_model_mixup_alpha"),
        ),
    ),
    "dead groups": (
        MovePlan(
            "restore reward variance within groups",
            (
                MoveStep(TASK, 0.34, "prompts that are neither all solved nor all failed"),
                MoveStep("num_generations", 1, "more completions per prompt"),
                MoveStep("prompts_per_step", 1, "of more groups some give a gradient"),
                MoveStep("temperature", 0.15, "more diverse completions"),
            ),
            "fewer zero-std groups than at the end of this segment",
        ),
    ),
    "truncation": (
        MovePlan(
            "allow longer completions",
            (
                MoveStep("max_completion_length", 1.6, "completions are truncated at the limit"),
                MoveStep("mask_truncated_completions", 0, "a cut answer is not a wrong one", to=True),
                MoveStep("learning_rate", 0.8, "smaller updates at the new length"),
            ),
            "fewer truncated completions, and validation rises",
            lead=("max_completion_length", "mask_truncated_completions"),
        ),
        MovePlan(
            "encourage shorter completions",
            (
                MoveStep("temperature", -0.15, "a high temperature makes completions run into the limit"),
                MoveStep("min_p", 2.0, "fewer of the unlikely tokens that lead astray"),
                MoveStep("learning_rate", 0.7, "smaller steps"),
            ),
            "fewer truncated completions",
        ),
    ),
    "rambling": (
        MovePlan(
            "shorten completions first, lengthen them later",
            (
                MoveStep("max_completion_length", 0.75, "length grew without a gain in reward"),
                MoveStep("loss_type", 0, "a loss that does not favour long wrong completions", to="dr_grpo"),
                MoveStep("scale_rewards", 0, "no weight by how alike the rewards of a group are", to="none"),
                MoveStep("temperature", -0.1, "more focused completions"),
            ),
            "mean length falls and validation does not",
            lead=("max_completion_length", "loss_type", "scale_rewards"),
        ),
    ),
    "gradient explosion": (
        MovePlan(
            "stabilize the gradient",
            (
                MoveStep("max_grad_norm", 0.5, "clip the remaining spikes"),
                SLOWER,
                MoveStep("prompts_per_step", 1, "a gradient of more prompts is less noisy"),
                MoveStep("warmup_steps", 5, "the learning rate rises once Adam has seen some gradients"),
            ),
            "grad_norm stays below three times its average",
            earlier=True,
        ),
    ),
    "off-policy drift": (
        MovePlan(
            "keep updates closer to the sampling policy",
            (
                MoveStep("num_iterations", -1, "fewer updates from the same rollouts"),
                MoveStep("steps_per_generation", -1, "fresher rollouts"),
                MoveStep("importance_sampling_level", 0, "a ratio of the completion varies less", to="sequence"),
                MoveStep("delta", 2.0, "a bound on the ratio where the advantage is negative", clipping=True),
                MoveStep("epsilon", -0.05, "ratios are clipped earlier", clipping=True),
                SLOWER,
                MoveStep("max_grad_norm", 0.7, "smaller updates"),
                MoveStep("beta", 1.6, "stronger KL penalty"),
            ),
            "clip ratio and log-probability difference return to their initial values",
        ),
    ),
    "sampler mismatch": (
        MovePlan(
            "keep updates within what was sampled",
            (
                MoveStep("learning_rate", 0.4, "the policy moves less between two sendings of its weights"),
                MoveStep("num_iterations", -1, "fewer updates from rollouts of another policy"),
                MoveStep("steps_per_generation", -1, "fresher rollouts"),
                MoveStep("max_grad_norm", 0.7, "smaller updates"),
                MoveStep("temperature", -0.1, "fewer of the unlikely tokens, whose probabilities differ most"),
            ),
            "the log-probability difference returns to its initial value",
            earlier=True,
        ),
    ),
    "reward hacking": (
        MovePlan(
            "realign training reward with validation",
            (
                MoveStep("beta", 2.5, "reward hacking moves the policy away from the reference model"),
                SLOWER,
                MoveStep("weight_decay", 3.0, "holds back what only the training prompts teach"),
                MoveStep(TASK, 0.34, "training prompts closer to the target difficulty"),
            ),
            "training reward and validation move together again",
            earlier=True,
        ),
    ),
    "collapse": (
        MovePlan(
            "recover",
            (
                MoveStep("learning_rate", 1 / 3, "the previous step size destroyed what was learned"),
                MoveStep("beta", 2.0, "stronger KL penalty"),
                MoveStep("temperature", -0.1, "less noisy samples"),
            ),
            "validation returns to its value at the start of this segment",
            earlier=True,
        ),
        MovePlan(
            "recover with larger groups",
            (
                SLOWER,
                MoveStep("num_generations", 1, "less noisy advantage estimates"),
                MoveStep("beta", 2.0, "stronger KL penalty"),
            ),
            "validation returns to its value at the start of this segment",
            earlier=True,
        ),
    ),
    "plateau": (
        MovePlan(
            "leave the plateau",
            (
                MoveStep("temperature", 0.15, "wider exploration"),
                MoveStep("learning_rate", 1.8, "faster updates"),
            ),
            "reward leaves its plateau within the segment",
        ),
        MovePlan(
            "average the gradient over more prompts",
            (
                MoveStep("prompts_per_step", 1, "noise may hide the gradient of a small batch"),
                MoveStep("learning_rate", 1.4, "a less noisy gradient carries larger steps"),
            ),
            "reward leaves its plateau within the segment, with less scatter between steps",
            lead=("prompts_per_step",),
        ),
    ),
}
"""By the name of the diagnosis; the first plan is the first choice."""

EXPLORE: Sequence[MovePlan] = (
    MovePlan(
        "increase capacity",
        (
            MoveStep(TASK, 0.34, "prompts closer to the target difficulty, now that the current ones are learned"),
            MoveStep("max_completion_length", 1.25, "allows longer answers"),
            MoveStep("num_generations", 1, "less noisy advantage estimates while the task changes"),
        ),
        "training reward dips at first, and validation exceeds the parent's within the segment",
        lead=(TASK, "max_completion_length"),
    ),
    MovePlan(
        "speed up learning",
        (
            MoveStep("learning_rate", 1.8, "training is stable"),
            MoveStep("num_iterations", 1, "more updates from the same rollouts"),
        ),
        "validation rises faster than in the parent",
    ),
    MovePlan(
        "explore more",
        (
            MoveStep("temperature", 0.2, "wider exploration"),
            MoveStep("num_generations", 1, "less noisy advantage estimates"),
        ),
        "validation of sampled answers rises, and greedy validation does not fall",
    ),
    MovePlan(
        "refine",
        (
            MoveStep("num_generations", 1, "less noisy advantage estimates"),
            MoveStep("prompts_per_step", 1, "less noisy gradients"),
            MoveStep("beta", 0.5, "less noisy updates need a weaker KL penalty"),
            MoveStep("top_entropy_quantile", -0.3, "updates only where the policy is undecided"),
        ),
        "less noise between checkpoints, and validation not lower than the parent's",
    ),
    MovePlan(
        "explore less",
        (
            MoveStep("temperature", -0.2, "sharpens what already works"),
            MoveStep("num_generations", 1, "more completions make up for less variety"),
        ),
        "validation of sampled answers rises towards greedy",
    ),
)
"""When nothing is wrong, or when every remedy has been tried: what might be better than to continue unchanged.

None lowers the learning rate. A lower rate looks better over a short trial and costs the run later (short-horizon bias,
arXiv 1803.02021); docs/search.md has what that cost here. Remedies and the annealed end lower it. None raises beta:
where training is healthy that costs (docs/search.md, "What paid").
"""


OUT_OF_MEMORY = MovePlan(
    "reduce memory",
    (
        MoveStep("max_completion_length", 0.75, "shorter completions use less memory"),
        MoveStep("num_generations", -1, "smaller groups"),
        MoveStep("prompts_per_step", -1, "fewer completions are generated together"),
    ),
    "",
)
UNSTABLE = MovePlan(
    "stabilize",
    (MoveStep("learning_rate", 1 / 3, "smaller steps"), MoveStep("max_grad_norm", 0.5, "stronger gradient clipping")),
    "",
)
SAME = MovePlan("retry", (), "")
"""Repairs of a failed segment, by how it failed."""

"""From the curves of one segment to named pathologies, numbers first (docs/advisors.md).

Every advisor starts from these; a language model gets them beside the plots. Pure arithmetic: thresholds are relative
to the segment's own beginning, because absolute ones do not transfer between models. It must survive any curve: metrics
that are missing, None, NaN, or too short simply say nothing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from engine.advisors.base import Diagnosis, Series, Signal
from engine.domain.score import Score
from engine.domain.space import Configuration, format_value, numeric
from engine.domain.tree import Checkpoint

HEALTHY = "healthy"
CONTRADICTIONS = frozenset(
    frozenset(pair)
    for pair in (
        ("reward hacking", "plateau"),  # the training reward rises, or it is flat
        ("reward hacking", "kl-bound plateau"),
        ("reward hacking", "rambling"),
        ("collapse", "plateau"),  # validation falls, or nothing moves
        ("collapse", "kl-bound plateau"),
        ("plateau", "kl-bound plateau"),  # the second names the cause of the first
    )
)
"""Pairs of which only the more severe is told."""
ABSURD = 1e30
"""A metric of this size is as good as infinite, and its square would overflow."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a signal speaks. Shares are of the metric's own baseline, `errors` are standard errors of a difference."""

    shortest: int = 8  # steps below which a curve says nothing
    window: float = 0.2  # share of the segment that is "the beginning" and "the end", at least 4 steps
    errors: float = 2.0  # a change smaller than this many standard errors is flat
    entropy_drop: float = 0.5
    spike: float = 3.0  # multiple of the 90th percentile of kl or grad_norm: their tails are heavy
    kl_growth: float = 2.5
    kl_moved: float = 1e-3  # nats a token below which the policy has hardly moved, however KL, 0 at first, grows
    kl_share: float = 0.1  # beta * kl as a share of the reward's spread: the penalty binds
    dead_groups: float = 0.5
    truncated: float = 0.2
    longer: float = 0.5
    drift_ratio: float = 5.0
    clipped_ratio: float = 0.2
    logp_noise: float = 0.01  # nats a token between vLLM and trainer below which it is rounding, however it grows
    logp_difference: float = 0.1  # nats a token from which it is none, even if it was always there


LIMITS = Thresholds()


@dataclass(frozen=True, slots=True)
class CleanCurve:
    """A metric over a segment, cleaned: finite values only, steps ascending; `broken` counts NaN and infinities."""

    metric: str
    steps: tuple[int, ...]
    values: tuple[float, ...]
    broken: tuple[int, ...]
    window: int

    @property
    def baseline(self) -> float:
        return statistics.fmean(self.values[: self.window])

    @property
    def recent(self) -> float:
        return statistics.fmean(self.values[-self.window :])

    @property
    def error(self) -> float:
        """Standard error of `recent - baseline`, from the scatter within the two windows."""
        first, last = self.values[: self.window], self.values[-self.window :]
        return math.sqrt((statistics.variance(first) + statistics.variance(last)) / self.window)

    @property
    def signal(self) -> Signal:
        return Signal(self.metric, self.baseline, self.recent, self.steps[-self.window], self.steps[-1])

    def rose(self, errors: float) -> bool:
        return self.recent - self.baseline > errors * self.error

    def fell(self, errors: float) -> bool:
        return self.baseline - self.recent > errors * self.error

    def text(self) -> str:
        """ "entropy 1.82 → 0.71 (−61%, steps 1–10 vs. 41–50)"."""
        percent = 100 * (self.recent / self.baseline - 1) if self.baseline else math.inf
        share = f"{percent:+.0f}%, ".replace("-", "−") if abs(percent) < 1000 else ""
        first, last = self.steps[: self.window], self.steps[-self.window :]
        return (
            f"{self.metric} {short(self.baseline)} → {short(self.recent)} "
            f"({share}steps {first[0]}–{first[-1]} vs. {last[0]}–{last[-1]})"
        )


@dataclass(frozen=True, slots=True)
class SegmentCurves:
    """What the checks look at: cleaned curves, the validation scores in order, and the segment's configuration."""

    curves: Mapping[str, CleanCurve]
    start: Score | None
    checkpoints: tuple[Checkpoint, ...]
    configuration: Configuration

    def curve(self, *names: str) -> CleanCurve | None:
        return next((self.curves[name] for name in names if name in self.curves), None)

    @property
    def first_score(self) -> Score | None:
        if self.start is not None:
            return self.start
        return self.checkpoints[0].score if len(self.checkpoints) > 1 else None

    @property
    def gain(self) -> float | None:
        """Change of the validation score over the segment in standard errors of the difference; None if unknown."""
        if self.first_score is None or not self.checkpoints:
            return None
        return self.checkpoints[-1].score.minus(self.first_score).errors

    def validation(self) -> str:
        """ "validation 0.31 → 0.38 (n 256, SE of the change 0.03)"; "no validation score" before the first."""
        if not self.checkpoints:
            return "no validation score"
        last = self.checkpoints[-1].score
        if self.first_score is None:
            return f"validation {short(last.value)} (n {last.n}, SE {short(last.standard_error)})"
        error = short(last.minus(self.first_score).standard_error)
        return (
            f"validation {short(self.first_score.value)} → {short(last.value)} (n {last.n}, SE of the change {error})"
        )

    @property
    def reward_flat(self) -> bool:
        """Neither beyond the noise nor, when that is tiny, beyond a tenth of the reward's spread."""
        reward, spread = self.curve("reward"), self.curve("reward_std")
        if reward is None:
            return False
        matters = 0.1 * spread.recent if spread else 0.05 * abs(reward.baseline)
        return abs(reward.recent - reward.baseline) <= max(LIMITS.errors * reward.error, matters)


def short(value: float) -> str:
    """Two or three significant digits."""
    return format_value(float(f"{value:.3g}") if abs(value) >= 1 else float(f"{value:.2g}"))


def diagnose(
    metrics: Series,
    checkpoints: Sequence[Checkpoint],
    configuration: Configuration,
    *,
    start: Score | None = None,
) -> tuple[Diagnosis, ...]:
    """What is wrong with a segment, most severe first; one "healthy" when nothing is, or when nothing is known.

    Args:
        metrics: by TRL's names; values may be None, NaN or missing.
        checkpoints: of the segment, in order, scored on validation.
        start: validation score of the checkpoint the segment began from.
    """
    curves = {name: c for name, points in metrics.items() if (c := _clean(name, points)) is not None}
    segment = SegmentCurves(curves, start, tuple(checkpoints), configuration)
    diagnoses = [d for check in CHECKS if (d := check(segment)) is not None]
    if not diagnoses and (plateau := _plateau(segment)) is not None:
        diagnoses = [plateau]
    return consistent(diagnoses or [_healthy(segment)])


def consistent(diagnoses: Iterable[Diagnosis]) -> tuple[Diagnosis, ...]:
    """The diagnoses of one segment, most severe first, without any that contradicts a more severe one."""
    kept: list[Diagnosis] = []
    for diagnosis in sorted(diagnoses, key=lambda d: (d.pathology == HEALTHY, -d.severity)):
        if not any(contradict(diagnosis.pathology, other.pathology) for other in kept):
            kept.append(diagnosis)
    return tuple(kept)


def contradict(a: str, b: str) -> bool:
    """Whether two pathologies cannot both be true of one segment; each is named once, and "healthy" stands alone."""
    return a == b or HEALTHY in (a, b) or frozenset((a, b)) in CONTRADICTIONS


def _clean(name: str, points: Iterable[tuple[int, float | None]]) -> CleanCurve | None:
    given = sorted(((s, v) for s, v in points if v is not None), key=lambda point: point[0])
    good = [(s, v) for s, v in given if abs(v) < ABSURD]
    broken = tuple(s for s, v in given if not abs(v) < ABSURD)
    exploded = name == "grad_norm" and broken
    if len(good) < LIMITS.shortest and not exploded:
        return None
    window = min(max(4, round(LIMITS.window * len(good))), len(good) // 2) if len(good) > 3 else 2
    return CleanCurve(name, tuple(s for s, _ in good), tuple(v for _, v in good), broken, window)


def _spike(curve: CleanCurve) -> Signal | None:
    """The highest value, when it stands far out from nine in ten of the others (its baseline)."""
    worst = max(range(len(curve.values)), key=lambda i: curve.values[i])
    others = sorted(curve.values[:worst] + curve.values[worst + 1 :])
    usual, value, step = others[int(0.9 * len(others))], curve.values[worst], curve.steps[worst]
    return Signal(curve.metric, usual, value, step, step) if value > LIMITS.spike * usual > 0 else None


def _spike_text(spike: Signal) -> str:
    return (
        f"{spike.metric} {short(spike.value)} at step {spike.first_step}; "
        f"90% of the other steps are below {short(spike.baseline)}"
    )


def _entropy_collapse(segment: SegmentCurves) -> Diagnosis | None:
    curve = segment.curve("entropy")
    if curve is None or curve.baseline <= 0 or not curve.fell(LIMITS.errors):
        return None
    drop = 1 - curve.recent / curve.baseline
    if drop < LIMITS.entropy_drop:
        return None
    if (segment.gain or 0) > LIMITS.errors:  # exploration turned into skill is no collapse
        return None
    return Diagnosis("entropy collapse", min(1.0, drop), f"{curve.text()}; {segment.validation()}", (curve.signal,))


def _kl_spike(segment: SegmentCurves) -> Diagnosis | None:
    curve = segment.curve("kl")
    if curve is None or (segment.gain or 0) > LIMITS.errors:  # a policy that moves and gains is well
        return None
    if max(curve.values) < LIMITS.kl_moved:
        return None
    spike = _spike(curve)
    if spike is not None:
        severity = min(1.0, 0.3 + 0.05 * spike.value / spike.baseline)
        return Diagnosis("kl spike", severity, _spike_text(spike), (spike,))
    growing = curve.rose(LIMITS.errors) and curve.recent > LIMITS.kl_growth * curve.baseline > 0
    if growing and segment.reward_flat and (segment.gain or 0) < 1:  # it drifts and gets nothing for it
        reward = segment.curves["reward"]
        text = f"{curve.text()} while {reward.text()}; {segment.validation()}"
        return Diagnosis("kl spike", 0.5, text, (curve.signal, reward.signal))
    return None


def _kl_bound(segment: SegmentCurves) -> Diagnosis | None:
    kl, spread = segment.curve("kl"), segment.curve("reward_std")
    beta = numeric(segment.configuration.get("beta", 0))
    if kl is None or spread is None or not segment.reward_flat or spread.recent <= 0:
        return None
    share = beta * kl.recent / spread.recent
    if share < LIMITS.kl_share or (segment.gain or 0) < -LIMITS.errors:
        return None
    reward = segment.curves["reward"]
    text = (
        f"{reward.text()}; the KL penalty {short(beta)} × {short(kl.recent)} is {share:.0%} of the reward's "
        f"std {short(spread.recent)}; {segment.validation()}"
    )
    return Diagnosis("kl-bound plateau", min(1.0, 0.4 + share), text, (reward.signal, kl.signal))


def _dead_groups(segment: SegmentCurves) -> Diagnosis | None:
    curve = segment.curve("dynamic_sampling/zero_std", "frac_reward_zero_std")  # the first counts before refilling
    if curve is None or curve.recent < LIMITS.dead_groups:
        return None
    text = f"{curve.recent:.0%} of the groups have zero reward std and give no gradient: {curve.text()}"
    return Diagnosis("dead groups", min(1.0, curve.recent), text, (curve.signal,))


def _truncation(segment: SegmentCurves) -> Diagnosis | None:
    clipped, length = segment.curve("completions/clipped_ratio"), segment.curve("completions/mean_length")
    if clipped is None or clipped.recent <= LIMITS.truncated:
        return None
    signals, text = [clipped.signal], f"{clipped.recent:.0%} of the completions are truncated: {clipped.text()}"
    cap = segment.configuration.get("max_completion_length")
    if length is not None:
        signals.append(length.signal)
        text += f"; mean length {short(length.recent)}" + (f" of at most {cap} tokens" if cap else "")
    return Diagnosis("truncation", min(1.0, 0.4 + clipped.recent), text, tuple(signals))


def _rambling(segment: SegmentCurves) -> Diagnosis | None:
    curve, gain = segment.curve("completions/mean_length"), segment.gain
    if curve is None or gain is None or gain >= 1 or not segment.reward_flat:
        return None
    if not curve.rose(LIMITS.errors) or curve.recent < (1 + LIMITS.longer) * curve.baseline:
        return None
    return Diagnosis("rambling", 0.4, f"{curve.text()}; {segment.validation()}", (curve.signal,))


def _gradient_explosion(segment: SegmentCurves) -> Diagnosis | None:
    curve = segment.curve("grad_norm")
    if curve is None:
        return None
    if curve.broken:
        step = curve.broken[0]
        since = f"; {short(curve.recent)} on average at the end" if curve.values else ", and was at no step"
        before = curve.baseline if curve.values else math.inf
        text = f"grad_norm is not finite at step {step}{since}"
        return Diagnosis("gradient explosion", 1.0, text, (Signal("grad_norm", before, math.inf, step, step),))
    spike = _spike(curve)
    if spike is None:
        return None
    severity = min(1.0, 0.2 + 0.05 * spike.value / spike.baseline)
    return Diagnosis("gradient explosion", severity, _spike_text(spike), (spike,))


def _off_policy(segment: SegmentCurves) -> Diagnosis | None:
    clip = segment.curve("clip_ratio/region_mean", "clip_ratio")
    if clip is not None and clip.recent > LIMITS.clipped_ratio:
        text = f"{clip.recent:.0%} of the tokens are clipped: {clip.text()}"
        return Diagnosis("off-policy drift", 0.5, text, (clip.signal,))
    return None


def _sampler_mismatch(segment: SegmentCurves) -> Diagnosis | None:
    """vLLM draws from another policy than the one that is trained: the weights it has are old, or it computes in
    another type. Rounding alone differs too, by a share of what matters, and may grow five times with no harm."""
    curve = segment.curve("sampling/sampling_logp_difference/mean")
    if curve is None or curve.recent < LIMITS.logp_noise:
        return None
    jumped = curve.recent > LIMITS.drift_ratio * curve.baseline > 0
    if not jumped and curve.recent < LIMITS.logp_difference:
        return None
    what = f"vLLM's log-probabilities differ from the trainer's by {short(curve.recent)} a token"
    severity = min(1.0, 0.6 + curve.recent)
    return Diagnosis("sampler mismatch", severity, f"{what}: {curve.text()}", (curve.signal,))


def _reward_hacking(segment: SegmentCurves) -> Diagnosis | None:
    reward, gain = segment.curve("reward"), segment.gain
    if reward is None or gain is None or not reward.rose(LIMITS.errors + 1) or gain > -1:
        return None
    severity = 0.9 if gain < -LIMITS.errors else 0.6
    text = f"training {reward.text()} but {segment.validation()}; read the samples"
    return Diagnosis("reward hacking", severity, text, (reward.signal,))


def _collapse(segment: SegmentCurves) -> Diagnosis | None:
    gain = segment.gain
    if gain is None or gain > -LIMITS.errors or segment.first_score is None:
        return None
    last = segment.checkpoints[-1]
    signal = Signal("validation", segment.first_score.value, last.score.value, last.step, last.step)
    text = f"{segment.validation()}, {-gain:.1f} standard errors lower at step {last.step}"
    return Diagnosis("collapse", min(1.0, 0.6 - gain / 20), text, (signal,))


def _plateau(segment: SegmentCurves) -> Diagnosis | None:
    reward, gain = segment.curve("reward"), segment.gain
    if reward is None or gain is None or not segment.reward_flat or gain >= 1:
        return None
    return Diagnosis("plateau", 0.3, f"{reward.text()} is within noise; {segment.validation()}", (reward.signal,))


def _healthy(segment: SegmentCurves) -> Diagnosis:
    reward = segment.curve("reward")
    if reward is None:
        return Diagnosis(HEALTHY, 0.0, f"the training curves are too short to judge; {segment.validation()}")
    return Diagnosis(HEALTHY, 0.0, f"{reward.text()}; {segment.validation()}", (reward.signal,))


CHECKS: tuple[Callable[[SegmentCurves], Diagnosis | None], ...] = (
    _collapse,
    _reward_hacking,
    _gradient_explosion,
    _kl_spike,
    _kl_bound,
    _entropy_collapse,
    _dead_groups,
    _truncation,
    _rambling,
    _off_policy,
    _sampler_mismatch,
)

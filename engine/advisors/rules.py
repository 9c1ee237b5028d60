"""The advisor that needs no model: diagnoses by fixed thresholds (`diagnosis.py`) and answers with coordinated moves.

Deterministic: the same evidence gives the same advice. It stands in wherever a language model is absent or fails, so it
must always find a valid proposal that was not tried.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from engine.advisors.applying import EXPLORING_FILLERS, FILLERS, apply
from engine.advisors.base import Advice, Advisor, AdvisorCall, Diagnosis, Evidence
from engine.advisors.designs import DESIGNS
from engine.advisors.diagnosis import HEALTHY, diagnose, short
from engine.advisors.moves import EXPLORE, OUT_OF_MEMORY, REMEDIES, SAME, UNSTABLE, MovePlan, MoveStep
from engine.domain.parameters import numeric
from engine.domain.score import Score
from engine.domain.space import Configuration, Intent, KLReference, OptimizerState, Transition, Value, format_value
from engine.domain.tree import Node, NodeState
from engine.words import counted, pathology_name, sentence

PROPOSALS = 3
"""Alternatives offered for a change, best first."""

ANNEAL_FACTORS = (0.3, 0.1, 0.5)
RATE = "learning_rate"
DECAY = "lr_scheduler_type"


class RulesAdvisor(Advisor):
    """See the module. `reason` says why it was chosen ("" when the run file asks for it)."""

    name = "rules"
    deterministic = True

    def __init__(self, reason: str = "") -> None:
        self.reason = reason

    def advise(self, evidence: Evidence) -> Advice:
        """Diagnose and propose; never raises Fault."""
        begin = time.perf_counter()
        diagnoses = () if evidence.intent is Intent.ROOT else look(evidence)
        proposals = _RulesQuestion(evidence, diagnoses).proposals()
        request = {
            "intent": evidence.intent, "parent": evidence.parent.id, "step": evidence.step, "steps": evidence.steps,
            "configuration": dict(evidence.parent.configuration), "feedback": evidence.feedback,
            "diagnoses": [asdict(d) for d in diagnoses],
        }  # fmt: skip
        call = AdvisorCall(
            role="rules",
            request=json.dumps(request, default=str),
            response=json.dumps([asdict(p) for p in proposals], default=str),
            rationale=proposals[0].rationale,
            milliseconds=1000 * (time.perf_counter() - begin),
        )
        return Advice(self.name, diagnoses, proposals, (call,), step=evidence.step)


def look(evidence: Evidence) -> tuple[Diagnosis, ...]:
    """The diagnoses of the parent's segment up to the place, held against the checkpoint it began from."""
    parent = evidence.parent
    seen = [c for c in parent.checkpoints if c.step <= evidence.step]
    return diagnose(evidence.metrics, seen, parent.configuration, start=_score_at(evidence, parent.transition))


def _score_at(evidence: Evidence, place: Transition | None) -> Score | None:
    """The validation score where a transition branches off."""
    if place is None:
        return None
    checkpoints = evidence.tree[place.parent].checkpoints
    return next((c.score for c in checkpoints if c.step == place.step), None)


@dataclass(frozen=True, slots=True)
class _RulesQuestion:
    """One question being answered."""

    evidence: Evidence
    diagnoses: tuple[Diagnosis, ...]

    def proposals(self) -> tuple[Transition, ...]:
        wanted = PROPOSALS if self.evidence.intent is Intent.CHANGE else 1
        chosen: list[Transition] = []
        for proposal in self._candidates():
            if self._fresh(proposal, chosen) and not self._violations(proposal):
                chosen.append(proposal)
            if len(chosen) == wanted:
                break
        return tuple(chosen) or (self._once_more(),)

    def _candidates(self) -> Iterator[Transition]:
        """Ideas in order of preference, the intent's own first; at the end whatever is left to try."""
        match self.evidence.intent:
            case Intent.ROOT:
                yield from self._designs()
            case Intent.KEEP:
                yield self._keep()
            case Intent.ANNEAL:
                yield from self._anneals()
            case Intent.REPAIR:
                yield self._repair()
            case Intent.CHANGE:
                yield from self._remedies()
                yield from self._explorations()
        yield from self._draws()
        yield from self._bare()

    # ---- the five intents ---------------------------------------------------------------------------------------

    def _designs(self) -> Iterator[Transition]:
        for plan in DESIGNS:
            moved = apply(self.evidence.space, self._configuration, plan)
            if moved is not None:
                what = f"{plan.title}: {', '.join(moved.phrases) or 'the suggested configuration'}"
                why = f"{sentence(what)}. {self._place()}. Root configurations are deliberately diverse."
                yield self._transition(moved.changes, why, plan.expected)

    def _keep(self) -> Transition:
        worst = self._worst
        if worst.pathology == HEALTHY:
            why = f"#{self.evidence.parent.id} looks healthy; continue with the same settings. Evidence: {worst.text}."
        else:
            name, steps = sentence(pathology_name(worst.pathology)), counted(self.evidence.steps, "step")
            why = (
                f"{name}: {worst.text} (severity {short(worst.severity)}). Continue with the same settings: "
                f"the next {steps} are the control for any change."
            )
        return self._transition({}, why, self._at_least("not lower"))

    def _anneals(self) -> Iterator[Transition]:
        space, here, steps = self.evidence.space, self._configuration, counted(self.evidence.steps, "step")
        for factor in ANNEAL_FACTORS if RATE in space else ():
            rate = space.move(here, RATE, factor)
            if rate != here[RATE]:
                change = f"{format_value(here[RATE])}→{format_value(rate)}"
                why = (
                    f"{self.evidence.fraction_spent:.0%} of the budget is spent. {self._place()}. Anneal over the last "
                    f"{steps}: {RATE} {change} with Adam's state kept, for less noise at the end."
                )
                changes: dict[str, Value] = {RATE: rate}
                if DECAY in space and space[DECAY].allows("linear") and here[DECAY] != "linear":
                    changes[DECAY] = "linear"
                    why += f" {DECAY} {here[DECAY]}→linear takes it down to 0."
                yield self._transition(changes, why, self._at_least("higher by about 0.01 to 0.02"))
        why = f"The last {steps}. {self._place()}. {RATE} is already at its minimum."
        yield self._transition({}, why, self._at_least("not lower"))

    def _repair(self) -> Transition:
        failed, space = self.evidence.failed, self.evidence.space
        if failed is None or failed.transition is None:
            return self._transition({}, f"Retry with the same settings. {self._place()}.", "the segment finishes")
        plan, what, expected = _remedy(failed)
        moved = apply(space, failed.configuration, plan)
        configuration = {**failed.configuration, **(moved.changes if moved else {})}
        changes = space.changes(self._configuration, configuration)
        done = ", ".join(moved.phrases) if moved and moved.changes else "retry once with the same settings"
        why = f"#{failed.id} {what} at step {failed.steps} of {failed.planned_steps}: {done}. {self._place()}."
        repaired = self._transition(changes, why, expected)
        label = "retry" if not (moved and moved.changes) else space.describe(failed.configuration, moved.changes)
        return replace(
            repaired, optimizer=failed.transition.optimizer, reference=failed.transition.reference, label=label
        )

    def _remedies(self) -> Iterator[Transition]:
        """First choices for every diagnosis, then second ones, then third ones."""
        for choice in range(max(map(len, REMEDIES.values()))):
            for diagnosis in self.diagnoses:
                plans = REMEDIES.get(diagnosis.pathology, ())
                if choice < len(plans):
                    why = f"{sentence(pathology_name(diagnosis.pathology))}: {diagnosis.text}. Fix"
                    yield from self._planned(plans[choice], why, self._step_before(plans[choice], diagnosis))

    def _explorations(self) -> Iterator[Transition]:
        """Growing first, since that is what a constant cannot do; the others in a seeded order."""
        name = sentence(pathology_name(self._worst.pathology))
        why = f"{name}: {self._worst.text}. As an alternative to continuing unchanged"
        others = list(EXPLORE[1:])
        self._random().shuffle(others)
        for plan in (EXPLORE[0], *others):
            yield from self._planned(plan, why, self.evidence.step, EXPLORING_FILLERS)

    # ---- when every idea was tried ------------------------------------------------------------------------------

    def _once_more(self) -> Transition:
        """What was tried here already, for another seed may end elsewhere: the space holds nothing else."""
        return next(each for each in (self._keep(), *self._bare()) if not self._violations(each))

    def _draws(self) -> Iterator[Transition]:
        """Seeded draws from the space, near the parent's configuration except for roots."""
        evidence, rng = self.evidence, self._random()
        for _ in range(0 if evidence.intent is Intent.KEEP else 64):
            drawn = evidence.space.sample(rng)
            names = rng.sample(sorted(drawn), min(2 + rng.randrange(2), len(drawn)))
            if evidence.intent is not Intent.ROOT:
                drawn = {**self._configuration, **{name: drawn[name] for name in names}}
            changes = evidence.space.changes(self._configuration, drawn)
            if evidence.intent is Intent.CHANGE and self._slows(changes):
                continue  # see `engine.advisors.moves.EXPLORE`
            if len(changes) >= min(2, sum(not p.fixed for p in evidence.space)):
                why = (
                    f"Drawn at random (seed {evidence.seed}), because every rule has been tried here. {self._place()}."
                )
                yield self._transition(changes, why, self._at_least("higher"))

    def _slows(self, changes: Configuration) -> bool:
        """Whether the learning rate would be lower."""
        return RATE in changes and numeric(changes[RATE]) < numeric(self._configuration[RATE])

    def _bare(self) -> Iterator[Transition]:
        """What is left where every parameter is fixed: Adam and the reference."""
        why = f"No hyperparameter is left to change. {self._place()}."
        plain = self._transition({}, why, self._at_least("not lower"))
        yield plain
        for reference in (plain.reference, KLReference.BRANCH):
            for optimizer in (OptimizerState.RESET, OptimizerState.KEEP):
                label = f"adam {optimizer}, ref {reference.name.lower()}"
                yield replace(plain, optimizer=optimizer, reference=reference, label=label)

    # ---- parts --------------------------------------------------------------------------------------------------

    def _planned(
        self, plan: MovePlan, why: str, step: int, fillers: Sequence[MoveStep] = FILLERS
    ) -> Iterator[Transition]:
        moved = apply(self.evidence.space, self._configuration, plan, fillers)
        if moved is None:
            return
        branch = "" if step == self.evidence.step else f" Branches earlier, at step {step}, before the problem began."
        reference = (
            "" if plan.reference is None else f" The reference model for the KL penalty becomes the {plan.reference}."
        )
        text = f"{why}: {plan.title}, with {', '.join(moved.phrases)}.{reference}{branch}"
        proposal = self._transition(moved.changes, text, f"{plan.expected}. {self._at_least('higher')}", step)
        if plan.reference is not None:
            with_mark = f"ref↺ {proposal.label}"
            label = with_mark if len(with_mark) <= 24 else proposal.label
            proposal = replace(proposal, reference=plan.reference, label=label)
        yield proposal

    def _transition(self, changes: Configuration, why: str, expected: str, step: int | None = None) -> Transition:
        evidence = self.evidence
        label = evidence.space.describe(self._configuration, changes)
        if evidence.intent is Intent.ROOT and not changes:
            label = "as suggested"
        return Transition(
            parent=evidence.parent.id, step=evidence.step if step is None else step, intent=evidence.intent,
            changes=changes, label=label, rationale=why, expected=expected,
        )  # fmt: skip

    def _step_before(self, plan: MovePlan, diagnosis: Diagnosis) -> int:
        """The latest offered checkpoint of the parent from before the trouble, when the plan wants one."""
        evidence = self.evidence
        trouble = min((s.first_step for s in diagnosis.signals), default=0)
        earlier = [s for p, s in evidence.candidates if p == evidence.parent.id and s < min(trouble, evidence.step)]
        return max(earlier) if plan.earlier and earlier else evidence.step

    def _fresh(self, proposal: Transition, chosen: list[Transition]) -> bool:
        """Not tried below the parent, not proposed above; a repair may say again what failed."""
        others = chosen if self.evidence.intent is Intent.REPAIR else [*self.evidence.tried, *chosen]
        return not any(proposal.repeats(other) for other in others)

    def _violations(self, proposal: Transition) -> tuple[str, ...]:
        return self.evidence.space.check_transition(self._configuration, proposal)

    @property
    def _configuration(self) -> dict[str, Value]:
        """The parent's, without what the space does not know."""
        given = self.evidence.parent.configuration
        return {p.name: given.get(p.name, p.default) for p in self.evidence.space}

    @property
    def _worst(self) -> Diagnosis:
        return self.diagnoses[0] if self.diagnoses else Diagnosis(HEALTHY, 0.0, self._place())

    def _here(self) -> Score | None:
        parent = self.evidence.parent
        return next((c.score for c in parent.checkpoints if c.step == self.evidence.step), None)

    def _place(self) -> str:
        """ "#3 at step 50: validation 0.31 (n 256, SE 0.03)"."""
        score, parent = self._here(), self.evidence.parent
        where = "The base model" if parent.transition is None else f"#{parent.id} at step {self.evidence.step}"
        if score is None:
            return f"{where} has no validation score (step {self.evidence.step})"
        return f"{where}: validation {short(score.value)} (n {score.n}, SE {short(score.standard_error)})"

    def _at_least(self, how: str) -> str:
        score = self._here()
        against = f" than {short(score.value)}" if score else ""
        return f"validation {how}{against} after {counted(self.evidence.steps, 'step')}"

    def _random(self) -> random.Random:
        evidence = self.evidence
        return random.Random(f"{evidence.seed}/{evidence.parent.id}/{evidence.step}/{len(evidence.tried)}")


def _remedy(failed: Node) -> tuple[MovePlan, str, str]:
    """What makes a failed segment safe: the plan, what happened, what is expected."""
    match failed.state:
        case NodeState.OUT_OF_MEMORY:
            return OUT_OF_MEMORY, "ran out of memory", "the segment fits in memory"
        case NodeState.NAN:
            return UNSTABLE, "produced NaN", "loss and gradients stay finite to the end"
        case NodeState.HUNG:
            return SAME, "stopped responding", "the segment finishes; a second failure closes this branch point"
        case _:
            return SAME, "crashed", "the segment finishes; a second failure closes this branch point"

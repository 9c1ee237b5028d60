"""What a language model must answer, role by role: pydantic models, and the JSON schemas made from them and the space;
and what an answer becomes: transitions with labels of ours, diagnoses with numbers of ours.

Both are small and flat, for small models. The schema goes to the server (its grammar) and into the prompt; the model's
text is parsed here and nowhere else. What can be read is read, what lies out of range is brought into it, and only what
is of no use is refused, in one line that the model can be shown.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, TypeVar, cast, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    FiniteFloat,
    ValidationError,
    create_model,
)

from engine.advisors.base import Diagnosis, Evidence, Signal, canonical
from engine.advisors.diagnosis import HEALTHY, consistent
from engine.advisors.evidence_sections import summarize
from engine.advisors.founded import marked
from engine.advisors.hostile import clean, one_line
from engine.domain.space import (
    LABEL_LENGTH,
    UNCHANGED,
    Configuration,
    Intent,
    KLReference,
    OptimizerState,
    Parameter,
    Space,
    Transition,
    Value,
)

Pathology = Literal[
    "healthy", "entropy collapse", "kl spike", "kl-bound plateau", "dead groups", "truncation", "rambling",
    "gradient explosion", "off-policy drift", "sampler mismatch", "reward hacking", "collapse", "plateau", "other",
]  # fmt: skip
PATHOLOGIES: tuple[str, ...] = get_args(Pathology)
NONE = "none"
SEVERITIES = {NONE: 0.0, "mild": 0.3, "clear": 0.6, "severe": 0.9}
"""Words, because the grammar of a schema holds no number to its range; and what each stands for."""
LONGEST_TEXT = 6000
"""Characters of a text that are kept: a grammar does not bound them."""


def _no_truth(value: object) -> object:
    """A truth value is no number, although Python takes it for one."""
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _pathology(value: object) -> object:
    """A name of the list however it is written; what is none is "other"."""
    name = " ".join(value.lower().replace("_", " ").split()) if isinstance(value, str) else value
    return name if not isinstance(name, str) or name in (*PATHOLOGIES, NONE) else "other"


def _severity(value: object) -> object:
    """A word of the list, or a number that is brought into 0..1."""
    if isinstance(value, str) and value.strip().lower() in SEVERITIES:
        return SEVERITIES[value.strip().lower()]
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]  # the except is for this
    except (TypeError, ValueError):
        number = math.nan
    if math.isnan(number):
        raise ValueError(f"must be one of {', '.join(SEVERITIES)}")
    return min(max(number, 0.0), 1.0)


def _known(words: type[OptimizerState] | type[KLReference]) -> BeforeValidator:
    """The first word stands for one that is unknown."""
    known = [str(word) for word in words]
    return BeforeValidator(lambda value: value if value in known else known[0])


Text = Annotated[str, Field(min_length=1), AfterValidator(lambda text: text[:LONGEST_TEXT])]
Number = Annotated[FiniteFloat, BeforeValidator(_no_truth)]


class ModelAnswer(BaseModel):
    """Base of all answers. Fields that were not asked for are ignored: models add them, and they harm nobody."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)


T = TypeVar("T", bound=ModelAnswer)


class AnalystAnswer(ModelAnswer):
    """The analyst's: the worst that is wrong or "healthy", how bad, in which metric, and what else."""

    reading: Text
    pathology: Annotated[Pathology, BeforeValidator(_pathology)]
    severity: Annotated[float, BeforeValidator(_severity)]
    metric: str = ""
    also: Annotated[Pathology | Literal["none"], BeforeValidator(_pathology)] = "none"


class StrategistAnswer(ModelAnswer):
    """The strategist's: one transition; whether the space allows it is checked by the planner. See `strategist`."""

    rationale: Text
    expected: str = ""
    place: str = ""
    optimizer: Annotated[OptimizerState, _known(OptimizerState)] = OptimizerState.KEEP
    reference: Annotated[KLReference, _known(KLReference)] = KLReference.KEEP

    @property
    def values(self) -> dict[str, Value]:
        """The hyperparameters that it names, by name."""
        own = [name for name in type(self).model_fields if name not in StrategistAnswer.model_fields]
        return {name: value for name in own if (value := getattr(self, name)) is not None}


def strategist(space: Space) -> type[StrategistAnswer]:
    """The strategist's answer with a field for every hyperparameter of the space; null changes nothing."""
    fields: dict[str, Any] = {p.name: (_given(p) | None, None) for p in space if not p.fixed}
    return create_model("StrategistAnswer", __base__=StrategistAnswer, **fields)


def _given(parameter: Parameter) -> Any:
    """A value as a model may write it: a number whatever its range, or one of the names of a category."""
    if not parameter.categorical:
        return Number

    def known(value: object) -> Value:
        read = parameter.read(value) if isinstance(value, str) else value
        if not parameter.allows(read):
            raise ValueError(f"must be one of {parameter.allowed}")
        return cast(Value, read)

    return Annotated[Any, AfterValidator(known)]


class SelectorAnswer(ModelAnswer):
    """The selector's."""

    rationale: Text
    place: Text


class WatcherAnswer(ModelAnswer):
    """The watcher's."""

    rationale: Text
    stop: bool


class BadAnswer(ValueError):
    """An answer that cannot be used: `kind` is for the row (empty, not json, schema …), the message for the model."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def parse(text: str, model: type[T]) -> T:
    """The answer in `text`; code fences and words around the object are forgiven.

    Raises:
        BadAnswer: nothing there, no JSON, or JSON that is not the answer; the first three mistakes are named.
    """
    data = first_object(text)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']} (got {one_line(repr(e['input']), 80)})"
            for e in problems[:3]
        )
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise BadAnswer("schema", one_line(wrong + more, 800)) from error


def first_object(text: str) -> dict[str, Any]:
    """The first JSON object in a text. Raises BadAnswer when there is none, or only half of one."""
    if not text.strip():
        raise BadAnswer("empty", "the answer is empty")
    start = text.find("{")
    if start < 0:
        raise BadAnswer("not json", f"no JSON object in the answer: {one_line(text, 120)}")
    try:
        data, _ = json.JSONDecoder().raw_decode(text[start:])
    except (ValueError, RecursionError) as error:
        raise BadAnswer("not json", f"the answer is not JSON: {one_line(str(error), 160)}") from error
    if not isinstance(data, dict):
        raise BadAnswer("not json", "the answer is not a JSON object")
    return data


# ---- places ------------------------------------------------------------------------------------------------------


def place_name(place: tuple[int, int]) -> str:
    """A (node, step) as a model reads and writes it: "#5 step 50"."""
    return f"#{place[0]} step {place[1]}"


def place_of(name: str) -> tuple[int, int] | None:
    """The (node, step) of a name, or None."""
    match = re.fullmatch(r"\D*(\d{1,9})\D+(\d{1,9})\D*", name)
    return (int(match[1]), int(match[2])) if match else None


# ---- schemas -----------------------------------------------------------------------------------------------------


def analysis_schema(metrics: Sequence[str]) -> dict[str, Any]:
    """`metrics`: the names of those that are shown."""
    return _object(
        reading=_TEXT, pathology=_words(PATHOLOGIES), severity=_words(SEVERITIES), metric=_words([*metrics, NONE]),
        also=_words([*PATHOLOGIES[1:], NONE]),
    )  # fmt: skip


def strategy_schema(space: Space, places: Sequence[tuple[int, int]]) -> dict[str, Any]:
    """`places`: the (node, step) pairs on offer. Hyperparameters may be left out; their ranges stand in the table."""
    needed = {"rationale": _TEXT, "expected": _TEXT}
    if len(places) > 1:
        needed["place"] = _words(map(place_name, places))
    schema = _object(**needed, optimizer=_words(OptimizerState), reference=_words(KLReference))
    schema["properties"] |= {p.name: _value(p) for p in space if not p.fixed}
    return schema


def selection_schema(places: Sequence[tuple[int, int]]) -> dict[str, Any]:
    return _object(rationale=_TEXT, place=_words(map(place_name, places)))


def verdict_schema() -> dict[str, Any]:
    return _object(rationale=_TEXT, stop={"type": "boolean"})


_TEXT: dict[str, Any] = {"type": "string"}


def _words(words: Any) -> dict[str, Any]:
    return {"enum": [str(word) for word in words]}


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """All of them required, in this order: the reasoning comes first, and appears first on the screen."""
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False
    }  # fmt: skip


def _value(parameter: Parameter) -> dict[str, Any]:
    if parameter.choices:
        return {"enum": list(parameter.choices)}
    return {"type": "integer" if parameter.integer else "number"}


def transition(answer: StrategistAnswer, evidence: Evidence, shown: str) -> Transition:
    """A proposal as a transition; what it says may still break the space, which the planner checks.

    Args:
        shown: the evidence as text, against which the numbers of the rationale are held.
    """
    here = (evidence.parent.id, evidence.step)
    node, step = here if not answer.place else place_of(answer.place) or here
    before = evidence.tree[node if node in evidence.tree.nodes else here[0]].configuration
    floor = {} if evidence.intent is Intent.ROOT else before  # what only rises may begin low
    values = {name: allowed(evidence.space[name], value, floor.get(name)) for name, value in answer.values.items()}
    own = [value for value in values.values() if not isinstance(value, bool | str)]
    given = Transition(
        parent=node, step=step, intent=evidence.intent, changes=values, optimizer=answer.optimizer,
        reference=answer.reference, expected=clean(answer.expected, 1000),
        rationale=clean(marked(answer.rationale, shown, own), 3000),
    )  # fmt: skip
    meant = canonical(given, evidence.tree, evidence.space)
    return replace(meant, label=label(evidence.space, before, meant))


def allowed(parameter: Parameter, value: Value, before: Value | None) -> Value:
    """The value, or the nearest that the space allows; one that only rises is not below where it is."""
    taken = parameter.coerce(value) if parameter.allows(value) else parameter.nearest(value)
    if parameter.choices:
        taken = next(choice for choice in parameter.choices if choice == taken)
    return before if before is not None and parameter.falls(before, taken) else taken


def label(space: Space, before: Configuration, meant: Transition) -> str:
    """What changes, for the tree."""
    text = space.describe(before, meant.changes)
    if text == UNCHANGED and meant.intent is Intent.ROOT:
        text = "as suggested"
    if text == UNCHANGED and meant.optimizer is OptimizerState.RESET:
        text = "optimizer reset"
    if meant.reference is KLReference.BRANCH and len(text) + 5 <= LABEL_LENGTH:
        text = f"ref↺ {text}"
    return text


def diagnoses(
    analysis: AnalystAnswer, computed: Sequence[Diagnosis], evidence: Evidence, shown: str
) -> tuple[Diagnosis, ...]:
    """The model's findings that do not contradict each other, with our own numbers.

    Args:
        computed: the named signals, whose words stand for a second finding that is one of them.
        shown: the evidence as text, against which the numbers of the reading are held.
    """
    reading = one_line(marked(analysis.reading, shown), 600)
    main = Diagnosis(analysis.pathology, analysis.severity, reading, _signals(analysis.metric, evidence))
    if analysis.also in (NONE, analysis.pathology, HEALTHY):
        return (main,)
    known = next((d for d in computed if d.pathology == analysis.also), None)
    also = known or Diagnosis(analysis.also, 0.0, reading)
    return consistent([main, replace(also, severity=min(analysis.severity, ALSO))])


ALSO = SEVERITIES["mild"]
"""Severity of a second finding, at most that of the first."""


def _signals(metric: str, evidence: Evidence) -> tuple[Signal, ...]:
    points = evidence.metrics.get(metric, ())
    summary = summarize(points)
    return () if summary is None else (Signal(metric, summary.start, summary.end, points[0][0], points[-1][0]),)

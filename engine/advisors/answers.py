"""What a language model must answer, role by role: pydantic models, and the JSON schemas made from them and the space.

The schema goes to the server (its grammar) and into the prompt; the model's text is parsed here and nowhere else. What
is wrong with an answer is one line that the model can be shown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from engine.advisors.hostile import one_line
from engine.domain.space import Configuration, KLReference, OptimizerState, Parameter, Space, Value, numeric

Pathology = Literal[
    "healthy", "entropy collapse", "kl spike", "kl-bound plateau", "dead groups", "truncation", "rambling",
    "gradient explosion", "off-policy drift", "reward hacking", "collapse", "plateau", "other",
]  # fmt: skip
PATHOLOGIES: tuple[str, ...] = get_args(Pathology)
LONGEST_TEXT = 6000
"""Characters of a text that are kept: a grammar does not bound them."""


def _quotes(text: str) -> str:
    """Reasons rest on numbers of the evidence."""
    if not any(c.isdigit() for c in text):
        raise ValueError("must quote at least one number from the evidence")
    return text


Text = Annotated[str, Field(min_length=1), AfterValidator(lambda text: text[:LONGEST_TEXT])]
GivenValue = bool | FiniteFloat | Annotated[str, Field(max_length=100)]
"""A value of a hyperparameter as a model writes it; whether the space allows it is checked by the planner."""
Reason = Annotated[Text, AfterValidator(_quotes)]


class ModelAnswer(BaseModel):
    """Base of all answers. Fields that were not asked for are ignored: models add them, and they harm nobody."""

    model_config = ConfigDict(extra="ignore", frozen=True, str_strip_whitespace=True)


T = TypeVar("T", bound=ModelAnswer)


class DiagnosisAnswer(ModelAnswer):
    """One thing that is wrong, or "healthy"."""

    pathology: Pathology
    severity: float = Field(ge=0, le=1, allow_inf_nan=False)
    evidence: Text
    metric: str = ""


class AnalystAnswer(ModelAnswer):
    """The analyst's."""

    reading: Text
    findings: list[DiagnosisAnswer] = Field(min_length=1, max_length=6)


class TransitionAnswer(ModelAnswer):
    """One transition as a model proposes it; whether the space allows it is checked by the planner."""

    node: int
    step: int
    changes: dict[str, GivenValue] = Field(max_length=32)
    optimizer: OptimizerState = OptimizerState.KEEP
    reference: KLReference = KLReference.BASE
    rationale: Reason
    expected: Text


class StrategistAnswer(ModelAnswer):
    """The strategist's."""

    rationale: Text
    proposals: list[TransitionAnswer] = Field(min_length=1, max_length=8)


class SelectorAnswer(ModelAnswer):
    """The selector's."""

    rationale: Text
    node: int
    step: int


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
        found = error.errors(include_url=False, include_context=False)
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'answer'}: {e['msg']} (got {one_line(repr(e['input']), 80)})"
            for e in found[:3]
        )
        more = f"; and {len(found) - 3} more" if len(found) > 3 else ""
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


# ---- schemas -----------------------------------------------------------------------------------------------------


def analysis_schema() -> dict[str, Any]:
    finding = _object(
        pathology={"type": "string", "enum": list(PATHOLOGIES)},
        severity={"type": "number", "minimum": 0, "maximum": 1},
        evidence={"type": "string"},
        metric={"type": "string"},
    )
    return _object(
        reading={"type": "string"}, findings={"type": "array", "minItems": 1, "maxItems": 4, "items": finding}
    )


def strategy_schema(
    space: Space, places: Sequence[tuple[int, int]], most: int, before: Configuration
) -> dict[str, Any]:
    """`places` are the (node, step) pairs on offer, `most` the proposals wanted, `before` the branch point's values."""
    change = _object(
        node={"type": "integer", "enum": sorted({node for node, _ in places})},
        step={"type": "integer", "enum": sorted({step for _, step in places})},
        changes={
            "type": "object",
            "properties": {p.name: _value(p, before.get(p.name)) for p in space if not p.fixed},
            "additionalProperties": False,
        },
        optimizer={"type": "string", "enum": [str(o) for o in OptimizerState]},
        reference={"type": "string", "enum": [str(r) for r in KLReference]},
        rationale={"type": "string"},
        expected={"type": "string"},
    )
    return _object(
        rationale={"type": "string"}, proposals={"type": "array", "minItems": 1, "maxItems": most, "items": change}
    )


def selection_schema(places: Sequence[tuple[int, int]]) -> dict[str, Any]:
    return _object(
        rationale={"type": "string"},
        node={"type": "integer", "enum": sorted({node for node, _ in places})},
        step={"type": "integer", "enum": sorted({step for _, step in places})},
    )


def verdict_schema() -> dict[str, Any]:
    return _object(rationale={"type": "string"}, stop={"type": "boolean"})


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """All of them required, in this order: the reasoning comes first, and appears first on the screen."""
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False
    }  # fmt: skip


def _value(parameter: Parameter, before: Value | None) -> dict[str, Any]:
    """What a value may be; one that only rises begins where it is."""
    if parameter.categorical:
        return {"enum": list(parameter.choices), "description": parameter.doc}
    floor = numeric(before) if parameter.rising and before is not None else None
    kind = "integer" if parameter.integer else "number"
    if parameter.choices:
        return {"type": kind, "enum": [c for c in map(numeric, parameter.choices) if floor is None or c >= floor]}
    low = floor if floor is not None else 0 if parameter.zero else parameter.low
    text = f"{parameter.doc}; {parameter.allowed}"
    return {"type": kind, "minimum": low, "maximum": parameter.high, "description": text}

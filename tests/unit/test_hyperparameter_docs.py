"""docs/hyperparameters.md says of every hyperparameter what the code says: meaning, kind, range, default and source."""

from __future__ import annotations

import pytest

from engine.domain.hyperparameters import GENERAL, OPTIONAL
from engine.domain.parameters import Parameter, format_value
from tests.unit.cli_process import ROOT

LINES = (ROOT / "docs/hyperparameters.md").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("parameter", [*GENERAL.values(), *OPTIONAL.values()], ids=lambda parameter: parameter.name)
def test_a_hyperparameter_has_its_line(parameter: Parameter) -> None:
    p = parameter
    cells = (f"`{p.name}`", p.label, p.doc, p.kind, p.allowed, format_value(p.default), p.source)
    assert f"| {' | '.join(cells)} |" in LINES


def test_labels_are_short_and_each_is_of_one_hyperparameter() -> None:
    labels = [each.label for each in (*GENERAL.values(), *OPTIONAL.values())]
    assert len(set(labels)) == len(labels)
    assert max(map(len, labels)) <= 8

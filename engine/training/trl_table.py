"""The [trl] table of a run file held against TRL's own fields: names, types, and what GRPOConfig itself refuses.

Run as `python -m engine.training.trl_table JSON` by `engine.run.preflight`, which must not import torch. Prints
{"problem": one line, "" without one}.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import sys
import tempfile
from collections.abc import Mapping
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError
from trl import GRPOConfig

from engine.errors import one_line, short, short_name


def problem(table: Mapping[str, Any]) -> str:
    """What is wrong with the first field that is not as TRL wants it; "" when all are."""
    names = {field.name for field in dataclasses.fields(GRPOConfig) if field.init}
    hints = get_type_hints(GRPOConfig)
    for name, value in table.items():
        if name not in names:
            near = ", ".join(difflib.get_close_matches(name, sorted(names), n=2, cutoff=0.5))
            return f"trl.{short_name(name)} is no field of trl.GRPOConfig{f'; nearest: {near}' if near else ''}"
        try:
            TypeAdapter(hints[name]).validate_python(value)
        except ValidationError:
            return f"trl.{name} = {short(value)} is not allowed; TRL wants {_type(hints[name])}"
    try:
        with tempfile.TemporaryDirectory() as where:
            GRPOConfig(output_dir=where, report_to="none", use_cpu=True, bf16=False, **table)
    except (ValueError, TypeError, NotImplementedError, ImportError) as error:
        return f"trl: TRL refuses the table: {one_line(str(error))[:300]}"
    return ""


def _type(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint).replace("typing.", "")


if __name__ == "__main__":
    json.dump({"problem": problem(json.loads(sys.argv[1]))}, sys.stdout)

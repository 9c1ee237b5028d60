"""Whether a load of weights gave what the architecture wants, by what Transformers reports of it.

Asked wherever a policy is loaded. What an architecture itself says may be absent or left over (a tied head, buffers of
older versions) is in none of the lists that Transformers reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from engine.errors import one_line

NAMED = 3
_WRAPPERS = {
    "_orig_mod.": "torch.compile",
    "module.": "DistributedDataParallel",
    "base_model.model.": "PEFT",
    "_fsdp_wrapped_module.": "FSDP",
}


def misfit(architecture: str, info: Mapping[str, Any]) -> str:
    """One line saying how weights and architecture differ, or ""; `info` is Transformers' loading info."""
    missing, unexpected = sorted(info["missing_keys"], key=_natural), sorted(info["unexpected_keys"], key=_natural)
    shapes = sorted(info["mismatched_keys"], key=lambda entry: _natural(entry[0]))
    if not (missing or unexpected or shapes):
        return ""
    begin = f"the weights do not fit {architecture}: "
    if prefix := _prefix(missing, unexpected):
        by = f", as {_WRAPPERS[prefix]} names them" if prefix in _WRAPPERS else ""
        return f"{begin}every name begins with {prefix!r}{by}; save the model inside the wrapper, without the prefix"
    parts = []
    if missing:
        hint = " (config.json says that the head is not tied to the embedding)" if missing == ["lm_head.weight"] else ""
        parts.append(f"missing {_some(missing)}{hint}")
    if unexpected:
        parts.append(f"unexpected {_some(unexpected)}")
    if shapes:
        parts.append(
            "of another shape " + _some(f"{name} ({_size(has)}, wanted {_size(wants)})" for name, has, wants in shapes)
        )
    return begin + "; ".join(parts)


def _prefix(missing: list[str], unexpected: list[str]) -> str:
    """What stands before every unexpected name, when those are the missing ones but for it."""
    for name in unexpected[:1]:
        for wanted in missing:
            prefix = name.removesuffix(wanted)
            if prefix and prefix != name and all(each.removeprefix(prefix) in missing for each in unexpected):
                return prefix
    return ""


def _some(names: Iterable[str]) -> str:
    every = [one_line(name)[:80] for name in names]
    more = f" and {len(every) - NAMED} more" if len(every) > NAMED else ""
    return ", ".join(every[:NAMED]) + more


def _size(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))


def _natural(name: str) -> list[tuple[int, str]]:
    """Layer 10 after layer 9."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]

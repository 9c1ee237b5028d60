"""Parameter dynamics as text: a table with intervals and the null, and what the columns are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engine.analysis.dynamics import ParameterDynamics
from engine.words import counted
from llmzero_tui.format import MISSING, plain, share
from llmzero_tui.text.output import table

HEADER = (
    "hyperparameter",
    "kind",
    "changes",
    "up",
    "share up [95%]",
    "net on best path",
    "monotonic",
    "reversals",
    "p",
    "verdict",
)
NOTE = (
    "up: changes that raise the value; net on best path: octaves on a logarithmic scale, else shares of the range; "
    "reversals: changes that take back the one before on their branch, of those that have one, and what shuffled "
    "directions give; p: how often they give as many"
)


def dynamics_lines(parameters: Sequence[ParameterDynamics]) -> Iterator[str]:
    """The table; without any change one line."""
    transitions = max((each.transitions for each in parameters), default=0)
    rows = dynamics_rows(parameters)
    if not rows:
        yield f"no hyperparameter was changed in {counted(transitions, 'transition')}, the curriculum's not counted"
        return
    yield from table(HEADER, rows, right={2, 3})
    if still := [plain(each.parameter) for each in parameters if not each.ups + each.downs]:
        yield f"left alone by {counted(transitions, 'change')}, the curriculum's not counted: {', '.join(still)}"


def dynamics_rows(parameters: Sequence[ParameterDynamics]) -> list[list[str]]:
    """The table's rows: hyperparameters that were changed."""
    return [_row(each) for each in parameters if each.ups + each.downs]


def dynamics_short(parameters: Sequence[ParameterDynamics]) -> Iterator[str]:
    """A line for each hyperparameter that was changed, for narrow places; nothing where none was."""
    for each in parameters:
        if not (changes := each.ups + each.downs):
            continue
        low, high = each.up_interval
        way = "" if each.monotonicity is None else f" · net {each.drift:+.2f}, monotonic {each.monotonicity:.2f}"
        p = "" if each.p is None else f", p {each.p:.3f}"
        back = (
            f" · reversals {each.reversals}/{each.pairs}, shuffled {each.expected_reversals:.1f}{p}"
            if each.pairs
            else ""
        )
        up = f"up {each.ups} of {changes} [{share(low)}, {share(high)}]"
        yield f"{plain(each.parameter)} ({plain(each.kind)}) {each.verdict}: {up}{way}{back}"


def _row(each: ParameterDynamics) -> list[str]:
    changes, (low, high) = each.ups + each.downs, each.up_interval
    reversals = f"{each.reversals}/{each.pairs} ({each.expected_reversals:.1f})" if each.pairs else MISSING
    return [
        plain(each.parameter), plain(each.kind), str(changes), str(each.ups),
        f"{share(each.ups / changes)} [{share(low)}, {share(high)}]",
        MISSING if each.monotonicity is None else f"{each.drift:+.2f}",
        MISSING if each.monotonicity is None else f"{each.monotonicity:.2f}", reversals,
        MISSING if each.p is None else f"{each.p:.3f}", each.verdict,
    ]  # fmt: skip

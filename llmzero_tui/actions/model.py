"""What an action is, and the context its guard looks at. Pure values; nothing here touches a store or a screen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from llmzero_tui.values.nodes import NodeRow
from llmzero_tui.values.snapshot import ProposalRow


@dataclass(frozen=True, slots=True)
class ActionContext:
    """What a guard may look at. `target` is the proposal that `a`, `e` and `r` mean: the highlighted one of the inbox,
    or that of the selected node."""

    screen: str
    state: str = ""
    live: bool = False
    node: NodeRow | None = None
    target: ProposalRow | None = None
    waiting: int = 0
    runs: int = 0
    busy: bool = False
    narrow: bool = False
    in_inbox: bool = False
    pages: bool = False
    running: bool = False
    editing: bool = False
    plotted: bool = False
    marked: int = 0
    chosen: bool = False
    comparing: bool = False
    pictures: bool = False
    found: bool = False
    tasks: int = 0

    @property
    def training(self) -> bool:
        return self.live and self.state in ("starting", "training")

    @property
    def steerable(self) -> bool:
        """Whether an engine is there to take a command."""
        return self.live and self.state in ("starting", "training", "paused", "finishing")


Guard = Callable[[ActionContext], bool]


def always(_context: ActionContext) -> bool:
    """Guard of what can be done at any time."""
    return True


@dataclass(frozen=True, slots=True)
class Action:
    """One thing a user can do.

    Attributes:
        id: method `action_<id>` of its screen; also the binding's id for a keymap.
        keys: plain keys; the first one is shown. None: only in the palette.
        label: for the footer. help: one sentence. group: heading in the help.
        screens: where it exists ("*": everywhere). rank: order in the footer, 0 = never there.
        needs: what the guard asks for, in words, shown where its key does nothing; "" shows nothing.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    group: str
    screens: tuple[str, ...]
    guard: Guard = always
    rank: int = 0
    palette: bool = True
    needs: str = ""

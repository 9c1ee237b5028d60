"""What happened in a run that a user wants to hear of. Made by `feeds.news`, told by the app and `user.notify`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["waiting", "collapsed", "no signal", "finished", "stopped", "failed", "lost"]


@dataclass(frozen=True, slots=True)
class News:
    """Something worth a bell. `node` is that of a proposal or a segment; `reason` the run's own word, foreign text."""

    path: Path
    name: str
    kind: Kind
    node: int | None = None
    reason: str = ""

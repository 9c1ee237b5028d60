"""What a human takes away from a run: the selected node as text; files of the policy, the database, the strategy,
metrics, a picture. Called by the run screen.

It reads the run only in workers of the app, which go on when the screen is left, and writes nothing into it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from engine.words import change_text
from llmzero_tui.format import parameter, plain, score
from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.screens.host import HostApp
from llmzero_tui.values.snapshot import RunSnapshot, StageRow

if TYPE_CHECKING:
    from llmzero_tui.files.export_jobs import ExportJob, ExportKind
    from llmzero_tui.files.exporting import ExportTarget, Progress


AGAIN_SECONDS = 0.1
PATIENCE = 30
"""How often it is looked whether the selected node has been read."""


def copy_node(screen: FeedScreen, read: Callable[[], tuple[RunSnapshot | None, int | None]]) -> None:
    """Copy the selected node once it is read, unless the user has gone on to another: what it is, what it changed,
    why, and what came of it. `read`: what is shown now, and which node of it is selected."""
    _copy(screen, read, read()[1], PATIENCE)


def _copy(
    screen: FeedScreen, read: Callable[[], tuple[RunSnapshot | None, int | None]], node: int | None, tries: int
) -> None:
    snapshot, selected = read()
    stage = snapshot.detail.stage if snapshot is not None and snapshot.detail is not None else None
    if node != selected:
        return
    if snapshot is not None and stage is not None and stage.node == node:
        screen.app.copy(node_text(snapshot, stage), f"node {stage.node}")
    elif tries:
        screen.set_timer(AGAIN_SECONDS, partial(_copy, screen, read, node, tries - 1))
    else:
        screen.app.bell()


# ---- files ----------------------------------------------------------------------------------------------------------


def export(screen: FeedScreen, selected: int | None) -> None:
    """Choose what to write, then where."""
    from llmzero_tui.files.export_jobs import export_kinds
    from llmzero_tui.files.exporting import file_name
    from llmzero_tui.screens.dialogs import Choose
    from llmzero_tui.screens.place import AskFile

    kinds = export_kinds(selected)

    def where(name: str | None) -> None:
        kind = next((each for each in kinds if each.name == name), None)
        if kind is not None:
            ask = AskFile(
                f"Write {kind.what}", kind.words, f"{file_name(screen.feed.path.name)}{kind.ending}",
                suffixes=kind.suffixes, replaceable=kind.replaceable, directory=kind.directory,
            )  # fmt: skip
            screen.app.push_screen(ask, partial(_write, screen, selected, kind))

    options = tuple((kind.name, kind.what) for kind in kinds)
    screen.app.push_screen(Choose("Write to a file", options, ""), where)


def _write(screen: FeedScreen, selected: int | None, kind: ExportKind, place: ExportTarget | None) -> None:
    if place is None:
        return
    if kind.name == "picture":
        # Once the dialog is off the screen.
        screen.call_after_refresh(_picture, screen, place)
        return
    from llmzero_tui.files.export_jobs import export_job

    _start(screen.app, export_job(kind, screen.feed.path, selected, place, screen.app.opener))


def _picture(screen: FeedScreen, place: ExportTarget) -> None:
    from llmzero_tui.files.export_jobs import ExportJob
    from llmzero_tui.files.exporting import WrittenFile, whole_file

    svg = screen.app.export_screenshot(title=plain(screen.feed.path.name, 60)).encode("utf-8", "replace")

    def write(_progress: Progress) -> WrittenFile:
        with whole_file(place.path, overwrite=place.overwrite) as file:
            file.write(svg)
        return WrittenFile(place.path, "a picture of the screen", len(svg))

    _start(screen.app, ExportJob("a picture", write, long=False, stoppable=False))


def _start(app: HostApp, job: ExportJob) -> None:
    """Run it in the app's worker; what takes long shows how far it is."""
    from llmzero_tui.screens.progress import ProgressScreen

    def told() -> None:
        words = plain(job.outcome, 400)
        app.notify(words, severity="information" if job.written else "error", timeout=15, markup=False)

    def work() -> None:
        job.run()
        app.call_later(told)

    app.run_worker(work, group="job", thread=True, exit_on_error=False)
    if job.long:
        app.push_screen(ProgressScreen(job))


def node_text(snapshot: RunSnapshot, stage: StageRow) -> str:
    """A node as a colleague can read it in a message."""
    node = snapshot.nodes.get(stage.node)
    lines = [
        f"{snapshot.run.name} #{stage.node} {change_text(stage.changes, stage.label)}, {stage.state}, "
        f"{stage.trained} of {stage.planned} steps"
    ]
    if node is not None and node.parent is not None:
        lines.append(f"from #{node.parent} step {node.branch_step}, {stage.start} steps into the trajectory")
    if node is not None and (best := node.best) is not None:
        measured = score(best.value, best.low, best.high)
        lines.append(f"validation {measured} (n={best.n}) at step {best.step}")
    if stage.reason:
        lines.append(stage.reason)
    stages = snapshot.detail.stages if snapshot.detail else ()
    before = stages[-2].configuration if len(stages) > 1 else {}
    for name, value in stage.changes.items():
        lines.append(f"  {name}: {parameter(before.get(name))} -> {parameter(value)}")
    for words in (stage.rationale, f"Expected: {stage.expected}" if stage.expected else ""):
        if words:
            lines += ["", words]
    return "\n".join(plain(line, 20_000, lines=True) for line in lines) + "\n"

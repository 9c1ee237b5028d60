"""What a human takes away from a run: the selected node as text; files of the policy, the database, the strategy,
metrics, a picture. Mixed into the run screen.

It reads the run only in workers of the app, which go on when the screen is left, and writes nothing into it.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from llmzero_tui.format import parameter, plain, score
from llmzero_tui.screens.base import FeedScreen
from llmzero_tui.values.snapshot import RunSnapshot, StageRow

if TYPE_CHECKING:
    from llmzero_tui.files.errands import ExportJob, ExportKind
    from llmzero_tui.files.exporting import ExportTarget, Progress


AGAIN_SECONDS = 0.1
PATIENCE = 30
"""How often it is looked whether the selected node has been read."""


class Taking(FeedScreen):
    """The actions of a run screen that carry something out of it."""

    snapshot: RunSnapshot | None = None
    selected: int | None = None

    def action_copy(self) -> None:
        """The selected node: what it is, what it changed, why, and what came of it."""
        self._copy(self.selected, PATIENCE)

    def _copy(self, node: int | None, tries: int) -> None:
        """Copy a node once it is read, unless the user has gone on to another."""
        snapshot = self.snapshot
        stage = snapshot.detail.stage if snapshot is not None and snapshot.detail is not None else None
        if node != self.selected:
            return
        if snapshot is not None and stage is not None and stage.node == node:
            self.app.copy(node_text(snapshot, stage), f"node {stage.node}")  # type: ignore[attr-defined]
        elif tries:
            self.set_timer(AGAIN_SECONDS, partial(self._copy, node, tries - 1))
        else:
            self.app.bell()

    # ---- files ------------------------------------------------------------------------------------------------------

    def action_export(self) -> None:
        """Choose what to write, then where."""
        from llmzero_tui.files.errands import ways
        from llmzero_tui.files.exporting import file_name
        from llmzero_tui.screens.dialogs import Choose
        from llmzero_tui.screens.place import AskFile

        found = ways(self.selected)

        def where(name: str | None) -> None:
            way = next((each for each in found if each.name == name), None)
            if way is not None:
                ask = AskFile(
                    f"Write {way.what}", way.words, f"{file_name(self.feed.path.name)}{way.ending}",
                    suffixes=way.suffixes, replaceable=way.replaceable, directory=way.directory,
                )  # fmt: skip
                self.app.push_screen(ask, partial(self._write, way))

        options = tuple((way.name, way.what) for way in found)
        self.app.push_screen(Choose("Write to a file", options, ""), where)

    def _write(self, way: ExportKind, place: ExportTarget | None) -> None:
        if place is None:
            return
        if way.name == "picture":
            # Once the dialog is off the screen.
            self.call_after_refresh(self._picture, place)
            return
        from llmzero_tui.files.errands import errand

        opener = self.app.opener  # type: ignore[attr-defined]
        self._start(errand(way, self.feed.path, self.selected, place, opener))

    def _picture(self, place: ExportTarget) -> None:
        from llmzero_tui.files.errands import ExportJob
        from llmzero_tui.files.exporting import WrittenFile, whole_file

        svg = self.app.export_screenshot(title=plain(self.feed.path.name, 60)).encode("utf-8", "replace")

        def write(_progress: Progress) -> WrittenFile:
            with whole_file(place.path, overwrite=place.overwrite) as file:
                file.write(svg)
            return WrittenFile(place.path, "a picture of the screen", len(svg))

        self._start(ExportJob("a picture", write, long=False, stoppable=False))

    def _start(self, errand: ExportJob) -> None:
        """Run it in the app's worker; what takes long shows how far it is."""
        from llmzero_tui.screens.progress import ProgressScreen

        app = self.app

        def told() -> None:
            words = plain(errand.outcome, 400)
            app.notify(words, severity="information" if errand.written else "error", timeout=15, markup=False)

        def work() -> None:
            errand.run()
            app.call_later(told)

        app.run_worker(work, group="errand", thread=True, exit_on_error=False)
        if errand.long:
            app.push_screen(ProgressScreen(errand))


def node_text(snapshot: RunSnapshot, stage: StageRow) -> str:
    """A node as a colleague can read it in a message."""
    node = snapshot.nodes.get(stage.node)
    lines = [
        f"{snapshot.run.name} #{stage.node} {stage.label}, {stage.state}, {stage.trained} of {stage.planned} steps"
    ]
    if node is not None and node.parent is not None:
        lines.append(f"from #{node.parent} step {node.branch_step}, {stage.start} steps into the trajectory")
    if node is not None and (best := node.best) is not None:
        found = score(best.value, best.low, best.high)
        lines.append(f"validation {found} (n={best.n}) at step {best.step}")
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

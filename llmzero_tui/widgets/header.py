"""The two lines on top of a run: what it is doing, how old that knowledge is, what is spent.

Drawn from a snapshot alone; parts that do not fit go, the least important first.
"""

from __future__ import annotations

from datetime import datetime

from rich.cells import cell_len
from rich.text import Text
from textual.app import RenderResult
from textual.widget import Widget

from engine.words import counted
from llmzero_tui.format import age, bar, duration, mark, plain, score
from llmzero_tui.values.nodes import ShownScore
from llmzero_tui.values.snapshot import CommandRow, RunRow, RunSnapshot
from llmzero_tui.widgets.appearance import Appearance, look, row

STALE_SECONDS = 5.0
COMMAND_SECONDS = 12.0


class RunHeader(Widget):
    """Shows the latest snapshot; `lost` is the reason while there is none."""

    def __init__(self, name: str) -> None:
        super().__init__(id="header")
        self.run_name = name
        self.snapshot: RunSnapshot | None = None
        self.now: datetime | None = None
        self.lost = ""
        self.frozen = False
        self._shown = Text()

    def show(self, snapshot: RunSnapshot | None, now: datetime, lost: str, frozen: bool) -> None:
        """Take the state of this tick; the ages are counted from `now`."""
        self.snapshot, self.now, self.lost, self.frozen = snapshot, now, lost, frozen
        if (text := self._text()) != self._shown:
            self._shown = text
            self.refresh()

    def render(self) -> RenderResult:
        return self._text()

    def _text(self) -> Text:
        """Both lines."""
        width = self.size.width - 2
        if self.snapshot is None or self.now is None:
            words = self.lost or "opening …"
            line = Text.assemble(("LLMZero ", "bold"), plain(self.run_name, 40), "  ", plain(words, 200))
            return look(self).done(line)
        first = _first(self.snapshot, self.now, self.lost, self.frozen, width, look(self))
        second = _second(self.snapshot, self.now, width, look(self))
        return look(self).done(Text("\n").join([first, second]))


def _first(snapshot: RunSnapshot, now: datetime, lost: str, frozen: bool, width: int, appearance: Appearance) -> Text:
    colours = appearance.palette
    run = snapshot.run
    wide = width >= 100
    left = Text(no_wrap=True)
    left.append("LLMZero " if wide else "", style=colours.muted)
    left.append(plain(run.name, 28 if wide else 16), style=f"bold {colours.text}")
    node, alone = snapshot.running, run.doing(None)
    word = plain(alone, 40) if alone and node is None and run.state == "training" else run.state
    left.append("  ").append_text(appearance.state(run.state, word))
    if node is not None:
        left.append(f"  #{node.id}" if not wide else f"  node {node.id}", style=colours.text)
        doing = run.doing(node.id)
        if not doing or wide:
            left.append(f" step {node.trained}/{node.planned}", style=colours.muted)
        if doing:
            left.append(f" {plain(doing, 40)}", style=colours.live)
    elif alone and word is run.state:
        left.append(f"  {plain(alone, 40)}", style=colours.live)
    left.append_text(_scores(run, wide, appearance))
    right = _age(snapshot, now, lost, frozen, wide, appearance)
    right.append_text(_advisor(run, width - left.cell_len - right.cell_len if wide else 0, appearance))
    return row(left, right, width)


def _advisor(run: RunRow, room: int, appearance: Appearance) -> Text:
    """Who advises and whether it answers, as far as there is room: scores are never cut for it."""
    name, failing = f"   {plain(run.advisor, 20)} advisor", run.advisor_state.startswith("failing")
    state = f", {run.advisor_state}" if run.advisor_state else ""
    short = state.partition(", last")[0].partition(", no")[0] if failing else ""
    for words in (name + state, name + short, name):
        if cell_len(words) < room:
            return Text(words, style=appearance.palette.warn if failing else appearance.palette.muted)
    return Text()


def _scores(run: RunRow, wide: bool, appearance: Appearance) -> Text:
    """The validation score that decided, or the best so far, and the test score; where there is room for one, that."""
    colours, text = appearance.palette, Text()
    best = run.headline
    whose = f" {plain(_short(best, wide), 60)}" if best is not None else ""
    if best is not None and (wide or run.test is None):
        text.append("  selected " if run.reranked else "  best ", style=colours.muted)
        text.append(score(best.value, best.low, best.high), style=f"bold {colours.star}")
        text.append(whose, style=colours.muted)
    if run.test is not None:
        text.append("  test ", style=colours.muted)
        text.append(score(run.test.value, run.test.low, run.test.high), style=f"bold {colours.good}")
        text.append("" if wide else whose, style=colours.muted)
    return text


def _without_gain(run: RunRow) -> bool:
    """Whether it ended with its base: then the reason says what was learnt."""
    return run.over and run.best is not None and run.best.node == 0


def _short(best: ShownScore, wide: bool) -> str:
    """Whose score it is: the node, or a soup with its members where there is room."""
    if best.policy.startswith("soup"):
        return best.policy if wide else "soup"
    return f"#{best.node}"


def _age(snapshot: RunSnapshot, now: datetime, lost: str, frozen: bool, wide: bool, appearance: Appearance) -> Text:
    """How old the newest data is: a thing to worry about only while something should be arriving."""
    colours = appearance.palette
    if frozen:
        return Text("frozen " + age((now - snapshot.taken).total_seconds()), style=colours.wait)
    if lost:
        return Text("no connection · retrying", style=colours.bad)
    if not snapshot.run.live:
        return Text("no engine" if not snapshot.run.over else "read from disk", style=colours.muted)
    if snapshot.data_time is None:
        return Text("no data yet", style=colours.muted)
    seconds = max(0.0, (now - snapshot.data_time).total_seconds())
    stale = seconds > STALE_SECONDS and snapshot.run.state == "training" and not snapshot.run.activity
    style = colours.warn if stale else colours.muted
    return Text(f"data {age(seconds)} old" if wide else f"{age(seconds)} old", style=style)


def _second(snapshot: RunSnapshot, now: datetime, width: int, appearance: Appearance) -> Text:
    colours = appearance.palette
    run = snapshot.run
    wide = width >= 100
    spent, left_over = bar(run.spent, 20 if wide else 10, ascii=appearance.ascii)
    left = Text.assemble((spent, colours.live), (left_over, colours.faint), (f" {run.spent:4.0%}", colours.text))
    steps = f"{run.steps}/{run.limit}" if run.limit else f"{run.steps}"
    unit = "step" if steps == "1" else "steps"
    left.append(f"{'  ' if wide else ' '}{steps} {unit}", style=colours.muted)
    if wide:
        left.append(f"  {counted(run.nodes, 'node')}  {duration(run.wall_seconds)}", style=colours.muted)
    if run.eta is not None:
        left.append(f"  ETA {duration(run.eta)}", style=colours.text)
    elif run.reason and (run.state in ("failed", "stopped", "crashed") or _without_gain(run)):
        left.append(f"  {plain(run.reason, 120)}", style=colours.bad if run.state == "failed" else colours.muted)
    return row(left, status(snapshot.commands, snapshot.waiting, now, appearance), width)


def status(commands: tuple[CommandRow, ...], waiting: int, now: datetime, appearance: Appearance) -> Text:
    """The inbox, and the latest command while it is news: sent → taken → done."""
    colours = appearance.palette
    text = Text()
    command = commands[-1] if commands else None
    if command is not None and _news(command, now):
        text.append_text(command_text(command, appearance, brief=True))
    if waiting:
        text.append("   " if text else "")
        text.append(f"{waiting} waiting", style=f"bold {colours.wait}")
    return text


def _news(command: CommandRow, now: datetime) -> bool:
    if command.state not in ("done", "refused"):
        return True
    return (now - (command.answered or command.ts)).total_seconds() < COMMAND_SECONDS


def command_text(command: CommandRow, appearance: Appearance, *, brief: bool = False) -> Text:
    """One command with its author and its way so far; `brief` says only where it is."""
    colours = appearance.palette
    who = "" if brief else f"{plain(command.author, 24)}: "
    what = plain(command.kind, 16) + (f" #{command.node}" if command.node is not None else "")
    steps = {"sent": "sent", "taken": "sent → taken", "done": "sent → taken → done", "refused": "refused"}
    style = {"done": colours.good, "refused": colours.bad}.get(command.state, colours.wait)
    glyph = {"done": mark("finished"), "refused": mark("crashed")}.get(command.state)
    word = plain(command.state, 16) if brief else steps.get(command.state, plain(command.state, 16))
    text = Text.assemble((who, colours.muted), (what + " ", colours.text), (word, style))
    if glyph is not None:
        text.append(" " + (glyph.ascii if appearance.ascii else glyph.glyph), style=style)
    return text

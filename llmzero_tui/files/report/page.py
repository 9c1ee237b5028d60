"""The report as Markdown, and as one HTML file: sections of one run, or of several one after the other.

Whatever a model, an advisor or a human wrote is shown as text, never as Markdown or HTML of the page.
"""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterator, Mapping, Sequence

import tomli_w

from engine.analysis.reported import ReportedPolicy
from engine.analysis.rows import table as json_table
from engine.analysis.rows import values
from engine.host.model_files import portable
from engine.words import change_text, counted, intent_name, sentence
from llmzero_tui.files.report.facts import Row, RunReport
from llmzero_tui.format import MISSING, duration, parameter, plain, score
from llmzero_tui.text.dynamics import HEADER as DYNAMICS
from llmzero_tui.text.dynamics import NOTE as DYNAMICS_NOTE
from llmzero_tui.text.dynamics import dynamics_rows
from llmzero_tui.text.facts import score_cells
from llmzero_tui.text.summary import changing, plain_grpo_line, result_rows, test_lines, unchanging_line
from llmzero_tui.values.standing import decision, measured

_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#!|~&]|^[-+=]|(?<=^\d)[.)](?=\s)|(?<=^\d\d)[.)](?=\s))")
CAPTIONS = {
    "tree": "Every segment from the checkpoint it branched off; the best trajectory with its 95% interval.",
    "best": "The best validation score so far, and every score, against what was spent.",
    "parameters": "Hyperparameters that differ between segments, along the best trajectory; other segments in grey.",
}
COMMANDS = {"annotate": "note", "expand": "branch"}
"""Kinds of commands that the command line calls otherwise."""
GATE = {"auto": "let through by the gate", "timeout": "let through by the gate after its time"}
"""Who decided where it was no human."""
STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-top: 2.4rem; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #8885; }
h3 { font-size: 1rem; }
table { margin: .8rem 0; border-collapse: collapse; display: block; overflow-x: auto;
  font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; border-bottom: 1px solid #8884; text-align: left; vertical-align: top; font-size: 13px;
  white-space: nowrap; }
td:last-child { white-space: normal; min-width: 8rem; overflow-wrap: anywhere; }
pre { background: #8881; padding: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: 12px; }
code { font-size: 12px; }
h1 + p + p { font-size: 1.1rem; font-weight: 600; }
blockquote { margin: .4rem 0; padding: 0 .9rem; border-left: 3px solid #8885; }
img { width: 100%; max-width: 62rem; background: #fff; }
p:has(img) + p { color: #777; font-size: 13px; margin-top: 0; }
@media (max-width: 40rem) { th, td { padding: .2rem .3rem; font-size: 12px; } }
@media print { body { max-width: none; margin: 0; } table { overflow: visible; } th, td { white-space: normal; }
  h2, h3, tr { break-inside: avoid; break-after: avoid; } }
"""


def escape(text: object, limit: int = 400) -> str:
    """Foreign text on one line of Markdown, every sign of which stands for itself."""
    return _SPECIAL.sub(r"\\\1", plain(text, limit))


def block(text: object, limit: int = 2000, kind: str = "text") -> str:
    """Foreign text as a code block, fenced longer than any fence in it."""
    body = plain(text, limit, lines=True)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", body)), default=0))
    return f"{fence}{kind}\n{body}\n{fence}"


def quote(text: object, limit: int = 2000) -> str:
    """Foreign text as a quotation, its lines kept apart."""
    lines = plain(text, limit, lines=True).split("\n")
    return "\n>\n".join(f"> {escape(line, limit)}" for line in lines if line.strip())


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Cells are foreign text."""
    lines = [[escape(cell) for cell in row] for row in (header, *rows)]
    lines.insert(1, ["---"] * len(header))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def markdown(reports: Sequence[RunReport], figures: Sequence[Mapping[str, str]]) -> str:
    """The page. `figures`: per run, name of the figure → the file that shows it."""
    parts = [part for report, drawn in zip(reports, figures, strict=True) for part in _run(report, drawn)]
    if len(reports) > 1:
        parts.insert(0, _overview(reports))
    return plain("\n\n".join(parts), lines=True) + "\n"  # the last door: no control character, wherever it came from


def _overview(reports: Sequence[RunReport]) -> str:
    """The runs of a document, a line each."""
    rows = []
    for report in reports:
        summary, best = report.summary, report.result.strategy.reported
        scores = [*score_cells(best.base_test), *score_cells(best.test)]
        rows.append([summary.name, summary.state, *scores, summary.steps, duration(summary.trainer_seconds)])
    return table(
        ["run", "state", "base, test [95%]", "n", "policy, test [95%]", "n", "GRPO steps", "trainer time"], rows
    )


def _run(report: RunReport, figures: Mapping[str, str]) -> Iterator[str]:
    yield from _head(report)
    yield from _result(report)
    if figures:
        yield "## The search in figures"
    for name, file in figures.items():
        yield f"![{name}]({file})"
        yield f"*{CAPTIONS[name]}*"
    yield from _schedule(report)
    yield from _decisions(report)
    yield from _dynamics(report)
    yield from _cost(report)
    yield from _written(report)
    yield from _humans(report)
    yield from _environment(report)


def _head(report: RunReport) -> Iterator[str]:
    summary = report.summary
    reason = f": {escape(summary.reason)}" if summary.reason else ""
    yield f"# {escape(summary.name)}"
    yield (
        f"GRPO on the task {escape(summary.task)} from {escape(portable(summary.model))}; "
        f"search {escape(summary.strategy)}, advisor {escape(summary.advisor)}; {escape(summary.state)}{reason}. "
        f"{counted(summary.steps, 'GRPO step')}, {counted(summary.nodes, 'segment')}, {duration(summary.wall_seconds)}."
    )
    if headline := _headline(report.result.strategy.reported):
        yield headline


def _headline(best: ReportedPolicy) -> str:
    """What came out, in a sentence; "" where the test split has not measured both."""
    if best.kind == "base" or not (best.test and best.base_test):
        return ""
    before, after = escape(measured(best.base_test)), escape(measured(best.test))
    name = "a soup" if best.kind == "soup" else escape(best.policy)
    return f"Test score of the base model {before}, of the policy that was found \\({name}\\) {after}."


def _result(report: RunReport) -> Iterator[str]:
    best = report.result.strategy.reported
    yield "## Result"
    header, rows = result_rows(best)
    short = f"soup of {counted(len(best.members), 'checkpoint')}" if best.kind == "soup" and best.members else ""
    yield table(header, [[short if short and row[0] != "base" else row[0], *row[1:]] for row in rows])
    yield (
        "A score is (greedy + 2 · sampled) / 3 of the accuracies; 95% intervals are clustered by prompt. Validation "
        "scores steered the search, so that the best of them is optimistic; test prompts steered nothing."
    )
    if not report.result.strategy.stages:
        yield _said(report.result.no_gain or "nothing beats the base model yet")
    if decided := decision(best.policy, best.reranked, best.leader, best.leader_reranked):
        yield _said(decided)
    if best.policy:
        yield from map(_said, test_lines(best))
    if line := plain_grpo_line(report.result):
        yield _said(line)


def _said(line: str) -> str:
    """A line of the terminal as a sentence."""
    return f"{escape(sentence(line), 2000).rstrip('.')}."


def _schedule(report: RunReport) -> Iterator[str]:
    strategy = report.result.strategy
    stages = strategy.stages
    if not stages:
        return
    yield "## Schedule"
    names = changing(strategy)
    rows = [
        [
            number, f"#{stage.node}", stage.steps, *(parameter(stage.configuration.get(name)) for name in names),
            stage.optimizer, stage.reference,
            *score_cells(stage.validation),
        ]
        for number, stage in enumerate(stages, 1)
    ]  # fmt: skip
    yield table(["stage", "node", "steps", *names, "Adam", "KL reference", "validation at its end [95%]", "n"], rows)
    if still := unchanging_line(strategy):
        yield _said(still)


def _decisions(report: RunReport) -> Iterator[str]:
    if not report.decisions:
        return
    yield "## Decisions"
    yield "Every segment in the order of its proposal: why it was begun, what was expected, and what came of it."
    for row in report.decisions:
        yield from _decision(row)


def _decision(row: Row) -> Iterator[str]:
    star = " · on the best trajectory" if row["stage"] is not None else ""
    label, intent = plain(change_text(values(row["changes"]), row["label"]), 200), plain(intent_name(row["intent"]), 40)
    yield f"### #{row['node_id']} {escape(label)}{'' if label == intent else f' · {escape(intent)}'}{star}"
    start = f"#{row['parent_id']} step {row['branch_step']}" if row["parent_id"] else "the base"
    who = f"proposed by {escape(row['advisor'])}"
    if row["decided_by"]:
        who += f", {GATE.get(row['decided_by']) or 'decided by ' + escape(row['decided_by'])}"
    before = score(row["before_value"], row["before_low"], row["before_high"])
    after = score(row["value"], row["value_low"], row["value_high"])
    reason = f": {escape(row['reason'])}" if row["reason"] else ""
    steps = f" after {row['trained_steps']} of {counted(row['planned_steps'], 'step')}" if row["trained_steps"] else ""
    came = f"{escape(before)} → {escape(after)}" if row["value"] is not None else f"at its start {escape(before)}"
    yield f"From {start}, {who}; {escape(row['state'])}{steps}{reason}. Validation {came}."
    if row["rationale"]:
        yield quote(row["rationale"])
    if row["expected"]:
        yield f"Expected: {escape(row['expected'])}"
    if row["note"]:
        yield f"Note of a human: {escape(row['note'])}"


def _dynamics(report: RunReport) -> Iterator[str]:
    yield "## Parameter dynamics"
    rows = dynamics_rows(report.dynamics)
    if not rows:
        yield "No hyperparameter was changed by a transition."
        return
    yield table(DYNAMICS, rows)
    yield f"{escape(DYNAMICS_NOTE, 1000)}."


def _cost(report: RunReport) -> Iterator[str]:
    cost = report.cost
    trainer, used = cost["trainer_seconds"] or 0.0, cost["used_seconds"] or 0.0
    yield "## Cost"
    rows = [
        ["trainer time, all segments", duration(trainer)],
        ["of it on the best trajectory", f"{duration(used)} ({used / trainer:.0%})" if trainer else MISSING],
        ["of it in branches that were not used",
         f"{duration(trainer - used)} ({1 - used / trainer:.0%})" if trainer else MISSING],
        ["scoring checkpoints on validation prompts", duration(cost["scoring_seconds"] or 0.0)],
        ["reranking and test at the end", duration(cost["closing_seconds"] or 0.0)],
        ["whole run, pauses left out", duration(cost["wall_seconds"])],
        ["waiting for a human", duration(cost["waiting_seconds"] or 0.0)],
        ["stopped early", f"{counted(cost['stopped'], 'segment')}, {cost['saved_steps'] or 0} steps not trained"],
    ]  # fmt: skip
    yield table(["what", "how much"], rows)
    if report.advice:
        names = ("advisor", "role", "model", "calls", "errors", "prompt_tokens", "completion_tokens", "seconds")
        yield table(
            [name.replace("_", " ") for name in names], [[_cell(row[name]) for name in names] for row in report.advice]
        )


def _cell(value: object) -> object:
    return f"{value:.1f}" if isinstance(value, float) else MISSING if value in (None, "") else value


def _written(report: RunReport) -> Iterator[str]:
    if not report.samples:
        return
    yield "## Samples"
    yield "Validation prompts, answered by the base model and by the reported policy."
    for pair in report.samples:
        yield f"### answer {escape(pair.answer, 200)}" if pair.answer else "### prompt"
        yield block(pair.prompt)
        for who, row in (("base", pair.before), ("policy", pair.after)):
            cut = ", truncated" if row["truncated"] else ""
            yield f"{who}: {'correct' if row['correct'] else 'wrong'}{cut}"
            yield block(row["completion"])


def _humans(report: RunReport) -> Iterator[str]:
    yield "## What humans did"
    if not report.humans:
        yield "Nothing: no command was given to this run."
        return
    rows = [
        [f"{row['ts']:%Y-%m-%d %H:%M:%S}", row["author"], COMMANDS.get(row["kind"], row["kind"]),
         MISSING if row["node_id"] is None else f"#{row['node_id']}", row["state"] or MISSING, row["message"] or ""]
        for row in report.humans
    ]  # fmt: skip
    yield table(["time (UTC)", "who", "command", "node", "outcome", "message"], rows)


def _environment(report: RunReport) -> Iterator[str]:
    header = report.header
    yield "## Environment and run file"
    version, begun = escape(header["engine_version"]), f"{header['created']:%Y-%m-%d %H:%M} UTC"
    yield f"llmzero {version}; begun {begun}; seed {header['seed']}. {escape(report.environment)}".rstrip()
    config = json_table(header["config"])
    if isinstance(model := config.get("model"), dict) and isinstance(path := model.get("path"), str):
        config["model"] = {**model, "path": portable(path)}
    yield block(tomli_w.dumps(config), 20_000, "toml")


def as_html(text: str, title: str, images: Mapping[str, bytes]) -> str:
    """The page in one file: images of `images` stand in it as data, nothing is asked of a network."""
    from markdown_it import MarkdownIt

    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(text)
    for name, data in images.items():
        encoded = base64.b64encode(data).decode("ascii")
        body = body.replace(f'src="{html.escape(name)}"', f'src="data:image/svg+xml;base64,{encoded}"')
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(plain(title))}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n<style>{STYLE}</style></head>\n'
        f"<body>\n{body}</body></html>\n"
    )

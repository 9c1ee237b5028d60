"""The result of the advisors' bench as tables: lines for the terminal, and the page docs/advisor-bench.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.words import counted
from llmzero_tui.format import plain
from llmzero_tui.text.output import table

Result = Mapping[str, Any]
"""What `engine.decisions.bench` prints."""


@dataclass(frozen=True, slots=True)
class BenchTable:
    """One table with what it shows."""

    title: str
    note: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def bench_lines(result: Result) -> Iterator[str]:
    """Everything, as lines for stdout."""
    yield _bank(result)
    for each in tables(result):
        yield from ("", each.title, each.note)
        yield from table(each.header, each.rows)


def page(result: Result) -> str:
    """The same as a page."""
    parts = [HEAD, _bank(result) + "."]
    for each in tables(result):
        rows = [each.header, ["---"] * len(each.header), *each.rows]
        lines = ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows)
        parts.append("\n".join((f"## {each.title}", "", each.note, "", *lines)))
    return "\n\n".join([*parts, METHOD])


def tables(result: Result) -> list[BenchTable]:
    """What decisions came to and where, how advisors differ, how they answered at what cost, what paid, every point."""
    made = (_gains, _differences, _diagnoses, _shares, _answers, _roles, _parts, _payoffs, _points)
    every = [each(result) for each in made]
    return [each for each in every if each.rows]


def _bank(result: Result) -> str:
    bank = result["bank"]
    seeds = ", ".join(f"{n} with {counted(int(s), 'seed')}" for s, n in bank["seeds"].items())
    tasks = ", ".join(f"{task} {n}" for task, n in bank["tasks"].items())
    return plain(
        f"{counted(bank['points'], 'decision point')} ({tasks}) in {counted(len(bank['states']), 'state')}, "
        f"{counted(bank['transitions'], 'transition')}: {seeds}",
        1000,
    )


def _gains(result: Result) -> BenchTable:
    horizons = result["horizons"]
    last = str(horizons[-1]) if horizons else ""
    rows = [
        (
            plain(row["advisor"]), str(row["points"]), *(_interval(row["gain"][str(h)]) for h in horizons),
            _interval(row.get("regret", {}).get(last)), _share(row.get("measured")), _number(row.get("distance")),
        )
        for row in result["rows"]
    ]  # fmt: skip
    return BenchTable(
        "What the decisions came to",
        "Mean gain in test score over continuing unchanged, after so many steps, with its 95% interval over points; "
        "regret against the best measured transition of each point.",
        ("advisor", "points", *(f"gain after {h}" for h in horizons), f"regret after {last}", "measured", "distance"),
        rows,
    )


def _differences(result: Result) -> BenchTable:
    horizons = result["horizons"]
    rows = [
        (
            plain(row["advisor"]), plain(row["against"]), *(_interval(row["gain"][str(h)]) for h in horizons),
            _verdict(row["gain"][str(horizons[-1])]),
        )
        for row in result["differences"]
    ]  # fmt: skip
    return BenchTable(
        "One advisor against another",
        "The difference of their gains, point by point, with its 95% interval; shown where the interval after the "
        "most steps leaves out 0.",
        ("advisor", "against", *(f"after {h}" for h in horizons), "shown"),
        rows,
    )


def _diagnoses(result: Result) -> BenchTable:
    last = result["horizons"][-1]
    advisors = list(dict.fromkeys(name for row in result["diagnoses"] for name in row["gain"]))
    rows = [
        (plain(row["diagnosis"]), str(row["points"]), *(_of(row["gain"].get(name), row["points"]) for name in advisors))
        for row in result["diagnoses"]
    ]
    return BenchTable(
        "Where the gain comes from",
        f"Mean gain after {last} steps by the worst diagnosis of the segment that leads to the point, with its 95% "
        "interval over points; with the number of points where an advisor answered at fewer.",
        ("diagnosis", "points", *map(plain, advisors)),
        rows,
    )


def _of(value: Mapping[str, Any] | None, points: int) -> str:
    """A mean over so many points, or over fewer."""
    return _interval(value) + (f" ({value['n']})" if value is not None and value["n"] < points else "")


def _verdict(value: Mapping[str, Any] | None) -> str:
    if value is None or value["low"] is None or value["low"] <= 0 <= value["high"]:
        return "no"
    return "better" if value["low"] > 0 else "worse"


def _answers(result: Result) -> BenchTable:
    rows = [
        (
            plain(row["advisor"]), *(_share(row[name]) for name in ("valid", "repaired", "refused")),
            f"{row['seconds']:.2f}", _share(row["idle"]),
        )
        for row in result["rows"] if "valid" in row
    ]  # fmt: skip
    return BenchTable(
        "How they answered",
        "Shares of the decisions; seconds are the mean of a decision, also as a share of the segment that a trainer "
        "would train meanwhile.",
        ("advisor", "valid", "repaired", "refused", "seconds", "of a segment"),
        rows,
    )


def _roles(result: Result) -> BenchTable:
    rows = [
        (
            plain(row["advisor"]), plain(role["role"]), f"{role['calls']:.1f}", f"{role['prompt_tokens']:.0f}",
            f"{role['completion_tokens']:.0f}", f"{role['seconds']:.2f}",
        )
        for row in result["rows"] for role in row.get("roles", ())
    ]  # fmt: skip
    return BenchTable(
        "What each role of a model takes",
        "Means of a decision.",
        ("advisor", "role", "calls", "tokens read", "written", "seconds"),
        rows,
    )


def _shares(result: Result) -> BenchTable:
    last = result["horizons"][-1]
    shares = [each["share"] for each in result["shares"][0]["gains"]] if result["shares"] else []
    rows = [
        (plain(row["advisor"]), str(row["gains"][0]["gain"]["n"]), *(_interval(each["gain"]) for each in row["gains"]))
        for row in result["shares"]
    ]
    return BenchTable(
        "A model's share of the decisions",
        f"Gain after {last} steps that is to be expected of a run with so large an `advisor.share`, the rules deciding "
        "the rest, at the points where the model answered.",
        ("advisor", "points", *map(_share, shares)),
        rows,
    )


def _parts(result: Result) -> BenchTable:
    advisors = list(dict.fromkeys(name for row in result["parts"] for name in row["worth"]))
    rows = [
        (
            plain(row["part"]), str(row["points"]), "–" if row["tokens"] is None else f"{row['tokens']:.0f}",
            str(row["most"] or "–"), *(_interval(row["worth"].get(name)) for name in advisors),
        )
        for row in result["parts"]
    ]  # fmt: skip
    last = result["horizons"][-1]
    return BenchTable(
        "What each part of a prompt takes, and is worth",
        "Tokens as estimated before a prompt is sent, mean and most over the points that have the part; and for each "
        f"model that was also asked with `--without` it, what it gains after {last} steps with it more than without.",
        ("part", "points", "tokens", "most", *(f"worth to {plain(name)}" for name in advisors)),
        rows,
    )


def _payoffs(result: Result) -> BenchTable:
    """Kinds that were measured at one point only say nothing, and are left out."""
    last = str(result["horizons"][-1]) if result["horizons"] else ""
    rows = [
        (
            plain(row["diagnosis"]), plain(row["kind"]), str(row["gain"]["n"]), str(row["tasks"]),
            _interval(row["gain"]), _range(row["without"]), row["verdict"],
        )
        for row in result["payoffs"] if row["gain"]["n"] > 1
    ]  # fmt: skip
    return BenchTable(
        "What paid, by diagnosis and kind of change",
        f"Mean gain after {last} steps of the transitions that contain a kind of change, with its 95% interval over "
        "points, and the range of that mean when one task is left out. A verdict needs six points on three tasks.",
        ("diagnosis", "kind of change", "points", "tasks", "gain", "a task left out", "verdict"),
        rows,
    )


def _range(value: Mapping[str, Any]) -> str:
    return "–" if value["low"] is None else f"{_signed(value['low'])} to {_signed(value['high'])}"


def _points(result: Result) -> BenchTable:
    last = str(result["horizons"][-1]) if result["horizons"] else ""
    names = [row["advisor"] for row in result["rows"] if "valid" in row]
    rows = []
    for point in result["points"]:
        cells = []
        for name in names:
            chosen = point["advisors"].get(name)
            near = "" if chosen is None or chosen["distance"] == 0 else "≈ "
            cells.append("" if chosen is None else f"{near}{chosen['origin']} {_signed(chosen['gains'].get(last))}")
        rows.append((plain(point["name"]), _signed(point["best"].get(last)), *map(plain, cells)))
    return BenchTable(
        "Every point",
        f"The best measured gain after {last} steps, and the transition that each advisor chose; ≈ marks one that was "
        "not measured itself and counts as the nearest.",
        ("point", "best", *map(plain, names)),
        rows,
    )


def _interval(value: Mapping[str, Any] | None) -> str:
    """ "+0.031 [+0.012, +0.050]"; without an interval where it has no width."""
    if value is None:
        return "–"
    if value["low"] in (None, value["high"]):
        return _signed(value["value"])
    return f"{_signed(value['value'])} [{_signed(value['low'])}, {_signed(value['high'])}]"


def _signed(value: float | None) -> str:
    return "–" if value is None else f"{value:+.3f}".replace("-", "−")


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.0%}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


HEAD = """# How well advisors decide

Measured by `llmzero advisor-bench`, on the bank of decisions that is shipped; this page is what it wrote with
`--answers assets/decisions/answers-smollm2-135m.jsonl --to docs/advisor-bench.md`. An advisor that answered at some of
the points has its means over those alone: the table of differences is what compares it. With a model of yours:

```
llmzero advisor-bench --advisor ollama --model qwen3-vl:4b --answers qwen3-vl-4b.jsonl
```

Every answer is kept in the file as it comes. A command that is interrupted goes on where it was, and `llmzero
advisor-bench --answers FILE` scores the file later without a server."""

METHOD = """## The bank

`assets/decisions/bank.jsonl`, made by `python -m benchmarks.decisions`, which goes on after a kill. A *point* is the
end of a short run on a tiny task, trained into a state that is well (young, healthy, late) or ill in one way (a rate
or a temperature that is too high, completions that are too short, no KL penalty or one that is too strong, prompts
that are too easy, a rate that is too low). It holds what an advisor gets in a run: tree, curves, scores, rollouts;
plots are drawn when a model is asked that sees. From its checkpoint *continue*, two proposals of the rules, two
probes whose kind goes round (single and coordinated changes) and one bad change are trained for 100 steps with real
GRPO, with two training seeds, and tested after 50 and 100 steps on 512 prompts that the evidence does not contain. A
gain is the difference from continuing with the same seeds, prompt by prompt.

## How answers are scored

- An answer is held to the rules of a run: a place that was offered, values within the space, no repeat. What breaks
  one is refused and asked for once more; where nothing usable comes the rules' proposal counts, as in a run. The
  choice among several branches (the selector's) is not asked for: a point is one place.
- A model that is shown the rules' proposals (`--shows-rules`, `advisor.shows_rules` of a run file) has a row of its
  own, and so has one that is asked without a part of its prompt or without an analyst (`--without rollouts`,
  `--without analyst`; the latter is `advisor.roles` of a run file). With `advisor.share` below 1 turns do not depend on
  the evidence: a share of 30% is expected to gain 30% of what the model gains and 70% of what the rules do.
- A transition that was measured counts as measured. Any other counts as the nearest that was: Euclidean distance over
  the free hyperparameters of the resulting configurations, each scaled to 0 … 1 on its own scale, with 0.25 for
  another state of Adam, 0.25 for another KL reference, and 0.25 for each segment between the branch points.
  `measured` is the share of the first kind, `distance` the mean of the second.
- `random changes` are 32 draws a point, one to three hyperparameters each, as the strategy `random-changes` draws
  them.
- Regret is against the highest of several noisy gains, so it is too high for everyone alike. `best by one seed` is
  what could be known: the transition that is best by one training seed, scored with the other.
- `rules corrected by other tasks` choose among the transitions that were measured at a point, and know the gains of
  the other tasks' points alone: a Bayesian linear regression (`engine/decisions/effects.py`) whose prior is that a
  transition gains the more, the more of its kinds of change the rules would propose there, and whose likelihood is what
  kinds of change gained, anywhere and under the worst diagnosis. They continue where nothing is expected to gain.
  Transitions that are bad on purpose teach nothing. Where they gain more than the rules, the rules are to be changed.
- The standard error of a single gain is over prompts; how far training seeds differ is in the intervals, which are over
  points (t). Points of one task share its test prompts and its base model; a few tiny tasks are
  no sample of the tasks that there are.
"""

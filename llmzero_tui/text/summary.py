"""The result of a run as text: the base against the best policy on the test split, and the strategy as a table of
stages.

Used by `show` and at the end of a run without screens. Every score stands with its n and its 95% interval.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engine.analysis.dynamics import ParameterDynamics, dynamics, read_moves
from engine.analysis.forecast import BranchForecast
from engine.analysis.kept_forecasts import read_forecasts
from engine.analysis.no_gain import no_gain
from engine.analysis.plain_grpo import PlainGRPO, read_plain
from engine.analysis.reported import ReportedPolicy
from engine.analysis.strategy import StrategyStage, TrainingStrategy, read_strategy
from engine.analysis.summary import SPENDING, summarise
from engine.domain.parameters import direction
from engine.domain.score import Score
from engine.run.config import SAMPLING
from engine.run.rundir import RunDirectory
from engine.store.reader import Reader, ask_run
from engine.words import counted, values_text
from llmzero_tui.format import MISSING, duration, mark, parameter, plain, share
from llmzero_tui.format import score as interval_text
from llmzero_tui.text.facts import score_cells
from llmzero_tui.text.output import emit, table
from llmzero_tui.values.answers import to_json
from llmzero_tui.values.standing import decision, measured, yardstick


def show_summary(directory: RunDirectory, *, as_json: bool) -> None:
    """Print the result of a run that is over.

    Raises:
        UserError or Fault: the run cannot be read.
    """
    summary, result = ask_run(directory.path, lambda reader: (summarise(reader), read_result(reader)))
    if as_json:
        emit(to_json({**summary.as_dict(), **result_as_dict(result)}))
        return
    reason = f": {plain(summary.reason, 200)}" if summary.reason else ""
    emit("", f"{directory.name}  {mark(summary.state).glyph} {summary.state}{reason}")
    trained = f"{counted(summary.steps, 'GRPO step')} in {counted(summary.nodes, 'node')}"
    emit(f"{trained}, {duration(summary.wall_seconds)}")
    emit("", *result_lines(result.strategy.reported), "", *strategy_lines(result))
    if result.strategy.stages and directory.strategy.is_file():
        emit("", f"the strategy as a file: {directory.strategy.resolve()}")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run has to show: its strategy, or, where there is none, `no_gain` says what was learnt; `dynamics` what
    each hyperparameter did over the run's transitions; `plain` is the default configuration's own branch."""

    strategy: TrainingStrategy
    no_gain: str
    dynamics: list[ParameterDynamics]
    plain: PlainGRPO | None
    forecast: BranchForecast | None


def read_result(reader: Reader) -> RunResult:
    """The result of the run as it stands. Raises UserError when it has not begun."""
    rows = reader.rows
    moved = dynamics([read_moves(rows)])
    return RunResult(read_strategy(rows), no_gain(rows), moved, read_plain(rows), _forecast(reader))


def _forecast(reader: Reader) -> BranchForecast | None:
    """Of the best policy's branch, while an engine spends the budget."""
    facts = summarise(reader) if reader.live else None
    made = read_forecasts(reader.rows) if facts and facts.state in SPENDING else ()
    return next((each for each in made if each.best), None)


def result_lines(best: ReportedPolicy) -> Iterator[str]:
    """Base and reported policy, on validation and test, with counts and intervals."""
    header, rows = result_rows(best)
    if rows:
        yield from table(header, rows, right={2, 4, 5, 6})
    if decided := decision(best.policy, best.reranked, best.leader, best.leader_reranked):
        yield decided
    if best.kind != "base" and best.policy and best.base_test and best.test:
        yield f"test {measured(best.base_test)} → {measured(best.test)}{_over_base(best.test, best.base_test)}"
    if best.policy:
        yield from test_lines(best)


def _over_base(test: Score, base: Score) -> str:
    """ ", 3.0 times the base"; of a difference whose interval holds 0, that it cannot be told from chance."""
    difference = test.minus(base)
    low, high = difference.interval
    if low <= 0 <= high:
        return f", not distinguishable from the base ({difference})"
    return f", {test.value / base.value:.1f} times the base" if base.value else ""


def result_rows(best: ReportedPolicy) -> tuple[list[str], list[list[str]]]:
    """The same scores as the header and the rows of a table."""
    policy = best.policy if best.kind != "base" else ""
    scores = [
        ("base", "validation", best.base_validation),
        (policy, "validation", best.validation),
        ("base", "test", best.base_test),
        (policy, "test", best.test),
    ]
    rows = [[plain(who, 200), split, *measure(score)] for who, split, score in scores if who and score]
    return ["policy", "split", "score", "95% interval", "greedy", "sampled", "n"], rows


def test_lines(best: ReportedPolicy) -> Iterator[str]:
    """Whether the policy has a test score, and how often the test prompts have been measured, for which policies."""
    if best.test is None:
        yield f"{plain(best.policy, 200)} has no test score: it has not been measured on the test prompts"
    if not best.tests:
        yield f"the test prompts have {'been measured for the base alone' if best.base_test else 'not been measured'}"
        return
    times = "once" if len(best.tests) == 1 else f"{len(best.tests)} times"
    each = [f"{plain(test.policy, 200)} at {test.time:%Y-%m-%d %H:%M:%S} UTC" for test in best.tests]
    yield f"the test prompts have been measured {times} in this run: {', '.join(each)}"


def measure(score: Score | None) -> list[str]:
    """Score, interval, accuracy of greedy and of sampled answers and n as cells."""
    if score is None:
        return [MISSING] * 5
    low, high = score.interval
    modes = [share(correct / score.n) for correct in (score.greedy, score.sampled)]
    return [share(score.value), f"{share(low)}–{share(high)}", *modes, str(score.n)]


def strategy_lines(result: RunResult) -> Iterator[str]:
    """The stages with the value of every hyperparameter that changes along them, an arrow where it does; the others."""
    strategy = result.strategy
    best = strategy.reported
    if not strategy.stages:
        standing = "nothing beats the base model yet" if best.base_validation else "the base model has not been scored"
        yield f"no strategy: {result.no_gain or standing}"
        return
    names = changing(strategy)
    header = ["stage", "node", "steps", *names, "optimizer", "reference", "validation at its end", "n"]
    rows = [["base", "#0", "0", *[""] * len(names), "", "", *score_cells(best.base_validation)]]
    before: StrategyStage | None = None
    for number, stage in enumerate(strategy.stages, 1):
        values = [_value(name, stage, before) for name in names]
        last = [stage.optimizer, stage.reference, *score_cells(stage.validation)]
        rows.append([str(number), f"#{stage.node}", str(stage.steps), *values, *last])
        before = stage
    if best.kind == "soup":
        rows.append(["soup", "", "0", *[""] * len(names), "", "", *score_cells(best.validation)])
    yield from table(header, rows, right={2, len(header) - 1})
    if still := unchanging_line(strategy):
        yield still
    if best.kind == "soup":
        yield f"{plain(best.policy, 200)}: the mean of the weights of these checkpoints"
    if drawn := sampling_line(strategy):
        yield drawn


def sampling_line(strategy: TrainingStrategy) -> str:
    """How the sampled answers behind the scores were drawn, where it was not from the policy as it is."""
    asked = strategy.run_file.get("evaluation", {})
    drawn = {name: asked[name] for name, usual in SAMPLING.items() if asked.get(name, usual) != usual}
    return f"scored answers were sampled at {values_text(drawn)}" if drawn else ""


def changing(strategy: TrainingStrategy) -> list[str]:
    """The hyperparameters that have several values along the stages."""
    first = strategy.stages[0].configuration
    return [name for name in first if any(s.configuration.get(name) != first[name] for s in strategy.stages)]


def unchanging_line(strategy: TrainingStrategy) -> str:
    """The values that all stages have; "" where each changes."""
    names = changing(strategy)
    still = values_text({name: v for name, v in strategy.stages[0].configuration.items() if name not in names})
    return f"{'in every stage' if len(strategy.stages) > 1 else 'with'}: {still}" if still else ""


def plain_grpo_line(result: RunResult) -> str:
    """The default configuration's own branch beside the reported policy; "" where nothing beats the base."""
    return yardstick(result.plain) if result.strategy.stages else ""


def forecast_line(made: BranchForecast | None) -> str:
    """What the best branch will score at the end of the budget; "" where nothing is forecast."""
    if made is None:
        return ""
    end = made.end
    told, steps = interval_text(end.mean, end.low, end.high), counted(end.steps, "step")
    return f"forecast: #{made.node} trained on unchanged to {steps} scores {told} (90% interval)"


def _value(name: str, stage: StrategyStage, before: StrategyStage | None) -> str:
    value, old = stage.configuration.get(name), before.configuration.get(name) if before else None
    if value is None or old is None or value == old:
        return parameter(value)
    return parameter(value) + direction(old, value)


def result_as_dict(result: RunResult) -> dict[str, Any]:
    """The stages and the dynamics for scripts."""
    return {
        "stages": _stages_as_dicts(result.strategy),
        "dynamics": [each.as_dict() for each in result.dynamics],
        "plain_grpo": result.plain.as_dict() if result.plain else None,
        "forecast": result.forecast.as_dict() if result.forecast else None,
    }


def _stages_as_dicts(strategy: TrainingStrategy) -> list[dict[str, Any]]:
    """The stages for scripts."""
    return [
        {
            "node": stage.node, "steps": stage.steps, "configuration": stage.configuration, "changes": stage.changes,
            "optimizer": stage.optimizer, "reference": stage.reference, "rationale": stage.rationale,
            "validation": stage.validation.as_dict() if stage.validation else None,
        }
        for stage in strategy.stages
    ]  # fmt: skip

"""`llmzero replay`: the schedule that a search found, trained again on seeds that it never saw, beside plain GRPO.

The seeds are ordinary runs, worked off as the cells of a comparison: what is done is not run again, and the command may
be ended and given again at will.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from engine.analysis.strategy import read_strategy, to_toml
from engine.compare import plan as plans
from engine.compare import records, replay
from engine.compare import statistics as stats
from engine.compare.plan import ComparisonCell
from engine.compare.replay import PLAIN, REPLAY, STEPS, CarriedParameter, StrategyFile, TargetChanges
from engine.domain.parameters import format_value
from engine.domain.space import Space
from engine.errors import Fault, UserError, short
from engine.host import machine
from engine.host.model_files import ModelFiles, find_model, portable, read_model
from engine.run import launch, task_loading
from engine.run.config import RunConfig
from engine.run.section import explain
from engine.store.reader import ask_run
from engine.words import counted
from llmzero_tui.commands.compare import tell_left_out, work_off
from llmzero_tui.commands.steer import assignment
from llmzero_tui.format import plain
from llmzero_tui.text.output import emit, remarks, table
from llmzero_tui.values.answers import to_json
from tasks.base import Task, TaskError, TaskNotFound


def replay_schedule(options: argparse.Namespace) -> int:
    """Say what is carried over and how, train, and say what came out."""
    recorded = _read(options.strategy, options.runs_dir)
    if recorded.found_by.get("strategy") == REPLAY:
        raise UserError(
            f"{plain(recorded.run)} trained a schedule that it was given, and does not know the seeds of the search: "
            "replay the run, or the strategy file, that the schedule comes from"
        )
    scale = dict(map(_factor, options.scale or ()))
    strategy = recorded.scaled(scale.pop(STEPS, 1.0))
    changes = TargetChanges(
        model=options.model or "", task=options.task or "", settings=dict(map(_setting, options.set or ())),
        scale=scale, without=tuple(options.without or ()),
    )  # fmt: skip
    seeds = _seeds(strategy, options)
    base = replay.run_file(strategy, changes)
    target = _config(base)
    task = _task(target)
    space = target.build_space(task.space())
    parameters = _carried(strategy, _config(strategy.run_file | {"task": base["task"]}), target, task, space, changes)
    cells = list(plans.cells(replay.plan(strategy, base, replay.schedule(strategy, parameters), seeds, space)))
    results = options.runs_dir / f"{cells[0].plan}.jsonl"
    announcement = () if options.json else _announcement(recorded, strategy, cells, parameters)
    if options.check:
        emit(*([to_json([_as_dict(each) for each in parameters])] if options.json else announcement))
        return 0
    remarks(*announcement)
    jobs = options.jobs or at_once(target, changes)
    tell_left_out(results)
    code = work_off(cells, options.runs_dir, results, jobs=jobs, nice=options.nice, keep=options.keep, cell_word="run")
    standing = records.standing(cells, records.load(results))
    outcome = _outcome(strategy, recorded.steps, cells, stats.group(list(standing.done.values())))
    emit(*([to_json(outcome)] if options.json else _result_lines(outcome, beside_plain=_beside_plain(cells))))
    return code


# ---- what is replayed ---------------------------------------------------------------------------------------------


def _read(name: str, runs_dir: Path) -> StrategyFile:
    """A strategy file, or the best trajectory of a run."""
    path = Path(name)
    if path.suffix == ".toml" or path.is_file():
        try:
            return replay.parse(path.read_text(encoding="utf-8-sig"), name)
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text file (UTF-8)"
            raise UserError(f"{name}: cannot be read: {reason}") from error
    directory = launch.find_run(runs_dir, name)
    strategy = ask_run(directory.path, lambda reader: read_strategy(reader.rows))
    if not strategy.stages:
        raise UserError(f"run {plain(strategy.run)} has nothing better than its base: there is no schedule to replay")
    return replay.parse(to_toml(strategy), name)


def _seeds(strategy: StrategyFile, options: argparse.Namespace) -> list[int]:
    if options.seed:
        replay.check_seeds(strategy, options.seed)
        return list(dict.fromkeys(options.seed))
    return replay.unseen_seeds(strategy, options.seeds)


def at_once(config: RunConfig, changes: TargetChanges) -> int:
    """How many runs train beside each other where the user does not say: as many as have cores, where the run file says
    how many threads one takes, on the model that was searched; one where a GPU or its memory would be shared."""
    threads = config.training.threads
    if changes.model or not threads or machine.gpus():
        return 1
    return max(1, machine.cores() // threads)


def _setting(text: str) -> tuple[str, Any]:
    """KEY=VALUE of a run file."""
    return assignment(text, f"--set {short(text)}: give KEY=VALUE, e.g. training.lora.rank=16")


def _factor(text: str) -> tuple[str, float]:
    name, equals, value = text.partition("=")
    try:
        factor = float(value) if equals else 0.0
    except ValueError:
        factor = 0.0
    if not replay.is_factor(factor):
        raise UserError(f"--scale {short(text)}: give NAME=FACTOR with a factor above 0, e.g. learning_rate=0.5")
    return name.strip(), factor


# ---- how it is carried over ---------------------------------------------------------------------------------------


def _task(config: RunConfig) -> Task:
    try:
        return task_loading.load(config.task.name)
    except (TaskNotFound, TaskError) as error:
        raise UserError(f"task.name: {error}") from error


def _carried(
    strategy: StrategyFile, source: RunConfig, target: RunConfig, task: Task, space: Space, changes: TargetChanges
) -> list[CarriedParameter]:
    target_path = find_model(target.model.path, task)  # a directory that is not there is a mistake
    models = (_model(strategy.base, task), _model(target_path, task))
    return replay.carried(
        strategy, space, replay.facts(models[0], task, source), replay.facts(models[1], task, target), changes
    )


def _config(data: dict[str, Any]) -> RunConfig:
    try:
        return RunConfig.model_validate({**data, "name": "replay"})
    except ValidationError as error:
        raise UserError(explain(error, RunConfig)) from error


def _model(path: str, task: Task) -> ModelFiles | None:
    """None where its files are not here: the rules that need them then change nothing."""
    try:
        return read_model(find_model(path, task))
    except (UserError, Fault):
        return None


def _announcement(
    recorded: StrategyFile,
    strategy: StrategyFile,
    cells: Sequence[ComparisonCell],
    parameters: Sequence[CarriedParameter],
) -> Iterator[str]:
    seeds = sorted({cell.seed for cell in cells})
    stages, steps = counted(len(strategy.stage), "stage"), counted(strategy.steps, "step")
    named = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    target = cells[0].config()
    where = f"{plain(portable(target.model.path), 80)}, task {plain(target.task.name, 80)}"
    yield f"replay of {plain(strategy.run)}: {stages}, {steps}; {named}; {counted(len(cells), 'run')} on {where}"
    rows = [
        (p.name, _values([before for before, _ in p.values]), _values([after for _, after in p.values]), p.why)
        for p in parameters
    ]
    if not _beside_plain(cells):
        yield "every stage trains the default: the schedule is plain GRPO, so none is trained beside it"
    if strategy.steps != recorded.steps:
        told = [_values([stage.steps for stage in each.stage]) for each in (recorded, strategy)]
        rows.append(("steps of a stage", told[0], told[1], "as you asked"))
    yield from table(("hyperparameter", "found", "trained", "rule"), rows)


def _beside_plain(cells: Sequence[ComparisonCell]) -> bool:
    return any(cell.strategy == PLAIN for cell in cells)


def _as_dict(parameter: CarriedParameter) -> dict[str, Any]:
    searched, trained = zip(*parameter.values, strict=True)
    return {
        "hyperparameter": parameter.name, "found": searched, "trained": trained, "factor": parameter.factor,
        "rule": parameter.why,
    }  # fmt: skip


def _values(values: Sequence[Any]) -> str:
    """The values of the stages, those alike told once."""
    told = [format_value(value) for value in values]
    return " → ".join(each for i, each in enumerate(told) if i == 0 or told[i - 1] != each)


# ---- what came out ------------------------------------------------------------------------------------------------


def _outcome(
    strategy: StrategyFile, searched_steps: int, cells: Sequence[ComparisonCell], lines: stats.Lines
) -> dict[str, Any]:
    """What is told, for a script as for a human. `searched_steps`: of the schedule before it was scaled."""
    task = cells[0].task
    target = portable(cells[0].config().model.path or strategy.base)
    outcome: dict[str, Any] = {"run": strategy.run, "steps": strategy.steps, "model": target, "task": task}
    scores = {which: stats.scores_by_seed(lines.get((task, which), {})) for which in (REPLAY, PLAIN)}
    measured = [line for which in (REPLAY, PLAIN) for line in lines.get((task, which), {}).values()]
    if measured:
        outcome["base"] = stats.score(measured[0]["base"]).as_dict()
    if "test" in strategy.scores:
        outcome["searched"] = {
            **strategy.scores["test"], "model": strategy.base, "task": strategy.task, "steps": searched_steps
        }  # fmt: skip
    for which, by_seed in scores.items():
        if by_seed:
            mean = stats.mean_score(list(by_seed.values()))
            outcome[which] = {"mean": mean.value, "interval": mean.interval, "seeds": by_seed}
    gain = stats.paired(scores[REPLAY], scores[PLAIN])
    if gain is not None:
        outcome["difference"] = {"mean": gain.value, "interval": gain.interval, "seeds": gain.n}
    return outcome


NAMES = {"base": "base model", "searched": "searched policy", REPLAY: "its schedule again", PLAIN: "plain GRPO"}


def _result_lines(outcome: dict[str, Any], *, beside_plain: bool) -> Iterator[str]:
    rows = []
    for which, name in NAMES.items():
        each = outcome.get(which)
        if which == PLAIN and not beside_plain:
            continue
        if each is None:
            rows.append((name, "not measured", ""))
        elif "mean" in each:
            over = f"mean of {counted(len(each['seeds']), 'seed')}"
            rows.append((name, f"{each['mean']:.3f}{_interval(each['interval'])}", over))
        else:
            over = f"n {each['n']:.0f}"
            if each.get("steps", outcome["steps"]) != outcome["steps"]:
                over += f", {counted(each['steps'], 'step')} where the schedule below has {outcome['steps']}"
            if any(
                each.get(key, outcome[key]) != outcome[key] for key in ("model", "task")
            ):  # such scores do not compare
                over += f", of {plain(each['model'], 60)} on {plain(each['task'], 60)}"
            rows.append((name, f"{each['value']:.3f}{_interval((each['low'], each['high']))}", over))
    yield from table(("policy", "test score [95% interval]", "of"), rows)
    if (gain := outcome.get("difference")) is not None:
        seeds = counted(gain["seeds"], "seed")
        difference = f"{gain['mean']:+.3f}{_interval(gain['interval'], '+')}"
        yield f"its schedule less plain GRPO, paired over {seeds}: {difference}"


def _interval(ends: Sequence[float] | None, sign: str = "") -> str:
    return f" [{ends[0]:{sign}.3f}, {ends[1]:{sign}.3f}]" if ends else ""

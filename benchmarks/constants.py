"""Constant configurations, recorded once, and the searches over constants replayed on them without training.

    llmzero --runs-dir RUNS compare benchmarks/evidence/constants.toml --jobs 1 --nice 19 --keep all    records
    nice -n 19 python -m benchmarks.constants --runs-dir RUNS    scores what was recorded, then writes the page
    python -m benchmarks.constants    some minutes; writes docs/benchmark-constants.md from what is scored

Recording and scoring can be interrupted at any moment and go on with what is missing. The checkpoints of a cell are
deleted once all its policies are scored; the lines beside the plan stay.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
os.environ |= {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "TRANSFORMERS_VERBOSITY": "error"}

from benchmarks.constants_replay import (
    POLICY,
    Bank,
    RecordedCell,
    Replayed,
    TooFewConstants,
    banks,
    best_constant,
    closing_scores,
    on_test,
    part_of,
    recorded,
    replays,
    results_of,
)
from engine.compare import plan as plans
from engine.compare import records, statistics
from engine.compare.packing import pack
from engine.compare.records import Line
from engine.compare.revision import revision
from engine.compare.work import drop
from engine.domain.policy import RERANK_SEED, TEST_SEED
from engine.domain.score import Z_95
from engine.errors import Fault, UserError
from engine.run import preflight
from engine.run.rundir import RunDirectory
from engine.training.events import MANIFEST, EvaluationSpec
from engine.words import counted
from tasks import registry

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmark-constants.md"
PLAN = ROOT / "benchmarks" / "evidence" / "constants.toml"
REAL = tuple(ROOT / "benchmarks" / "evidence" / f"{name}.jsonl" for name in ("dev", "table"))
"""Real searches, but those that mistakes had touched (earlier.jsonl); of two lines of a cell the later one counts."""
PEERS = ("random", "topk", "asha", "hyperband")
"""Strategies that draw constants from the space and leave them as they are."""
STEPS = 1200
DRAWS, RESAMPLES = 200, 60
SIZES = (1, 4, 8, 16)


# ---- scoring --------------------------------------------------------------------------------------------------------


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def score(plan: Path, runs_dir: Path, tell: Callable[[str], None] = say) -> None:
    """Score every recorded policy that a search might report on the prompts of a search's end, a line each as soon as
    it is there, and delete the checkpoints of a cell that is done.

    Raises:
        UserError: nothing is recorded. Fault: a checkpoint is gone before it was scored.
    """
    if not (cells := recorded(plan)):
        record = f"llmzero --runs-dir {runs_dir} compare {plan} --keep all"
        raise UserError(f"{results_of(plan)}: holds no constants of {plan}; record some: {record}")
    for cell in cells:
        known = closing_scores(results_of(plan), cell)
        missing = [place for place in cell.reportable() if place not in known]
        directory = RunDirectory(runs_dir / cell.cell.run_name)
        if not missing:
            continue
        if not directory.path.is_dir():
            tell(f"{cell.cell.title}: {counted(len(missing), 'policy')} not scored, and {directory.path} is not there")
            continue
        for number, place in enumerate(missing, 1):
            records.append(results_of(plan), _scored(cell, directory, *place))
            tell(f"{cell.cell.title}: {number} of {len(missing)} scored")
        drop(directory, "none")


def _scored(cell: RecordedCell, directory: RunDirectory, node: int, step: int) -> Line:
    """The line of one policy."""
    from engine.training import policy
    from engine.training.evaluate import evaluate

    config = preflight.resolve(cell.cell.config())
    source = directory.segment(node) / f"checkpoint-{step}" if node else Path(config.model.path)
    if node and not (source / MANIFEST).is_file():
        raise Fault(f"{cell.cell.title}: {source} is gone before it was scored; record it with --keep all")
    policy.use_threads(1)
    model, tokenizer = policy.load_model(str(source)), policy.load_tokenizer(config.model.path)
    task, length = registry.get(cell.cell.task), config.evaluation_length(cell.space)

    def measured(split: Any, n: int, seed: int) -> dict[str, Any]:
        found = evaluate(
            model, tokenizer, task, EvaluationSpec(split=split, n=n, seed=seed, max_completion_length=length)
        )
        return {
            "n": n, "greedy": found.greedy, "sampled": found.sampled, "seed": seed, "outcomes": pack(found.outcomes)
        }  # fmt: skip

    return {
        "kind": POLICY, "cell": cell.key, "node": node, "step": step, "revision": revision(),
        "reranking": measured("validation", config.evaluation.rerank_prompts, RERANK_SEED),
        "final": measured("test", config.evaluation.test_prompts, TEST_SEED),
    }  # fmt: skip


# ---- the page -------------------------------------------------------------------------------------------------------


def real(bank: Bank, files: Sequence[Path], steps: int) -> dict[str, list[Line]]:
    """Real searches of this task by the peers, from the same start and of the same size, by peer."""
    cells: dict[tuple[Any, ...], Line] = {}
    for line in (line for file in files for line in records.load(file)):
        settings, peer = line["settings"], line["settings"]["search"]["strategy"]
        usual = {"strategy": peer, "settings": {}, "segment_steps": bank.segment_steps}
        same = settings.get("space", {}) == bank.start and settings["budget"] == {"steps": steps}
        if line["task"] == bank.task and same and settings["search"] == usual:
            cells[line["plan"], line["strategy"], line["seed"]] = line
    return {
        peer: [line for line in cells.values() if line["settings"]["search"]["strategy"] == peer] for peer in PEERS
    }  # fmt: skip


def value(line: Line, prompts: int) -> float:
    """Test score of a real search on as many of its test prompts as recorded policies were asked."""
    whole = statistics.score(line["test"])
    return (whole.first(prompts) if whole.outcomes and whole.n > prompts else whole).value


def interval(centre: float, error: float, sign: str = "") -> str:
    """With its 95% interval."""
    low, high = centre - Z_95 * error, centre + Z_95 * error
    return f"{centre:{sign}.3f} [{low:{sign}.3f}, {high:{sign}.3f}]"


def of_peer(peer: str, found: Replayed | None, measured: Sequence[float], soups: int) -> str:
    """A row: a peer replayed, and what it came to in reality."""
    row = [peer, "", "", str(len(measured)), "", ""]
    if measured:
        row[4] = f"{fmean(measured):.3f}" + (f", {soups} by a soup" if soups else "")
    if found is None:
        row[1] = "wants more constants than the bank has"
    elif not found.variance:
        row[1] = f"{found.mean:.3f}, the same policy every time"
        row[5] = f"{fmean(measured) - found.mean:+.3f}" if measured else ""
    else:
        row[1:3] = interval(found.mean, found.error), f"{found.variance**0.5:.3f}"
        if measured:
            error = (found.error**2 + found.variance / len(measured)) ** 0.5
            row[5] = interval(fmean(measured) - found.mean, error, "+")
    return f"| {' | '.join(row)} |"


def of_best(bank: Bank, draws: int) -> list[str]:
    """Rows: the best of so many constants, chosen by validation."""
    rng, rows = random.Random(bank.task), []
    most = 1 + len(bank.draws)
    for size in [each for each in SIZES if each < most]:
        ends = [on_test(best_constant(bank.order(rng)[:size])).value for _ in range(draws)]
        rows.append(f"| {size} | {size * bank.steps:,} | {fmean(ends):.3f} |")
    ends = [on_test(best_constant([each, *bank.draws])).value for each in bank.defaults]
    return [*rows, f"| {most} (all) | {most * bank.steps:,} | {fmean(ends):.3f} |"]


def left_out(bank: Bank) -> str:
    """A sentence about constants that are not in the bank."""
    if not bank.broken + bank.unscored:
        return ""
    return f" Left out: {bank.broken} that were not trained to their end, {bank.unscored} not scored yet."


def section(bank: Bank, files: Sequence[Path], steps: int, draws: int, resamples: int) -> str:
    """What the page says of one task."""
    recording, at = chosen = best_constant([*bank.defaults, *bank.draws])
    test = on_test(chosen)
    searches, rows = real(bank, files, steps), []
    for peer in PEERS:
        say(f"{bank.task}: {peer}")
        try:
            found = replays(bank, peer, steps, draws, resamples)
        except TooFewConstants:
            found = None
        measured = [value(line, test.n) for line in searches[peer]]
        rows.append(of_peer(peer, found, measured, sum(line["best"]["soup"] for line in searches[peer])))
    values = ", ".join(f"{name} {value:g}" for name, value in recording.configuration.items() if value is not None)
    revisions = sorted({each for lines in searches.values() for line in lines for each in line["revisions"]})
    measured_at = f"\nReal searches of revision {', '.join(revisions)}.\n" if revisions else ""
    peer_rows, best_rows = "\n".join(rows), "\n".join(of_best(bank, draws))
    drawn, default = counted(len(bank.draws), "draw"), counted(len(bank.defaults), "time")
    return f"""
## {bank.task}

{drawn} from the space, and the default recorded {default}, {bank.steps} steps each.{left_out(bank)}

| peer | replayed [95%] | spread | real searches | real | real less replayed [95%] |
|---|---|---|---|---|---|
{peer_rows}
{measured_at}
| best of so many constants | GRPO steps in all | test score |
|---|---|---|
{best_rows}

Chosen by validation from all recordings: test score {test}, 95% interval over prompts, after {at} steps with
{values}.
"""


def page(plan: Path, files: Sequence[Path], steps: int, draws: int, resamples: int) -> str:
    """The result as Markdown."""
    part, found = part_of(draws), banks(plan)
    lacking = [task for task in plans.load(plan).tasks if task not in {bank.task for bank in found}]
    nothing = f"\nNothing is recorded and scored yet of {', '.join(lacking)}.\n" if lacking else ""
    sections = "".join(section(bank, files, steps, draws, resamples) for bank in found)
    return f"""# Constants, recorded and replayed

Written by `python -m benchmarks.constants` from `benchmarks/evidence/constants.jsonl`: constant configurations that
were trained once, with the validation scores along their curves and the test score of every policy that a search might
report. The strategies that draw constants and leave them as they are ({", ".join(PEERS)}) are replayed on
them: the real strategy, tree and choice of what is reported, {steps} GRPO steps, nothing trained. They are the searches
of [compare](compare.md) from the general default of `benchmarks/evidence/table.toml`.

*Replayed*: mean test score over {draws} orders of the draws, the default always first. Its interval tells how sure that
mean is with so few constants: a bootstrap over constants, {resamples} times {part} orders, less the orders' own noise.
Where one recorded policy wins in every order, nothing says how sure it is, and no interval stands there.
*Spread*: standard deviation of a single search. *Real*: searches that were trained, on the same test prompts; the
interval of the difference has the spread of so many searches in it, and the bank's error. Test scores are
(greedy + 2 sampled) / 3.

What differs between replay and reality: a constant is recorded with one training seed, which it shares with those of
its cell as it would in a search, so that replays are not independent of each other; replays end without a soup; and
real searches have a comparator, which stops what collapses and spends its steps elsewhere.

*Best of so many constants*: all checkpoints that these constants would have a search report, chosen as a search
chooses. A constant has the steps of its recording, fewer than a search of {steps} steps can give to one.
{nothing}{sections}"""


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.constants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("plan", type=Path, nargs="?", default=PLAN, help="what was recorded (default: %(default)s)")
    parser.add_argument("--runs-dir", type=Path, help="where the recorded runs are: score what is not scored yet")
    parser.add_argument("--draws", type=int, default=DRAWS, help="replays of each peer (default: %(default)s)")
    parser.add_argument("--to", type=Path, default=PAGE, help="the page (default: %(default)s)")
    options = parser.parse_args()
    if options.draws < 2:
        parser.error(f"--draws {options.draws}: must be at least 2")
    try:
        if options.runs_dir:
            score(options.plan, options.runs_dir)
        text = page(options.plan, REAL, STEPS, options.draws, RESAMPLES)
        options.to.write_text(text, encoding="utf-8")
    except (UserError, Fault, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())

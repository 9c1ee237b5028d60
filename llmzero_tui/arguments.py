"""What `llmzero` understands: its commands, their words and options.

Each command names the function of `llmzero_tui.commands` that does it; nothing of it is imported here.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from llmzero_tui import option_types
from llmzero_tui.parser import Parser, Version, command, common


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = Parser(
        prog="llmzero",
        description="Tree search over GRPO training strategies, watched and steered from the terminal. "
        "Without a command: the terminal interface on the list of runs.",
        epilog="Settings of the terminal (theme, notifications, keys): the comma key, or config.toml in "
        "$XDG_CONFIG_HOME/llmzero (LLMZERO_CONFIG names another file); docs/terminal.md lists all of them.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=Version, nargs=0, help="print the version and exit")
    common(parser, defaults=True)
    parser.set_defaults(handler="look:terminal", watch=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=Parser)
    starting = (_starting, _comparing, _replaying)
    steering = (_attaching, _deciding, _continuing)
    asking = (_asking, _taking, _looking_around, _benching)
    for add in (*starting, *steering, *asking):
        add(commands)
    return parser


def _starting(commands: Any) -> None:
    demo = command(commands, "demo", "start:demo", "a small real search: no download, no GPU, no Ollama")
    demo.add_argument(
        "--minutes", type=option_types.positive, default=4.0, metavar="M", help="length of the search (default: 4)"
    )
    demo.add_argument(
        "--task",
        type=option_types.filled,
        default="knights",
        metavar="T",
        help="a task with a base of its own (default: knights)",
    )
    _attachment(demo)
    new = command(commands, "new", "runfile:new", "write a commented run file to edit")
    new.add_argument("file", type=Path, metavar="FILE")
    new.add_argument("--task", default="knights", metavar="T", help="a task's name, or file.py:Class")
    new.add_argument("--model", default="", metavar="M", help="a model directory or a hub id")
    check = command(commands, "check", "runfile:check", "check a run file, its model, task and machine")
    check.add_argument("file", type=Path, metavar="FILE")
    check.add_argument("--dry-run", action="store_true", help="train two real steps: pass rate, time and memory")
    plan = command(commands, "plan", "runfile:plan", "what a budget buys: segments, tokens, time, disk")
    plan.add_argument("file", type=Path, metavar="FILE")
    run = command(commands, "run", "start:run", "start the engine of a run file in the background, and attach")
    run.add_argument("file", type=Path, metavar="FILE")
    _attachment(run)


def _comparing(commands: Any) -> None:
    compare = command(commands, "compare", "compare:compare", "compare strategies over tasks and seeds")
    compare.add_argument("file", type=Path, metavar="PLAN.toml")
    compare.add_argument(
        "--jobs", type=option_types.some, default=1, metavar="N", help="runs at the same time (default: 1)"
    )
    _background(compare)
    compare.add_argument("--only", action="append", metavar="CELL", help="only ladder, ladder/ours, ladder/ours/101, …")
    compare.add_argument("--results", type=Path, metavar="FILE", help="default: beside the plan, .jsonl")
    compare.add_argument("--report", action="store_true", help="tables and curves of what is measured; runs nothing")
    compare.add_argument(
        "--to", type=Path, metavar="PAGE.md", help="the report as a page, its CSV and picture beside it"
    )
    compare.add_argument(
        "--against", choices=("seconds", "steps", "tokens"), default="seconds", help="compute of the curves"
    )
    compare.add_argument("--list", action="store_true", help="list the cells and their state; runs nothing")
    compare.add_argument(
        "--screen", action="store_true", help="how far it is, tables and curves in the terminal, live; runs nothing"
    )


def _replaying(commands: Any) -> None:
    replay = command(
        commands, "replay", "replay:replay_schedule", "train a schedule again on seeds that its search never saw"
    )
    replay.add_argument("strategy", metavar="STRATEGY", help="a strategy.toml, or a run: its best trajectory")
    replay.add_argument(
        "--model", type=option_types.filled, metavar="MODEL", help="another base: a directory or a hub id"
    )
    replay.add_argument("--task", type=option_types.filled, metavar="TASK", help="another task")
    replay.add_argument("--seeds", type=option_types.some, default=3, metavar="N", help="unseen seeds (default: 3)")
    replay.add_argument(
        "--seed", type=option_types.count, action="append", metavar="SEED", help="this seed; may be repeated"
    )
    replay.add_argument(
        "--scale", action="append", metavar="NAME=FACTOR", help="a factor on a hyperparameter, in place of the rule"
    )
    replay.add_argument("--without", action="append", metavar="NAME", help="leave a hyperparameter at its default")
    replay.add_argument(
        "--set", action="append", metavar="KEY=VALUE", help="a key of the run file, e.g. training.lora.rank=16"
    )
    replay.add_argument(
        "--jobs", type=option_types.some, metavar="N",
        help="runs at the same time (default: on CPUs one for every training.threads cores, where that is set; else 1)",
    )  # fmt: skip
    _background(replay)
    replay.add_argument("--check", action="store_true", help="say what is carried over and how; runs nothing")


def _background(parser: argparse.ArgumentParser) -> None:
    """Of what trains many runs."""
    parser.add_argument(
        "--nice", type=option_types.nice, default=0, metavar="N", help="lower the priority by this much, 0 to 19"
    )
    parser.add_argument(
        "--keep", choices=("none", "best", "all"), default="best", help="checkpoints kept of a finished run"
    )


def _attaching(commands: Any) -> None:
    attach = command(commands, "attach", "look:attach", "the terminal interface on one run")
    attach.add_argument("name", metavar="RUN")
    where = attach.add_mutually_exclusive_group()
    where.add_argument("--headless", action="store_true", help="progress as text instead of the terminal")
    where.add_argument(
        "--web", nargs="?", type=option_types.port, const=0, metavar="PORT",
        help="in a browser of this machine, behind a token in the address, watching only (default: a free port)",
    )  # fmt: skip
    doing = attach.add_mutually_exclusive_group()
    doing.add_argument("--watch", action="store_true", default=argparse.SUPPRESS, help="only look: change nothing")
    doing.add_argument("--steer", action="store_true", help="with --web: whoever has the address steers the run")
    stop_text = "stop a run cleanly; `llmzero resume` continues it"
    for word, text in (("pause", "pause training after the current step"), ("stop", stop_text)):
        each = command(commands, word, f"control:{word}", text)
        each.add_argument("name", metavar="RUN")
        each.add_argument(
            "--timeout",
            type=option_types.positive,
            default=None,
            metavar="S",
            help="seconds to wait for the engine's answer (default: "
            f"{'60 beyond training.stop_seconds' if word == 'stop' else '30'})",
        )


def _deciding(commands: Any) -> None:
    """What a human can do on the screen, for scripts."""
    whose = {
        "approve": "let a proposal train", "reject": "turn a proposal down",
        "edit": "let a proposal train with other values", "prune": "exclude a node and all below it",
        "branch": "propose a transition of your own from a checkpoint", "gate": "whether proposals wait for a human",
        "budget": "change the limits of a run", "note": "write a note on a node",
        "space": "list the ranges of the hyperparameters, or change one",
    }  # fmt: skip
    made = {}
    for word, text in whose.items():
        made[word] = each = command(commands, word, f"steer:{word}", text)
        each.add_argument("name", metavar="RUN")
        each.add_argument(
            "--timeout", type=option_types.positive, metavar="S", help="seconds to wait for the engine (default: 30)"
        )
    for word in ("approve", "reject"):
        made[word].add_argument(
            "node", nargs="?", type=option_types.node, metavar="NODE", help="where it waits, if several wait"
        )
    for word in ("edit", "prune", "branch", "note"):
        made[word].add_argument("node", type=option_types.node, metavar="NODE")
    for word in ("edit", "branch"):
        made[word].add_argument("values", nargs="*", metavar="NAME=VALUE", help="hyperparameters that change")
        made[word].add_argument("--optimizer", choices=("keep", "reset"), help="Adam's state")
        made[word].add_argument("--reference", choices=("keep", "base", "branch-point"), help="of the KL penalty")
    made["branch"].add_argument(
        "--step", type=option_types.count, metavar="STEP", help="of the checkpoint (default: the last kept)"
    )
    for word in ("edit", "branch", "reject", "prune"):
        made[word].add_argument("--reason", default="", metavar="TEXT", help="why, for the log and the advisor")
    made["gate"].add_argument("mode", choices=("auto", "timeout", "manual"))
    for limit in ("steps", "nodes", "minutes", "gpu-hours"):
        made["budget"].add_argument(f"--{limit}", type=option_types.limit, metavar="N", help="0 is no limit")
    made["space"].add_argument(
        "range", nargs="?", metavar="NAME=RANGE", help="LOW..HIGH, or choices as in 4,8; e.g. learning_rate=1e-5..1e-4"
    )
    made["note"].add_argument("text", metavar="TEXT", help="an empty text takes it away")


def _continuing(commands: Any) -> None:
    resume = command(commands, "resume", "start:resume", "continue a run after a pause, a stop, a crash or a reboot")
    resume.add_argument("name", metavar="RUN")
    _attachment(resume)
    fork = command(commands, "fork", "start:fork", "go on from a run's tree in a new run, with another budget, …")
    fork.add_argument("name", metavar="RUN")
    fork.add_argument("--to", type=option_types.filled, metavar="NAME", help="name of the new run (default: RUN-2, …)")
    fork.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a key of its run file, e.g. budget.steps=900"
    )
    _attachment(fork)


def _asking(commands: Any) -> None:
    command(commands, "ls", "listing:ls", "the runs: state, best score, budget")
    show = command(commands, "show", "listing:show", "one run as text")
    show.add_argument("name", metavar="RUN")
    dynamics = command(
        commands, "dynamics", "dynamics:parameter_dynamics", "whether hyperparameters accumulate, oscillate or stay"
    )
    dynamics.add_argument("names", nargs="+", metavar="RUN")
    tail = command(commands, "tail", "tail:tail", "follow the log of a run and its training")
    tail.add_argument("name", metavar="RUN")
    tail.add_argument(
        "-n",
        "--lines",
        type=option_types.count,
        default=10,
        metavar="LINES",
        help="lines of the log to begin with (default: 10)",
    )
    sql = command(commands, "sql", "sql:sql", "a query over a live or a finished run; without RUN over all")
    sql.add_argument("words", nargs="*", metavar="[RUN] SELECT")
    sql.add_argument("--file", type=Path, metavar="Q.SQL", help="read the query from a file")
    sql.add_argument("--format", choices=("table", "csv", "json", "parquet"), help="default: table")
    sql.add_argument("-o", "--output", type=Path, metavar="FILE", help="write there instead of to stdout")
    sql.add_argument("--seconds", metavar="S", help="time limit of a query in seconds (LLMZERO_SQL_SECONDS; 60)")
    sql.add_argument("--memory", metavar="MB", help="memory limit of a query in MB (LLMZERO_SQL_MEMORY; 1024)")
    sql.add_argument(
        "--rows", type=option_types.count, metavar="N", help="most rows returned (100000; with -o all of them)"
    )
    ask = command(commands, "ask", "ask:ask", "a question in words: a model writes the query and tells its rows")
    ask.add_argument("name", metavar="RUN")
    ask.add_argument("question", metavar="QUESTION", help='in quotes, e.g. "why was node 17 chosen?"')
    ask.add_argument("--host", type=option_types.filled, metavar="URL", help="the Ollama server (default: the run's)")
    ask.add_argument("--model", type=option_types.filled, metavar="NAME", help="the model (default: the run's)")


def _taking(commands: Any) -> None:
    """What leaves a run."""
    snapshot = command(commands, "snapshot", "save:snapshot", "a consistent copy of a run's database")
    snapshot.add_argument("name", metavar="RUN")
    snapshot.add_argument("file", type=Path, metavar="FILE.duckdb")
    snapshot.add_argument(
        "--storage-version", metavar="V", help="the oldest DuckDB that must read it, or latest (default: v1.1.0)"
    )
    export = command(commands, "export", "save:export", "the best policy, with its strategy and a model card")
    export.add_argument("name", metavar="RUN")
    export.add_argument("--to", type=Path, required=True, metavar="DIR")
    report = command(commands, "report", "save:report", "a document about runs: one HTML file, Markdown, figures")
    report.add_argument("names", nargs="+", metavar="RUN")
    report.add_argument("-o", "--to", type=Path, metavar="PLACE", help="PAGE.html, or a directory (RUN-report)")
    alerts = command(
        commands, "alerts", "alerts:alerts", "tell news of the live runs to a webhook, a command, the desktop"
    )
    alerts.add_argument("--test", action="store_true", help="send one test message to the webhook")


def _looking_around(commands: Any) -> None:
    """What needs no run."""
    tasks = command(commands, "tasks", "tasks:tasks", "the tasks, and samples of one")
    tasks.add_argument("name", nargs="?", metavar="NAME")
    tasks.add_argument("--preview", action="store_true", help="a few prompts with their answers")
    doctor = command(commands, "doctor", "doctor:doctor", "what this machine has, what is missing, and how to fix it")
    doctor.add_argument("--probe-vision", action="store_true", help="test and time the model on plots and plain cases")
    doctor.add_argument(
        "--host",
        type=option_types.filled,
        metavar="URL",
        help="the Ollama server to ask; default: the run file's default",
    )
    doctor.add_argument("--model", type=option_types.filled, metavar="NAME", help="the model to look for and to probe")


def _benching(commands: Any) -> None:
    bench = command(
        commands, "advisor-bench", "advisor_bench:advisor_bench", "how well an advisor decides, on measured decisions"
    )
    bench.add_argument("--advisor", choices=("rules", "ollama"), help="who is asked (default: rules)")
    bench.add_argument(
        "--model", type=option_types.filled, metavar="NAME", help="the Ollama model; default: the run file's default"
    )
    bench.add_argument(
        "--host",
        type=option_types.filled,
        metavar="URL",
        help="the Ollama server; default: OLLAMA_HOST, else this machine",
    )
    bench.add_argument(
        "--timeout", type=option_types.positive, metavar="S", help="seconds to wait for one answer (default: 120)"
    )
    bench.add_argument("--shows-rules", action="store_true", help="the model sees what the rules would propose")
    bench.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="PART",
        help="of the prompt, or analyst: the model decides without it; may be given again",
    )
    bench.add_argument(
        "--n", type=option_types.some, default=40, metavar="N", help="decision points at most (default: 40)"
    )
    bench.add_argument(
        "--answers", type=Path, metavar="FILE", help="keep the answers there; what is there is not asked for again"
    )
    bench.add_argument("--bank", type=Path, metavar="FILE", help="another bank than the one that is shipped")
    bench.add_argument("--to", type=Path, metavar="PAGE.md", help="write the tables as a page")


def _attachment(parser: argparse.ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--headless", action="store_true", help="progress as text instead of the terminal")
    how.add_argument("--detach", action="store_true", help="start in the background and return")

"""Strings that models, files and users might write to fool a terminal or a reader, and run files full of them.

Deterministic: one seed. Every control sequence in them carries `MARK` right behind its introducer, so that a sequence
that got through can be told from those that the program writes itself.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

MARK = "6660"
WORDS = ("reward", "kl ↓", "the policy", "a", "Größe", "世界", "٣٤", "0.31", "🙂", "é", "ﬀ", "x" * 40)
INTRODUCERS = ("\x1b[", "\x9b", "\x1b]", "\x9d", "\x1bP", "\x90", "\x1b_", "\x1b^", "\x1bX", "\x1b#", "\x1b(", "\x1b ")
ENDS = ("m", "H", "J", "2J", "h", "c", "n", "\x07", "\x1b\\", "\x9c", "")
MARKUP = (
    "[/]", "[b]", "[/foo]", "[@click=app.quit]x[/]", "[bold red]", "[[", "]]", "[link=http://x]y[/link]", "[$primary]",
    "[not closed", "\\[b]", "[b]\\", "[=]", "[a=b c]", "[on red]", "[@click=app.bell()]", "[/ /]", "[#zzz]",
    "[]", "[ ]",
)  # fmt: skip
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff\u00ad\u180e\u034f\u2063"
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
CONTROLS = "".join(map(chr, (*range(1, 32), 127, *range(128, 160))))
EMOJI = ("👩‍👩‍👧‍👦", "🏳️‍🌈", "👍🏽", "🇩🇪🇫🇷", "1️⃣", "❤️", "🧑🏿‍🚀", "🫠")
ODD = ("\u2028", "\u2029", "\ufffd", "\uffff", "\U0010ffff", "\ue000", "\u3000", "\u115f", "\u3164", "ﷺ", "𒐫", "⸻")


COMMANDS = (
    "'; DROP TABLE nodes; --", "{{7*7}}", "%s%n%d", "${HOME}", "../../etc/passwd", "NULL", "nan",
    "=cmd|' /C calc'!A0", "@SUM(1)", "<script>alert(1)</script>", "`id`", "$(id)", "~", "-rf", "#",
)  # fmt: skip


def _letter(rng: random.Random) -> int:
    """Any character but halves of surrogate pairs, which UTF-8 has no place for."""
    return rng.choice((rng.randrange(32, 0xD800), rng.randrange(0xE000, 0x110000)))


def _sequence(rng: random.Random) -> str:
    """A control sequence with the mark."""
    begin = rng.choice(INTRODUCERS)
    body = {"\x1b]": "52;c;cm0gLXJm", "\x9d": "0;title", "\x1bP": "+q544e"}.get(begin, f"{rng.randrange(99)};1")
    return f"{begin}{MARK};{body}{rng.choice(ENDS)}"


KINDS: tuple[Callable[[random.Random], str], ...] = (
    _sequence,
    lambda rng: "".join(_sequence(rng) for _ in range(rng.randrange(2, 9))),
    lambda rng: rng.choice(MARKUP) + rng.choice(WORDS) + rng.choice(MARKUP),
    lambda rng: "".join(rng.choice(MARKUP) for _ in range(rng.randrange(2, 30))),
    lambda rng: rng.choice(TURNING) + rng.choice(WORDS) + "שלום" + rng.choice(TURNING),
    lambda rng: "".join(rng.choice(INVISIBLE + "ab") for _ in range(rng.randrange(1, 60))),
    lambda rng: rng.choice("aeZ世") + "".join(chr(rng.randrange(0x300, 0x36F)) for _ in range(rng.randrange(1, 400))),
    lambda rng: "".join(rng.choice(EMOJI) for _ in range(rng.randrange(1, 40))),
    lambda rng: "".join(rng.choice(ODD) for _ in range(rng.randrange(1, 20))),
    lambda rng: "".join(rng.choice(CONTROLS) for _ in range(rng.randrange(1, 40))),
    lambda rng: "\\" * rng.randrange(1, 9) + rng.choice("nrtx'\"[]{}$`%"),
    lambda rng: rng.choice(("\n", "\r\n", "\r", "\t", "\v", "\f", "\x85", "\b", "\n\n\n")).join(WORDS),
    lambda rng: rng.choice(COMMANDS[: len(COMMANDS) // 2]),
    lambda rng: rng.choice(COMMANDS[len(COMMANDS) // 2 :]),
    lambda rng: rng.choice((" ", "", "\u00a0", "   \t ", "\u3000")),
    lambda rng: "".join(chr(_letter(rng)) for _ in range(50)),
)  # fmt: skip


def strings(count: int = 1000, seed: int = 5) -> list[str]:
    """`count` strings, of every kind and of mixtures; each fits a column of text (NUL has no place in one)."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        parts = [KINDS[number % len(KINDS)](rng)] + [rng.choice(KINDS)(rng) for _ in range(rng.randrange(3))]
        rng.shuffle(parts)
        found.append(rng.choice(("", " ", rng.choice(WORDS))).join(parts).replace("\0", ""))
    for place, unit in ((count // 3, "x"), (count // 2, f"\x1b[{MARK}m "), (count - 1, "e\u0301\u0302")):
        found[place] = (unit * (1_000_000 // len(unit)))[:1_000_000]
    return found


KEPT = {
    ("meta", "key"), ("meta", "value"), ("runs", "state"), ("nodes", "state"), ("proposals", "state"),
    ("runs", "config"), ("runs", "space"), ("runs", "budget"), ("nodes", "configuration"), ("proposals", "changes"),
    ("nodes", "changes"), ("completions", "components"), ("runs", "members"), ("evaluations", "members"),
    ("evaluations", "outcomes"), ("checkpoints", "outcomes"),
}  # fmt: skip
"""Columns that the program writes itself from its own words and numbers: poisoned only in a run that is `broken`."""


def poison(run: Path, texts: Sequence[str], *, broken: bool = False) -> None:
    """Put the texts into every text column of every table, each row another one."""
    with duckdb.connect(str(run / "run.duckdb")) as con:
        con.execute(
            "CREATE TEMP TABLE texts AS SELECT unnest(range($1)) AS n, unnest($2) AS text", [len(texts), list(texts)]
        )
        columns = con.execute(
            "SELECT table_name, column_name FROM duckdb_columns() JOIN duckdb_tables() USING (table_name) "
            "WHERE data_type = 'VARCHAR' AND NOT duckdb_tables.internal AND table_name <> 'texts' ORDER BY ALL"
        ).fetchall()
        for offset, (table, column) in enumerate(columns):
            if table == "meta" or ((table, column) in KEPT and not broken):
                continue
            con.execute(
                f"UPDATE {table} SET {column} = texts.text FROM texts "  # noqa: S608 - our own names
                f"WHERE texts.n = ({table}.rowid * 7 + {offset * 61}) % {len(texts)}"
                + (" AND metrics.name <> 'reward'" if table == "metrics" else "")
            )
        if not broken:
            _poison_json(con, texts)


def _poison_json(con: duckdb.DuckDBPyConnection, texts: Sequence[str]) -> None:
    """Names inside JSON: of hyperparameters, of metrics that make up a reward."""
    space = json.loads(con.execute("SELECT space FROM runs").fetchall()[0][0])
    for place, entry in enumerate(space):
        entry.update(label=texts[place][:2000], doc=texts[place + 50][:2000])
    con.execute("UPDATE runs SET space = $1", [json.dumps(space)])
    odd = {text[:200]: place for place, text in enumerate(texts[100:120])}
    rows = con.execute("SELECT node_id, configuration FROM nodes WHERE node_id % 3 = 1").fetchall()
    for node, configuration in rows:
        con.execute(
            "UPDATE nodes SET configuration = $1, changes = $2 WHERE node_id = $3",
            [json.dumps({**json.loads(configuration), **odd}), json.dumps(odd), node],
        )


def names(texts: Sequence[str], count: int = 24) -> list[bytes]:
    """Names a directory can have: with escapes, line breaks, markup, and bytes that are no text at all."""
    found = [text.replace("/", "∕").encode("utf-8", "surrogatepass")[:60] for text in texts[:count]]
    return [b"run-%d-" % place + name for place, name in enumerate(found)] + [
        b"run-\xff\xfe-\x1b[6660m",
        b"run-\xed\xa0\x80",
    ]


def copies(run: Path, directory: Path, called: Sequence[bytes]) -> None:
    """The same run under other names."""
    for name in called:
        shutil.copytree(run, directory / os.fsdecode(name), copy_function=os.link)

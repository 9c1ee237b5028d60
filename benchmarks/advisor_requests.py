"""The exact request of each role as it goes over the wire, for docs/advisors.md and the pages of docs/advisors/.

Run `python -m benchmarks.advisor_requests` from the project's root after a prompt or a table has changed. The run it
shows is made up (tests/unit/advice_cases.py); the server is the stand-in of tests/fake_ollama.py, which keeps the
bytes it is sent.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
from dataclasses import replace
from pathlib import Path

from engine.advisors import plots
from engine.advisors.base import PlotImage
from engine.advisors.context import CHARACTERS_PER_TOKEN, PICTURE_PATCH, picture_tokens, text_tokens
from engine.advisors.ollama import connect
from tests.fake_answers import serving
from tests.fake_ollama import Asked
from tests.unit.advice_cases import evidence

DOCS = Path(__file__).resolve().parents[1] / "docs"
ROLES = ("analyst", "strategist", "selector", "watcher")
NAMES = ("curves.png", "run.png")


def requests() -> dict[str, Asked]:
    """One request of each role."""
    given = evidence()
    pictures = tuple(PlotImage(name, png) for name, png in zip(NAMES, plots.sheets(given), strict=True))
    seen = replace(given, pictures=pictures)
    with serving() as fake:
        advisor = connect(fake.host, "qwen3-vl:8b", timeout=30)
        advisor.advise(seen)
        advisor.select(seen)
        advisor.watch(seen, "collapsed at one checkpoint: 0.289 at step 150 (n 256), 0.311 at its branch point")
        return {asked.role: asked for asked in fake.chats}


def parts(asked: Asked) -> dict[str, int]:
    """What a request is made of and the tokens that each part takes, as the engine estimates them on the safe side."""
    system, user = asked.body["messages"]
    schema = json.dumps(asked.body["format"], ensure_ascii=False)
    found = {"instructions": text_tokens(len(system["content"]) - len(schema)), "schema": text_tokens(len(schema))}
    for section in user["content"].removeprefix("## ").split("\n\n## "):
        found[section.partition("\n")[0]] = text_tokens(len(section) + 5)
    found["pictures"] = picture_tokens([base64.b64decode(image) for image in user["images"]])
    return found


def costs(asked: Asked) -> str:
    """The parts of a request as a table, with their sum."""
    found = parts(asked)
    rows = [*found.items(), ("**all**", sum(found.values()))]
    return "\n".join(("| part | tokens |", "|---|---|", *(f"| {part} | {tokens:,} |" for part, tokens in rows)))


def shown(asked: Asked) -> str:
    """A role's request for a reader: what the model is told, and the body with the pictures named."""
    system, user = asked.body["messages"]
    body = {**asked.body, "messages": [
        {"role": "system", "content": "… (above)"},
        {"role": "user", "content": "… (above)", "images": [f"… ({name}, base64)" for name in NAMES]},
    ]}  # fmt: skip
    digest = hashlib.sha256(asked.raw).hexdigest()[:16]
    return f"""# The request of the {asked.role}, byte for byte

<!-- written by `python -m benchmarks.advisor_requests` -->

`POST /api/chat`, {len(asked.raw):,} bytes: [{asked.role}.request.json]({asked.role}.request.json), sha256 {digest}…
What each role decides: [advisors.md](../advisors.md).

## What it takes

Estimated as the engine does before it asks: {CHARACTERS_PER_TOKEN} characters a token of text,
{PICTURE_PATCH} × {PICTURE_PATCH} pixels a token of pictures.

{costs(asked)}

## System

~~~text
{system["content"]}
~~~

## User

With [curves.png](curves.png) and [run.png](run.png):

~~~text
{user["content"]}
~~~

## The rest of the body

~~~json
{json.dumps(body, indent=1, ensure_ascii=False)}
~~~
"""


def write(docs: Path) -> None:
    """The requests as files, and a page of each that shows it."""
    asked = requests()
    where = docs / "advisors"
    where.mkdir(parents=True, exist_ok=True)
    for role in ROLES:
        (where / f"{role}.request.json").write_bytes(asked[role].raw)
        (where / f"{role}.md").write_text(shown(asked[role]), encoding="utf-8")
    for name, encoded in zip(NAMES, asked["analyst"].body["messages"][1]["images"], strict=True):
        (where / name).write_bytes(base64.b64decode(encoded))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", type=Path, default=DOCS)
    write(parser.parse_args().docs)


if __name__ == "__main__":
    main()

"""Prompts change only with their version, and the pages of requests show what is sent today."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from benchmarks.advisor_requests import DOCS, ROLES, costs, parts, requests
from engine.advisors.context import PROMPT_TOKENS
from engine.advisors.prompts import read

DIGESTS = {
    "analyst/3": "57d9f92c94179145",
    "strategist/3": "5290518d255806cd",
    "selector/2": "4e86e2433f906663",
    "watcher/2": "a934ccf2068451e6",
    "prior/1": "0baddbddd75d3ee9",
}
"""Of each prompt's text, by version: who changes a prompt raises the number in its first line and adds a line here."""


@pytest.mark.parametrize("name", [*ROLES, "prior"])
def test_a_prompt_that_changed_has_a_new_version(name: str) -> None:
    prompt = read(name)
    assert hashlib.sha256(prompt.text.encode()).hexdigest()[:16] == DIGESTS[prompt.version]


def test_the_pages_show_the_requests_of_today() -> None:
    overview = (DOCS / "advisors.md").read_text(encoding="utf-8")
    assert len(overview.splitlines()) < 300
    for role, asked in requests().items():
        page = (DOCS / "advisors" / f"{role}.md").read_text(encoding="utf-8")
        assert f"(advisors/{role}.md)" in overview
        system, user = asked.body["messages"]
        assert system["content"] in page
        assert user["content"] in page
        kept = (DOCS / "advisors" / f"{role}.request.json").read_bytes()
        digest = hashlib.sha256(kept).hexdigest()[:16]
        assert f"{len(kept):,} bytes" in page
        assert sum(parts(asked).values()) <= PROMPT_TOKENS
        assert costs(asked).rpartition("| pictures")[0] in page
        assert digest in page
        assert without_pictures(json.loads(kept)) == without_pictures(asked.body)


def without_pictures(body: dict[str, object]) -> str:
    """Pixels differ between builds of the font renderer; everything else must not."""
    return re.sub(r'"images": \[[^\]]*\]', "", json.dumps(body))

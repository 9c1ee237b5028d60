"""What `llmzero doctor` and `llmzero check` say of an Ollama server, and the probe of a model's sight."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.fake_answers import Sensible, serving
from tests.fake_ollama import Asked, Model, Reply
from tests.unit.cli_process import called, llmzero, run_file

GOOD = Sensible()
BLIND, SEEING = Model("qwen3:8b", ("completion",)), Model("qwen3-vl:8b")


def finding(cwd: Path, subject: str, *arguments: str, **extra: Any) -> dict[str, str]:
    done = called("doctor", "--json", *arguments, cwd=cwd, **extra)
    assert done.returncode == 0, done.stderr
    (found,) = [each for each in json.loads(done.stdout) if each["subject"] == subject]
    return dict(found)


def test_doctor_says_which_models_see(tmp_path: Path) -> None:
    with serving(None, BLIND, SEEING) as fake:
        found = finding(tmp_path, "ollama", "--host", fake.host)
    assert found["level"] == "ok"
    assert "qwen3:8b, qwen3-vl:8b (sees)" in found["text"]


def test_doctor_says_what_to_pull(tmp_path: Path) -> None:
    with serving(None, BLIND) as fake:
        found = finding(tmp_path, "ollama", "--host", fake.host)
        assert found["level"] == "warning"
        assert "not qwen3-vl:8b: `ollama pull qwen3-vl:8b`" in found["text"]
        other = finding(tmp_path, "ollama", "--host", fake.host, "--model", "gemma3:4b")
        assert "`ollama pull gemma3:4b`" in other["text"]
        host = fake.host
    down = finding(tmp_path, "ollama", "--host", host)
    assert "nothing answers at" in down["text"]
    assert "start Ollama" in down["text"]


def test_doctor_does_not_have_a_model_pulled_that_is_there_and_has_no_sight(tmp_path: Path) -> None:
    with serving(None, BLIND) as fake:
        found = finding(tmp_path, "ollama", "--host", fake.host, "--model", "qwen3:8b")
    assert found["level"] == "warning"
    assert "qwen3:8b has no vision: `ollama pull qwen3-vl:8b`, or advisor.kind = " in found["text"]
    with serving(None, BLIND, SEEING) as fake:
        found = finding(tmp_path, "ollama", "--host", fake.host, "--model", "qwen3:8b")
    assert "qwen3:8b has no vision: set advisor.model = 'qwen3-vl:8b', or " in found["text"]


def test_doctor_asks_what_the_engine_asks(tmp_path: Path) -> None:
    with serving(None, SEEING) as fake:
        bare = fake.host.removeprefix("http://") + "/v1"
        done = llmzero("doctor", "--json", "--host", bare, cwd=tmp_path, ALL_PROXY="socks5://127.0.0.1:9")
    found = {each["subject"]: each for each in json.loads(done.stdout)}
    assert (found["ollama"]["level"], found["advisor"]["level"]) == ("ok", "ok")
    assert found["advisor"]["text"] == f"qwen3-vl:8b at {fake.host} sees plots; it is tested before it is first asked"


def test_doctor_names_a_host_that_is_no_address(tmp_path: Path) -> None:
    done = called("doctor", "--host", "ftp://x", cwd=tmp_path)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--host 'ftp://x' is no address" in done.stderr
    assert "OLLAMA_HOST" in finding(tmp_path, "ollama", OLLAMA_HOST="http://[")["text"]


def test_doctor_tests_a_model_and_remembers_the_outcome(tmp_path: Path) -> None:
    def script(asked: Asked) -> Reply:
        return Reply('{"answer": "\x1b[31mE"}'.replace("\x1b", "\\u001b")) if asked.number == 0 else GOOD(asked)

    with serving(script, SEEING) as fake:
        found = finding(tmp_path, "vision", "--probe-vision", "--host", fake.host)
        assert len(fake.chats) == 8
        later = finding(tmp_path, "advisor", "--host", fake.host)
    assert found["level"] == "ok"
    assert found["text"].startswith("qwen3-vl:8b reads 4 of 5 plots, decides 3 of 3 cases: trend wrong ( for")
    assert " tokens a second: an answer takes about " in found["text"]
    assert "reads 4 of 5 plots, decides 3 of 3 cases" in later["text"]


def test_doctor_says_that_a_model_does_not_qualify_and_that_the_rules_advise(tmp_path: Path) -> None:
    with serving(lambda _: Reply('{"answer": "E"}'), SEEING) as fake:
        found = finding(tmp_path, "vision", "--probe-vision", "--host", fake.host)
        later = finding(tmp_path, "advisor", "--host", fake.host)
    assert found["level"] == later["level"] == "warning"
    assert "the mark is 3 of 5 plots and 2 of 3 cases" in found["text"]
    assert "the rules advisor is used instead" in later["text"]


def test_a_model_that_cannot_be_tested_says_why(tmp_path: Path) -> None:
    with serving(lambda _: Reply(status=500, error="runner died"), SEEING) as fake:
        found = finding(tmp_path, "vision", "--probe-vision", "--host", fake.host)
        assert len(fake.chats) == 1
    assert found["text"] == "qwen3-vl:8b could not be tested: http 500: runner died"


def test_a_model_without_sight_is_tested_on_the_cases_alone(tmp_path: Path) -> None:
    with serving(None, BLIND) as fake:
        found = finding(tmp_path, "vision", "--probe-vision", "--host", fake.host, "--model", "qwen3:8b")
        assert len(fake.chats) == 3
    assert found["level"] == "warning"
    assert found["text"].startswith("qwen3:8b has no vision, decides 3 of 3 cases: ")


def test_check_says_whether_the_advisor_of_a_run_file_answers(tmp_path: Path) -> None:
    with serving(None, SEEING) as fake:
        text = f'[task]\nname = "knights"\n[budget]\nsteps = 500\n[advisor]\nhost = "{fake.host}"\n'
        done = called("check", run_file(tmp_path, text), cwd=tmp_path)
    assert f"qwen3-vl:8b at {fake.host}" in done.stdout + done.stderr

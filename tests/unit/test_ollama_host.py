"""The address of an Ollama server in every form people write it."""

from __future__ import annotations

import pytest

from engine.errors import UserError
from engine.host import ollama_host
from engine.run.config import parse

HERE = "http://127.0.0.1:11434"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (HERE, HERE), (f" {HERE}/ ", HERE), ("127.0.0.1:11434", HERE), ("127.0.0.1", HERE), ("0.0.0.0", HERE),
        ("0.0.0.0:11434", HERE), ("http://0.0.0.0:11434", HERE), (":11434", HERE), ("*:8080", "http://127.0.0.1:8080"),
        ("localhost", "http://localhost:11434"), ("http://localhost", "http://localhost:11434"),
        ("localhost:11434/v1", "http://localhost:11434"), (f"{HERE}/v1/", HERE), (f"{HERE}/api", HERE),
        (f"{HERE}/api/generate", HERE), (f"{HERE}/v1/chat/completions", HERE), ("::1", "http://[::1]:11434"),
        ("[::]:11434", "http://[::1]:11434"), ("[::1]", "http://[::1]:11434"), ("HTTP://Box:80", "http://box:80"),
        ("gpu-box", "http://gpu-box:11434"), ("gpu_box:1", "http://gpu_box:1"), ("10.0.0.5", "http://10.0.0.5:11434"),
        ("https://ollama.example.org", "https://ollama.example.org"), ("http://box/ollama/", "http://box/ollama"),
        ("https://me:secret@box:443", "https://me:secret@box:443"),
    ],
)  # fmt: skip
def test_every_form_is_one_address(text: str, meant: str) -> None:
    assert ollama_host.address(text) == meant
    assert ollama_host.address(meant) == meant


@pytest.mark.parametrize(
    "text",
    ["file:///etc/passwd", "ftp://x", "http://[", "http://a b", "a:b:c", "x:99999", "http://x?y", "x" * 9 + "\n;"],
)
def test_what_is_no_address_names_one(text: str) -> None:
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:11434"):
        ollama_host.address(text)
    with pytest.raises(UserError, match=r"advisor\.host = .*http://127.0.0.1:11434"):
        parse(f"[task]\nname = 'knights'\n[advisor]\nhost = '''{text}'''", default_name="one")


def test_without_one_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OLLAMA_HOST", raising=False)
    assert ollama_host.asked("") == HERE
    monkeypatch.setenv("OLLAMA_HOST", "0.0.0.0:5000")
    assert ollama_host.asked("") == "http://127.0.0.1:5000"
    assert ollama_host.asked("box") == "http://box:11434"
    monkeypatch.setenv("OLLAMA_HOST", "http://[")
    with pytest.raises(UserError, match=r"OLLAMA_HOST: 'http://\['"):
        ollama_host.asked("")


def test_a_run_file_keeps_the_address() -> None:
    config = parse("[task]\nname = 'knights'\n[advisor]\nhost = 'localhost:11434/v1'", default_name="one")
    assert config.advisor.host == "http://localhost:11434"

"""A model of the hub in every form people paste it, whatever lies in the working directory."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.errors import Fault, UserError
from engine.host import hub, model_files
from engine.run import preflight
from engine.run.config import RunConfig, parse

SHIPPED = model_files.shipped_base("knights")
QWEN = "Qwen/Qwen3-0.6B"


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.chdir(tmp_path)


def config(path: str) -> RunConfig:
    return parse(
        f"[task]\nname = 'knights'\n[model]\npath = '''{path}'''\n[advisor]\nkind = 'rules'", default_name="one"
    )


@pytest.mark.parametrize(
    "text",
    [
        QWEN, f" {QWEN}\n", f"{QWEN}/", f'"{QWEN}"', f"\u200b{QWEN}\u00a0", f"{QWEN}/tree/main", f"{QWEN}/resolve/main",
        f"https://huggingface.co/{QWEN}", f"http://huggingface.co/{QWEN}/", f"https://www.huggingface.co/{QWEN}",
        f"HTTPS://HuggingFace.co/{QWEN}", f"huggingface.co/{QWEN}", f"hf.co/{QWEN}", f"https://hf.co/{QWEN}/tree/main",
        f"https://huggingface.co/{QWEN}/blob/main/config.json", f"https://huggingface.co/{QWEN}/discussions/3",
        f"https://huggingface.co/{QWEN}?library=transformers", f"https://huggingface.co/{QWEN}#quickstart",
        f"https://huggingface.co/{QWEN}.git", f"git@hf.co:{QWEN}.git", f"hf://{QWEN}", f"hf://models/{QWEN}",
        f"https://huggingface.co/api/models/{QWEN}", f"https://hf-mirror.com/{QWEN}", f"{QWEN}@main", f"hf://{QWEN}@main",
    ],
)  # fmt: skip
def test_every_pasted_form_is_the_id(text: str) -> None:
    assert hub.named(text) == QWEN
    assert model_files.find_model(text, None) == QWEN


def test_a_mirror_is_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example.org/")
    assert hub.named(f"https://hub.example.org/{QWEN}/tree/main") == QWEN


@pytest.mark.parametrize("text", ["gpt2", "https://huggingface.co/gpt2"])
def test_an_old_name_has_its_owner(text: str) -> None:
    assert hub.named(text) == "openai-community/gpt2"


@pytest.mark.parametrize(
    "text", ["", "none", "./Qwen/Qwen3", "/a/b", "~/a", "a/b/c", "../a/b", "a b/c", "assets/tiny/x", "."]
)
def test_what_is_no_id(text: str) -> None:
    assert hub.named(text) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://huggingface.co/datasets/openai/gsm8k", "not the address of a model"),
        ("https://huggingface.co/spaces/a/b", "not the address of a model"),
        ("https://huggingface.co/Qwen", "an owner and a name"),
        ("https://huggingface.co/", "not the address of a model"),
        (f"https://huggingface.co/{QWEN}/tree/v2", "the revision 'v2'"),
        (f"{QWEN}/tree/v2", "the revision 'v2'"),
        (f"{QWEN}@v2", "the revision 'v2'"),
        (f"{QWEN}@refs/pr/3", "the revision 'refs/pr/3'"),
        ("https://huggingface.co/" + "x" * 4000, "not the address of a model"),
    ],
)
def test_an_address_of_something_else_is_said(text: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as told:
        preflight.resolve(config(text))
    assert len(str(told.value)) < 300


def test_an_empty_directory_or_a_file_of_that_name_does_not_change_the_meaning(tmp_path: Path) -> None:
    (tmp_path / QWEN).mkdir(parents=True)
    (tmp_path / "gpt2").write_text("a file")
    for text, meant in ((QWEN, QWEN), ("gpt2", "openai-community/gpt2")):
        assert preflight.resolve(config(text)).model.path == meant
        assert "the local directory of that name holds no model" in model_files.note_on(text, meant)


@pytest.mark.usefixtures("compared_here")
def test_a_model_directory_of_that_name_is_taken_and_said(tmp_path: Path) -> None:
    shutil.copytree(SHIPPED, tmp_path / QWEN)
    where = str(tmp_path / QWEN)
    assert preflight.resolve(config(QWEN)).model.path == where
    warnings = [each.text for each in preflight.check(config(QWEN), tmp_path / "runs").warnings]
    assert any(f"https://huggingface.co/{QWEN} means that one" in text for text in warnings)
    assert preflight.resolve(config(f"hf.co/{QWEN}")).model.path == QWEN
    assert not model_files.note_on(f"./{QWEN}", where)


def test_the_run_file_of_a_run_means_the_hub_wherever_it_is_resumed(tmp_path: Path) -> None:
    begun = preflight.resolve(config(QWEN))
    shutil.copytree(SHIPPED, tmp_path / QWEN)
    assert preflight.resolve(begun, settled=True).model.path == QWEN


@contextmanager
def server(status: int, location: str = "") -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A hub that shows a file to those with a token and sends others away: its address, and (path, token) as asked."""
    asked: list[tuple[str, str]] = []

    class Answers(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            token = self.headers.get("Authorization", "")
            asked.append((self.path, token))
            moved = bool(location) and not self.path.startswith("/moved")
            self.send_response(status if moved else 200 if token else 401)
            if moved:
                self.send_header("Location", location)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing on stderr."""

    serving = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}", asked
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


@pytest.fixture
def online(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """The hub may be asked; nobody is logged in."""
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    return monkeypatch


def test_a_gated_model_is_shown_to_the_token_that_the_hubs_own_client_would_send(online: pytest.MonkeyPatch) -> None:
    with server(302, "/moved/config.json") as (address, asked):
        online.setenv("HF_ENDPOINT", address)
        with pytest.raises(UserError, match="a gated one needs HF_TOKEN"):
            hub.cached("owner/gated")
        online.setenv("HF_TOKEN", "hf_secret")
        with pytest.raises(Fault, match="it is downloaded when the run starts"):
            hub.cached("owner/gated")
    assert asked[-1] == ("/moved/config.json", "Bearer hf_secret")


def test_the_token_goes_to_no_other_host(online: pytest.MonkeyPatch) -> None:
    with server(200) as (elsewhere, asked), server(302, f"{elsewhere}/moved") as (address, _):
        online.setenv("HF_ENDPOINT", address)
        online.setenv("HF_TOKEN", "hf_secret")
        with pytest.raises(UserError, match="no such model to your token"):
            hub.cached("owner/gated")
    assert asked == [("/moved", "")]

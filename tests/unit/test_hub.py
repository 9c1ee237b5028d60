"""A model of the hub in every form people paste it, whatever lies in the working directory."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import UserError
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
        ("https://huggingface.co/datasets/openai/gsm8k", "no model"),
        ("https://huggingface.co/spaces/a/b", "no model"),
        ("https://huggingface.co/Qwen", "an owner and a name"),
        ("https://huggingface.co/", "no model"),
        (f"https://huggingface.co/{QWEN}/tree/v2", "the revision 'v2'"),
        (f"{QWEN}/tree/v2", "the revision 'v2'"),
        (f"{QWEN}@v2", "the revision 'v2'"),
        (f"{QWEN}@refs/pr/3", "the revision 'refs/pr/3'"),
        ("https://huggingface.co/" + "x" * 4000, "no model"),
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
        assert "what is here under that name holds no model" in model_files.note_on(text, meant)


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

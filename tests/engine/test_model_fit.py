"""Weights that do not fit their architecture are refused in one line, by the worker and before a run alike."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from engine.errors import UserError
from engine.training import compare, policy
from engine.training.events import End, Evaluate, EvaluationSpec
from engine.training.scoring import run_evaluation
from engine.weight_files import read_weights
from tests.engine import live
from tests.engine.broken_models import BROKEN, SOUND, copy
from tests.engine.conftest import Spec
from tests.engine.training_runs import Line, ended, run


def said_by_compare(where: Path) -> str:
    try:
        return compare.compare(where)[0]
    except UserError as mistake:
        return str(mistake)


@pytest.mark.parametrize("case", BROKEN)
def test_a_model_that_does_not_fit_is_refused(case: str, tiny_base: str, tmp_path: Path, make_spec: Spec) -> None:
    change, words = BROKEN[case]
    where = copy(tiny_base, tmp_path / "model", change)
    before = said_by_compare(where)
    assert words in before
    assert len(before.splitlines()) == 1
    told = run(make_spec(base=str(where), parent=str(where)))
    assert ended(told).end is End.CRASHED
    if case != "adapter":  # its tokenizer is missed first
        assert words in ended(told).detail


@pytest.mark.parametrize("case", SOUND)
def test_a_model_that_fits_is_taken(case: str, tiny_base: str, tmp_path: Path) -> None:
    where = copy(tiny_base, tmp_path / "model", SOUND[case])
    problem, parameters = compare.compare(where)
    assert (problem, parameters) == ("", policy.load_model(tiny_base).num_parameters())
    loaded, wanted = policy.load_model(str(where)).state_dict(), policy.load_model(tiny_base).state_dict()
    assert all(torch.equal(loaded[name], wanted[name]) for name in wanted)


def test_a_second_copy_is_not_counted(tiny_base: str, tmp_path: Path) -> None:
    where = copy(tiny_base, tmp_path / "model", SOUND["second copy"])
    assert read_weights(where).parameters == read_weights(Path(tiny_base)).parameters


def test_an_evaluation_refuses_it_too(tiny_base: str, tmp_path: Path, make_spec: Spec) -> None:
    change, words = BROKEN["layer missing"]
    where = copy(tiny_base, tmp_path / "model", change)
    told: list[Line] = []
    asked = Evaluate(
        job="base", task=make_spec().task, base=str(where), directories=[str(where)], evaluation=EvaluationSpec(n=8)
    )
    assert run_evaluation(asked, told.append)  # the process may go on
    assert words in ended(told).detail


@pytest.fixture
def hub_cache(tiny_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the hub that has nobody/tiny, and no network."""
    repo = tmp_path / "cache" / "models--nobody--tiny"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text("0" * 40)
    shutil.copytree(tiny_base, repo / "snapshots" / ("0" * 40))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return repo


@pytest.mark.parametrize("here", ["nothing", "a directory", "a file"])
def test_a_hub_id_is_the_hubs_whatever_lies_here(
    here: str, hub_cache: Path, tiny_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work" / "nobody").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    if here == "a directory":
        Path("nobody/tiny").mkdir()
    elif here == "a file":
        Path("nobody/tiny").write_text("no model", encoding="utf-8")
    place = policy.located("nobody/tiny")
    assert place == ("nobody/tiny" if here == "nothing" else str(hub_cache / "snapshots" / ("0" * 40)))
    if here != "nothing":
        loaded = policy.load_model("nobody/tiny").state_dict()
        assert all(torch.equal(loaded[k], v) for k, v in policy.load_model(tiny_base).state_dict().items())
        assert policy.load_tokenizer("nobody/tiny").eos_token


def test_a_run_that_was_not_checked_ends_with_the_reason(tiny_base: str, tmp_path: Path) -> None:
    """A model of the hub is seen by nobody before the worker has downloaded it."""
    change, words = BROKEN["compiled"]
    where = copy(tiny_base, tmp_path / "model", change)
    directory = live.create(tmp_path)
    directory.config.write_text(directory.config.read_text().replace('path = ""', f'path = "{where}"'))
    live.start(directory)
    assert live.wait_for_end(directory) == "failed"
    reason = live.rows(directory, "SELECT reason FROM runs")[0]["reason"]
    assert reason.startswith("the base model could not be scored: ")
    assert words in reason

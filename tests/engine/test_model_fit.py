"""Weights that do not fit their architecture are refused in one line, by the worker and before a run alike."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants

from engine.errors import UserError
from engine.host.weight_files import read_weights
from engine.training import compare, policy
from engine.training.events import Evaluate, EvaluationSpec, SegmentEnd
from engine.training.failures import NotFinite
from engine.training.scoring import run_evaluation
from tests.engine import live
from tests.engine.broken_models import BROKEN, SOUND, UNUSABLE, copy
from tests.engine.conftest import Spec
from tests.engine.training_runs import Line, ended, run
from tests.unit.cli_process import RUN_FILE, llmzero, run_file


def said_by_compare(where: Path) -> str:
    try:
        return compare.compare(where).problem
    except (UserError, NotFinite) as mistake:
        return str(mistake)


@pytest.mark.parametrize("case", BROKEN)
def test_a_model_that_does_not_fit_is_refused(case: str, tiny_base: str, tmp_path: Path, make_spec: Spec) -> None:
    change, words = BROKEN[case]
    where = copy(tiny_base, tmp_path / "model", change)
    before = said_by_compare(where)
    assert words in before
    assert len(before.splitlines()) == 1
    told = run(make_spec(base=str(where), parent=str(where)))
    assert ended(told).end is SegmentEnd.CRASHED
    if case != "adapter":  # its tokenizer is missed first
        assert words in ended(told).detail


QUANTIZED = "model.norm.weight is of type torch.uint8; only weights in float32"


def quantize(path: Path, *, zipped: bool = True) -> None:
    """Let one weight of a file in PyTorch's own format be of whole numbers."""
    tensors = torch.load(path)
    weights = {**tensors, "model.norm.weight": tensors["model.norm.weight"].to(torch.uint8)}
    torch.save(weights, path, _use_new_zipfile_serialization=zipped)


@pytest.mark.parametrize("zipped", [True, False])
def test_quantized_weights_in_pytorchs_own_format_are_refused(tiny_base: str, tmp_path: Path, zipped: bool) -> None:
    where = copy(tiny_base, tmp_path / "model", SOUND["pickled"])
    quantize(where / "pytorch_model.bin", zipped=zipped)
    assert QUANTIZED in said_by_compare(where)
    with pytest.raises(UserError, match=re.escape(QUANTIZED)):
        policy.load_model(str(where))


@pytest.mark.parametrize("case", UNUSABLE)
def test_weights_that_mean_nothing_are_refused_before_and_at_the_start(
    case: str, tiny_base: str, tmp_path: Path, make_spec: Spec
) -> None:
    """By `check`, and by the base's evaluation, with which a run and a dry run begin."""
    change, words = UNUSABLE[case]
    where = copy(tiny_base, tmp_path / "model", change)
    assert words in said_by_compare(where)
    told: list[Line] = []
    run_evaluation(
        Evaluate(
            job="base", task=make_spec().task, base=str(where), directories=[str(where)],
            evaluation=EvaluationSpec(n=8)
        ),
        told.append,
    )  # fmt: skip
    assert words in ended(told).detail


@pytest.mark.long
def test_check_names_weights_that_mean_nothing(tiny_base: str, tmp_path: Path) -> None:
    change, words = UNUSABLE["one NaN"]
    where = copy(tiny_base, tmp_path / "model", change)
    path = run_file(tmp_path, f'{RUN_FILE}\n[model]\npath = "{where}"\n[advisor]\nkind = "rules"\n')
    done = llmzero("check", path, cwd=tmp_path, timeout=120)
    assert done.returncode == 2
    assert words in done.stderr


def test_a_model_too_large_to_be_loaded_is_compared_by_its_headers(
    tiny_base: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = copy(tiny_base, tmp_path / "model", UNUSABLE["one NaN"][0])
    monkeypatch.setattr(compare, "LOADED_BYTES", 1000)
    outcome = compare.compare(where)
    assert (outcome.problem, outcome.read) == ("", False)


@pytest.mark.parametrize("case", SOUND)
def test_a_model_that_fits_is_taken(case: str, tiny_base: str, tmp_path: Path) -> None:
    where = copy(tiny_base, tmp_path / "model", SOUND[case])
    outcome = compare.compare(where)
    assert outcome == compare.WeightComparison("", policy.load_model(tiny_base).num_parameters(), read=True)
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


def test_quantized_weights_straight_from_the_hub_are_refused_by_the_worker(hub_cache: Path) -> None:
    place = hub_cache / "snapshots" / ("0" * 40)
    SOUND["pickled"](place)
    policy.load_model("nobody/tiny")
    quantize(place / "pytorch_model.bin")
    with pytest.raises(UserError, match=re.escape(QUANTIZED)):
        policy.load_model("nobody/tiny")


@pytest.mark.long
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

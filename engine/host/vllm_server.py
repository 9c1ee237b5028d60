"""A vLLM server as a run finds it: whether it answers, what it serves, and the command that starts one.

Asked by `engine.run.vllm_check`. It only reads; weights are sent by TRL in the worker.
"""

from __future__ import annotations

import http.client
import json
import shlex
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from engine.errors import Fault, one_line

SECONDS = 5.0
"""How long one answer is waited for."""
TRANSFER = '{"backend": "nccl"}'
LOGPROBS = "processed_logprobs"
"""How a server has to tell log-probabilities: after the temperature, as the trainer computes them."""


@dataclass(frozen=True, slots=True)
class VllmServer:
    """What a server says of itself.

    Attributes:
        model: that it serves. length: tokens of a sequence at most, 0 where it does not say.
        development: whether it takes weights (VLLM_SERVER_DEV_MODE=1). transfer: whether it was started to.
        logprobs: its --logprobs-mode, "" where it does not say.
    """

    model: str
    length: int = 0
    development: bool = False
    transfer: bool = False
    logprobs: str = ""


def address(host: str, port: int) -> str:
    """`http://host:port`, as TRL asks it."""
    return f"http://{f'[{host}]' if host.count(':') > 1 and not host.startswith('[') else host}:{port}"


def ask(host: str, port: int) -> VllmServer:
    """What the server at an address says. Raises Fault with one line when none answers."""
    where = address(host, port)
    try:
        _get(f"{where}/health")
        served = json.loads(_get(f"{where}/v1/models"))["data"][0]
        info = _info(where)
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        raise Fault(f"no vLLM server answers at {where}: {one_line(str(error)) or type(error).__name__}") from error
    config: dict[str, Any] = info or {}
    return VllmServer(
        model=str(served["id"]),
        length=int(served.get("max_model_len") or 0),
        development=info is not None,
        transfer=bool(config.get("weight_transfer_config")),
        logprobs=str((config.get("model_config") or {}).get("logprobs_mode", "")),
    )


def start_command(model: str, port: int, gpus: Sequence[int], length: int) -> str:
    """What starts a server that a run can use: on these GPUs of this machine, on all that it sees where there are none.

    `length`: tokens of a sequence, 0 leaves vLLM's choice.
    """
    visible = f"CUDA_VISIBLE_DEVICES={','.join(map(str, gpus))} " if gpus else ""
    words = [
        "vllm", "serve", model, "--port", str(port), "--weight-transfer-config", TRANSFER, "--logprobs-mode", LOGPROBS,
        "--max-logprobs", "-1",
        *(["--tensor-parallel-size", str(len(gpus))] if len(gpus) > 1 else []),
        *(["--max-model-len", str(length)] if length else []),
    ]  # fmt: skip
    return f"{visible}VLLM_SERVER_DEV_MODE=1 {shlex.join(words)}"


def _info(where: str) -> dict[str, Any] | None:
    """The server's configuration; None where it does not tell."""
    try:
        settings: dict[str, Any] = json.loads(_get(f"{where}/server_info?config_format=json"))["vllm_config"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise
    return settings


def _get(url: str) -> bytes:
    """The answer of the server itself: no proxy lies between a trainer and its server."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=SECONDS) as answer:
        body: bytes = answer.read()
    return body

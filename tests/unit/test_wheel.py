"""The package outside a checkout: what a built wheel holds, and that it works where nothing else of ours is."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.unit.cli_process import RUN_FILE, environment

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("engine", "llmzero_tui", "tasks")
BUILD = "from setuptools import build_meta; print(build_meta.build_{kind}({out!r}))"
OWN_TASK = """
from tasks.base import Item, Reward, Task
from tasks.mine import LETTERS

class Mine(Task):
    name = summary = "mine"
    max_completion_length = 8
    def generate(self, rng):
        word = "".join(rng.choices(LETTERS, k=5))
        return Item(prompt=f"D {word}=", answer=word)
    def score(self, completion, item):
        return Reward(correct=completion.strip() == item.answer, total=float(completion[:1] == item.answer[:1]))
"""


def build(kind: str, source: Path, out: Path) -> Path:
    """A wheel or an sdist of a source tree, by the setuptools of this environment."""
    done = subprocess.run(
        [sys.executable, "-c", BUILD.format(kind=kind, out=str(out))], cwd=source, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return out / done.stdout.splitlines()[-1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as `python -m build` does: an sdist of the tree, and the wheel from that."""
    place = tmp_path_factory.mktemp("build")
    checkout = place / "checkout"
    checkout.mkdir()
    for each in ("pyproject.toml", "README.md", "LICENSE", "assets", *PACKAGES):
        (checkout / each).symlink_to(ROOT / each)
    archive = build("sdist", checkout, place)
    with tarfile.open(archive) as file:
        file.extractall(place, filter="data")
    return build("wheel", place / archive.name.removesuffix(".tar.gz"), place)


@pytest.mark.long
def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: Path) -> None:
    """SQL, prompts, styles and saved queries are beside the modules; a base is six files."""
    found = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    here = [each for package in PACKAGES for each in (ROOT / package).rglob("*") if each.is_file()]
    bases = [each for each in (ROOT / "tasks" / "bases").glob("*/*") if each.is_file()]
    wanted = {str(each.relative_to(ROOT)) for each in (*here, *bases) if "__pycache__" not in each.parts}
    assert found == wanted
    assert "engine/store/queries/saved/best-trajectory.sql" in found
    assert "tasks/bases/knights/model.safetensors" in found
    assert "engine/decisions/bank.jsonl" in found


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Path:
    """`llmzero` of an environment into which the wheel alone is installed; its dependencies are this environment's."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    site = Path(sysconfig.get_path("purelib", vars={"base": str(tmp_path / "venv")}))
    pip = [sys.executable, "-m", "pip", "--python", str(tmp_path / "venv" / "bin" / "python")]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", str(wheel)], check=True)
    # A path in a .pth file brings packages, not the .pth files there: no editable install of this checkout.
    (site / "dependencies.pth").write_text("\n".join(each for each in sys.path if each.endswith("site-packages")))
    return tmp_path / "venv" / "bin" / "llmzero"


@pytest.mark.slow
def test_an_installed_wheel_runs_the_demo_and_a_users_own_package_tasks(installed: Path, tmp_path: Path) -> None:
    place = tmp_path / "empty"
    place.mkdir()

    def llmzero(*arguments: str) -> str:
        done = subprocess.run(
            [installed, *arguments], cwd=place, env=environment(), capture_output=True, text=True, timeout=250,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    llmzero("new", "my.toml")
    assert str(tmp_path / "venv") in llmzero("check", "my.toml"), "the base is the installed one"
    assert "demo-knights-1" in llmzero("demo", "--minutes", "0.2", "--headless")

    (place / "tasks").mkdir()
    (place / "tasks" / "mine.py").write_text("LETTERS = 'abcdef'\n")
    (place / "my_task.py").write_text(OWN_TASK)
    run_file = RUN_FILE.replace('"knights"', '"my_task.py:Mine"') + '[model]\npath = "assets/tiny/dedup"\n'
    (place / "own.toml").write_text(f'name = "own"\n{run_file}[advisor]\nkind = "rules"\n')
    llmzero("run", "own.toml", "--headless")
    assert "own" in llmzero("ls")

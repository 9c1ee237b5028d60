"""Makes `engine`, `tasks` and `llmzero_tui` mean this program's packages, whatever the user's folders hold.

A user's `tasks.py` on PYTHONPATH or in the working directory would be found before ours. `llmzero_tui/__init__.py`
loads this file by its path and installs the finder; the engine and its workers are started with it (`command`). It
imports no package of ours. What user code imports is decided in `tasks/user_code.py`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("engine", "tasks", "llmzero_tui")


class OwnPackages:
    """Finds the three top-level packages in the directory that holds this one, before anything else is asked."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return PathFinder.find_spec(fullname, [str(ROOT)]) if fullname in NAMES else None


def install() -> None:
    """Put the finder first. A package of another program that has one of the names already is put aside."""
    if any(type(each).__name__ == OwnPackages.__name__ for each in sys.meta_path):
        return
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in NAMES and not _is_ours(module):
            del sys.modules[name]
    sys.meta_path.insert(0, OwnPackages())


def _is_ours(module: ModuleType) -> bool:
    places = [module.__file__] if getattr(module, "__file__", None) else getattr(module, "__path__", [])
    return all(Path(str(place)).resolve().is_relative_to(ROOT) for place in places)


def command(module: str) -> list[str]:
    """How to start `python -m module` of ours with our packages first.

    -P: a folder of the user's that happens to be called "datasets" must not shadow a library either. -X utf8: what
    these processes write is for programs, and is UTF-8 whatever the user's locale.
    """
    return [sys.executable, "-X", "utf8", "-P", __file__, module]


if __name__ == "__main__":
    import runpy

    install()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)

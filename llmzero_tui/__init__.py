"""The face. Importing it makes sure that `engine` and `tasks` are this program's; see engine/own_packages.py."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

_spec = spec_from_file_location("own_packages", Path(__file__).resolve().parents[1] / "engine" / "own_packages.py")
assert _spec is not None
assert _spec.loader is not None
_own_packages = module_from_spec(_spec)
_spec.loader.exec_module(_own_packages)
_own_packages.install()

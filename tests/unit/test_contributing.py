"""The map of rooms in CONTRIBUTING.md is that of the tree: every place it names exists, and no package is left out."""

from __future__ import annotations

import re

from tests.unit.cli_process import ROOT

PACKAGES = ("llmzero_tui", "engine", "tasks")


def rooms() -> dict[str, str]:
    """What the map says of each room, by its path."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    map_ = text.partition("## Rooms")[2].split("```")[1]
    found: dict[str, str] = {}
    for line in map_.strip().splitlines():
        if room := re.match(r"([\w/]+)/ +", line):
            found[room[1]] = line[room.end() :]
        else:
            found[list(found)[-1]] += " " + line.strip()
    return found


def test_every_room_and_module_of_the_map_exists() -> None:
    for room, text in rooms().items():
        assert (ROOT / room).is_dir(), room
        for module in re.findall(r"[\w/]+\.py\b", text):
            assert (ROOT / room / module).is_file(), f"{room}: {module}"


def test_every_package_is_on_the_map() -> None:
    packages = {
        str(each.parent.relative_to(ROOT)) for top in PACKAGES for each in (ROOT / top).rglob("__init__.py")
    }  # fmt: skip
    assert packages - rooms().keys() == set()


def test_every_kind_of_test_is_on_the_map() -> None:
    kinds = {str(each.relative_to(ROOT)) for each in (ROOT / "tests").iterdir() if any(each.glob("test_*.py"))}
    assert kinds - rooms().keys() == set()

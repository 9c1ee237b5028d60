"""Where the face keeps what belongs to the user and not to a run: settings, saved queries, history, the last copy.

Used by the screens that keep something. Directories are made when something is written, for the user alone (0700, files
0600); nothing here is needed to look at a run, so a place that cannot be written is an error of one line, never more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from platformdirs import user_config_path, user_state_path

from engine.errors import UserError
from engine.files import whole

NAME = "llmzero"


def config_dir() -> Path:
    """What the user wrote and would miss; on Linux XDG_CONFIG_HOME/llmzero."""
    return _known(user_config_path)


def state_dir() -> Path:
    """What the program remembers; on Linux XDG_STATE_HOME/llmzero."""
    return _known(user_state_path)


@contextmanager
def passing_state() -> Iterator[None]:
    """Within it what the program remembers (the last copy, the history of SQL, what it knows of runs at rest) begins
    empty and is gone at the end: for a view that only watches, perhaps by somebody else than the user."""
    before = os.environ.get("XDG_STATE_HOME")
    with TemporaryDirectory(prefix="llmzero-watch-") as home:
        os.environ["XDG_STATE_HOME"] = home
        try:
            yield
        finally:
            if before is None:
                del os.environ["XDG_STATE_HOME"]
            else:
                os.environ["XDG_STATE_HOME"] = before


def _known(of_user: Callable[..., Path]) -> Path:
    """The directory. Raises UserError where the user has no home: the library fails then, or leaves "~" in the path."""
    with suppress(RuntimeError):
        directory = of_user(NAME, appauthor=False)
        if directory.is_absolute():
            return directory
    raise UserError("this user has no home directory: set HOME, or XDG_CONFIG_HOME and XDG_STATE_HOME")


def short(path: Path) -> str:
    """A path as one writes it: the home directory is ~."""
    try:
        return f"~/{path.relative_to(Path.home())}"
    except (ValueError, RuntimeError):
        return str(path)


def write_private(path: Path, text: str) -> None:
    """Put `text` into a file that only the user can read, whole or not at all.

    Raises:
        UserError: the place cannot be written, in one line.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with whole(path, mode=0o600) as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError as error:
        raise UserError(f"{short(path)}: cannot be written: {error.strerror or error}") from error

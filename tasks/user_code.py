"""The one place where code of the user's runs: a task or reward file when it is executed, and every call into it later.

`UserCode.running()` is entered around each such call by `tasks.user_task` and `tasks.reward_function`. Inside, what the
code prints (Python or C, on descriptor 1 too) goes to stderr and it has no input; `sys.argv` holds its file alone; it
can import what lies beside it, and its own packages named `tasks` or `engine` in place of ours; `sys.exit` and whatever
else passes an `except Exception` become a TaskError. Outside nothing of this remains: stdout is never the user's, and
our packages are never theirs.
"""

from __future__ import annotations

import contextlib
import faulthandler
import functools
import hashlib
import importlib
import importlib.util
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, TextIO

from tasks.base import TaskError, TaskNotFound

OURS = ("engine", "tasks", "llmzero_tui")
ROOT = Path(__file__).resolve().parent.parent
IMPORT_SECONDS = 120.0
"""How long a file may take to be executed. Importing torch on a busy machine takes 20 s."""
GRACE_SECONDS = 5.0
"""How long an interrupted call may take to come to its end, where it is ended with its process otherwise."""
_FOLDERS_ABOVE = 2


class CodeTimeout(BaseException):
    """Raised inside code that runs past a time limit; no Exception, so that `except Exception` does not swallow it."""


class ProcessInterrupted(KeyboardInterrupt):
    """Somebody outside wants the process to end (Ctrl+C, or a signal's handler raises it): not the user's code."""


class UserCode:
    """One file of the user's, and the modules it imports from its own folders.

    Attributes:
        path: the file.
        folders: where its imports are looked for after the installed packages: beside it, in the two folders above, and
            in the working directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        here = path.resolve().parent
        candidates = [here, *list(here.parents)[:_FOLDERS_ABOVE], Path.cwd()]
        self.folders = [str(each) for each in dict.fromkeys(candidates) if each != Path(each.anchor)]
        importlib.invalidate_caches()
        self._own_tops = {name: place for name in OURS if (place := self._find_own(name))}
        self._kept: dict[str, bool] = {}  # answers of _stays: it asks the file system
        self._modules: dict[str, ModuleType] = {}  # of the user's, in sys.modules only while the code runs

    def load(self) -> ModuleType:
        """Execute the file.

        Raises:
            TaskNotFound: there is no such Python file.
            TaskError: it fails, calls sys.exit or does not come to its end; the message is one line.
        """
        if not self.path.is_file():
            raise TaskNotFound(f"task file {str(self.path)!r} does not exist (working directory: {str(Path.cwd())!r})")
        digest = hashlib.blake2b(str(self.path.resolve()).encode(), digest_size=6).hexdigest()
        package = ModuleType(f"llmzero_user_task_{digest}")  # for `from .helpers import x`
        package.__path__ = [str(self.path.resolve().parent)]
        spec = importlib.util.spec_from_file_location(f"{package.__name__}.{self.path.stem}", self.path)
        if spec is None or spec.loader is None:
            raise TaskNotFound(f"task file {str(self.path)!r} is not a Python file")
        module = importlib.util.module_from_spec(spec)
        _forget(package.__name__)
        sys.modules.update({package.__name__: package, module.__name__: module})  # dataclasses and pickle look them up
        what = f"task file {str(self.path)!r}"
        try:
            with self.running(), time_limit(IMPORT_SECONDS, f"{what} is executed"):
                spec.loader.exec_module(module)
        except BaseException as error:
            _forget(package.__name__)
            if isinstance(error, ProcessInterrupted):
                raise
            if isinstance(error, TaskError):
                raise TaskError(f"{what}: {error}") from error
            raise TaskError(f"{what} cannot be executed: {one_line(error)}") from error
        return module

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Run code of the user's inside.

        Raises:
            TaskError: it called sys.exit, or raised what is no Exception, such as a KeyboardInterrupt of its own.
            ProcessInterrupted: by Ctrl+C.
        """
        process = os.getpid()
        with _apart(self.path), self._with_its_modules(), _ctrl_c_known():
            try:
                yield
            except (Exception, ProcessInterrupted, CodeTimeout):
                raise
            except SystemExit as error:
                if os.getpid() != process:  # a child that the code forked: it must not go on as ours
                    os._exit(error.code if isinstance(error.code, int) else 1)
                hint = '; read options in `if __name__ == "__main__":` only' if error.code == 2 else ""
                raise TaskError(f"it calls sys.exit({error.code!r:.80}){hint}") from error
            except BaseException as error:
                raise TaskError(f"it raises {one_line(error)}") from error

    # ---- imports ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _with_its_modules(self) -> Iterator[None]:
        """Its folders at the end of sys.path, its own modules in sys.modules, and its `tasks` in place of ours."""
        path = list(sys.path)
        added = [folder for folder in self.folders if folder not in path]
        ours = self._take_ours()
        sys.path += added
        sys.modules.update(self._modules)
        size = len(sys.modules)
        if self._own_tops:
            sys.meta_path.insert(0, self)
        try:
            yield
        finally:
            if self in sys.meta_path:
                sys.meta_path.remove(self)
            if len(sys.modules) != size:  # it imported something
                self._modules |= {
                    name: module
                    for name, module in list(sys.modules.items())
                    if (top := name.partition(".")[0]) in self._own_tops or (top not in OURS and _place(name) in added)
                }
            for name in self._kept:
                sys.modules.pop(name, None)
            for name in self._modules:
                sys.modules.pop(name, None)
            sys.modules.update(ours)
            sys.path[:] = path

    def _take_ours(self) -> dict[str, ModuleType]:
        """Take those of ours whose names the user's have out of sys.modules, but for submodules theirs have not."""
        if not self._own_tops:
            return {}
        ours = {name: module for name, module in sys.modules.items() if name.partition(".")[0] in self._own_tops}
        for name in ours:
            if name not in self._kept:
                self._kept[name] = self._stays(name)
            if not self._kept[name]:
                del sys.modules[name]
        return ours

    def _stays(self, name: str) -> bool:
        """Whether the user's import of that name means ours: their package has no such submodule."""
        top, _, below = name.partition(".")
        if not below:
            return False
        package = PathFinder.find_spec(top, [self._own_tops[top]])
        places = package.submodule_search_locations if package else None
        return places is None or PathFinder.find_spec(f"{top}.{below.partition('.')[0]}", list(places)) is None

    def _find_own(self, name: str) -> str | None:
        """The folder with a module or package of the user's that has a name of ours: its folders, then PYTHONPATH."""
        places = [each for each in (*self.folders, *sys.path) if each and not _is_ours(Path(each))]
        specs = {place: spec for place in places if (spec := PathFinder.find_spec(name, [place]))}
        regular = [place for place, spec in specs.items() if spec.loader is not None and spec.origin is not None]
        return next(iter(regular or specs), None)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """For the import system, while the code runs: the user's `tasks`; of ours, the submodules theirs has not."""
        top, _, below = fullname.partition(".")
        if top not in self._own_tops:
            return None
        if not below:
            return PathFinder.find_spec(fullname, [self._own_tops[top]])
        own = ROOT.joinpath(*fullname.split(".")[:-1])
        return PathFinder.find_spec(fullname, path) or PathFinder.find_spec(fullname, [str(own)])


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]


def _is_ours(folder: Path) -> bool:
    """Where this program lies, or another copy of it: its `tasks` is not the user's."""
    return folder.resolve() == ROOT or (folder / "llmzero_tui").is_dir()


def _place(name: str) -> str | None:
    """The folder in which the import system found the top-level module of that name."""
    module = sys.modules.get(name.partition(".")[0])
    inside = next(iter(getattr(module, "__path__", [])), None)
    where = inside or getattr(module, "__file__", None)
    return os.path.dirname(where) if isinstance(where, str) else None  # noqa: PTH120  asked of thousands of modules


# ---- what the code may touch ----------------------------------------------------------------------------------------


@contextlib.contextmanager
def _apart(path: Path) -> Iterator[None]:
    """Descriptors 0 and 1 become nothing and stderr, for Python and for C alike; sys.argv holds the file alone, and the
    working directory is what it was when the code is done."""
    argv, streams, here = sys.argv, (sys.stdin, sys.stdout, sys.stderr), _working_directory()
    _flush()
    kept = [_duplicate(0), _duplicate(1)]
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123  a descriptor is wanted
        os.dup2(nothing.fileno(), 0)
    with contextlib.suppress(OSError):  # a process without stderr
        os.dup2(2, 1)
    sys.argv = [str(path)]
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), _users_stream(), _users_stream()
    try:
        yield
    finally:
        _flush()
        sys.argv, (sys.stdin, sys.stdout, sys.stderr) = argv, streams
        if here and _working_directory() != here:
            os.chdir(here)
        for number, copy in enumerate(kept):
            if copy is None:
                with contextlib.suppress(OSError):
                    os.close(number)
            else:
                os.dup2(copy, number)
                os.close(copy)


class _OpenStream(io.TextIOWrapper):
    """Stays open for whoever has kept it (a logging handler), whatever the code closes."""

    def close(self) -> None:
        self.flush()


@functools.cache
def _users_stream() -> _OpenStream:
    """What code of the user's has as stdout and stderr."""
    return _OpenStream(open(2, "wb", closefd=False), "utf-8", "backslashreplace", line_buffering=True)


def _working_directory() -> str:
    """ "" where it is gone."""
    try:
        return os.getcwd()  # noqa: PTH109  asked around every call
    except OSError:
        return ""


def _duplicate(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # closed
        return None


@functools.cache
def _c_library() -> Any:
    import ctypes

    return ctypes.CDLL(None)


def _flush() -> None:
    """What stands in buffers goes where it was written to, C's included."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    _c_library().fflush(None)


@contextlib.contextmanager
def _ctrl_c_known() -> Iterator[None]:
    """Ctrl+C raises ProcessInterrupted inside, so that a KeyboardInterrupt of the code's own is told from it."""
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield  # it does not come here, or is somebody's already
        return

    def interrupt(_: int, __: FrameType | None) -> None:
        raise ProcessInterrupted

    signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_last_words: TextIO | None = None


def end_process_after_limits(last_words: TextIO) -> None:
    """From now on a `time_limit` ends the process where nothing else can: in C, or in code that catches everything.

    For a process that does nothing else. `last_words` gets faulthandler's "Timeout (…)!" and where every thread stood.
    """
    global _last_words
    _last_words = last_words


@contextlib.contextmanager
def time_limit(seconds: float, what: str) -> Iterator[None]:
    """Interrupt what runs inside after `seconds`. In the main thread only: elsewhere there is no limit. None inside
    another.

    Raises:
        TaskError: one line, "… takes longer than 30 s".
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ring(_: int, __: FrameType | None) -> None:
        raise CodeTimeout

    handler = signal.signal(signal.SIGALRM, ring)
    remaining, interval = signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)  # again: a bare `except` may swallow one
    if _last_words is not None:
        faulthandler.dump_traceback_later(seconds + GRACE_SECONDS, exit=True, file=_last_words)
    try:
        yield
    except CodeTimeout:
        raise TaskError(f"{what}: it takes longer than {seconds:g} s") from None
    finally:
        if _last_words is not None:
            faulthandler.cancel_dump_traceback_later()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if remaining:
            signal.setitimer(signal.ITIMER_REAL, remaining, interval)


def one_line(error: BaseException) -> str:
    """An exception's class and message in one line of at most 300 characters."""
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")[:300]

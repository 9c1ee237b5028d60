"""Code of the user's in a process of its own: what ends that process, or never returns, must not take ours with it.

The parent's half is `ask`, used by what looks at a task before a run. The child's half is `serve`, in the modules that
are asked. The answer comes in lines of JSON: a text is progress, anything else is the answer and the last.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from engine import own_packages
from engine.errors import short_name
from tasks import user_code
from tasks.base import TaskError

END_SECONDS = 10.0
"""How long the child may take to end after its answer; threads of the user's may keep it."""
POLL_SECONDS = 0.2
_HUNG = re.compile(r"Timeout \((\d+):(\d+):(\d+)")
_PLACE = re.compile(r'File "(.*)", line (\d+) in ')

Tell = Callable[[str], None]


def ask(module: str, question: str, name: str, say: Tell) -> Any:
    """What `python -m module` answers to a text on its stdin.

    Args:
        name: of the task, as a message calls it. say: hears its progress.

    Raises:
        TaskError: one line; the code ended its process, or stayed beyond a limit of time where nothing reaches it.
    """
    child = subprocess.Popen(
        own_packages.command(module), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        errors="replace",
    )  # fmt: skip
    last_words = []
    with child:
        try:
            assert child.stdin is not None
            assert child.stdout is not None
            with contextlib.suppress(BrokenPipeError):  # it is gone already: its exit status says more
                child.stdin.write(question)
                child.stdin.close()
            for line in _lines(child):
                try:
                    answer = json.loads(line)
                except ValueError:
                    last_words.append(line)
                    continue
                if not isinstance(answer, str):
                    return answer
                say(answer)
            code = child.wait()
        finally:
            _end(child)
    raise TaskError(f"{short_name(name)}: its code {_how(code, last_words, name)}; it must return or raise")


def _lines(child: subprocess.Popen[str]) -> Iterator[str]:
    """What it says until it ends; a process that its code has forked may keep the pipe open for longer."""
    assert child.stdout is not None
    pipe, rest = child.stdout.fileno(), b""
    while True:
        gone = child.poll() is not None
        if not select.select([pipe], [], [], 0.0 if gone else POLL_SECONDS)[0]:
            if gone:
                break
            continue
        if not (read := os.read(pipe, 1 << 16)):
            break
        *lines, rest = (rest + read).split(b"\n")
        yield from (line.decode("utf-8", "replace") for line in lines)
    if rest:
        yield rest.decode("utf-8", "replace")


def _end(child: subprocess.Popen[str]) -> None:
    try:
        child.wait(END_SECONDS if sys.exc_info()[0] is None else 0.0)
    except subprocess.TimeoutExpired:
        child.kill()


def _how(code: int, last_words: list[str], name: str) -> str:
    """How it ended, or where it was when it was ended: `last_words` are what faulthandler wrote."""
    hung = _HUNG.match(last_words[0]) if last_words else None
    if hung is None:
        how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
        return f"ends the process that runs it ({how})"
    hours, minutes, seconds = map(int, hung.groups())
    places = [place.groups() for line in last_words if (place := _PLACE.search(line))]
    own = next((f" (line {line} of {Path(file).name})" for file, line in places if Path(file).name in name), "")
    return f"does not return within {3600 * hours + 60 * minutes + seconds} s{own}"


def serve(work: Callable[[str, Tell], object]) -> int:
    """The child: answer what stdin asks on what was stdout, which the user's code does not get."""
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl+C reaches the whole group: the parent says it
        question = sys.stdin.read()
        with os.fdopen(os.dup(1), "w", encoding="utf-8") as answers:
            os.dup2(2, 1)
            user_code.end_process_after_limits(answers)

            def tell(answer: object) -> None:
                print(json.dumps(answer), file=answers, flush=True)

            tell(work(question, tell))
        return 0
    return 130

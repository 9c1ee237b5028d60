"""The priority of a process that was started under `nice`, where Linux weighs sessions.

With autogroups (sched(7), on in most desktop and server kernels) a nice value counts only among the processes of one
session. Engines and workers have sessions of their own, so that theirs would count for nothing.
"""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path

_log = logging.getLogger(__name__)

AUTOGROUP = Path("/proc/self/autogroup")
TRIES, WAIT_SECONDS = 20, 0.1
"""The kernel takes one such change in a tenth of a second, from all users together."""


def lower_session() -> None:
    """Give the session that this process leads the process's own nice value, 1 to 19. Nothing to do at 0 or less.

    A kernel without autogroups needs nothing more; one that refuses is logged.
    """
    nice = os.getpriority(os.PRIO_PROCESS, 0)
    if nice <= 0 or os.getsid(0) != os.getpid() or not AUTOGROUP.exists():
        return
    for _ in range(TRIES):
        try:
            AUTOGROUP.write_text(str(nice), encoding="ascii")
            return
        except BlockingIOError:
            time.sleep(WAIT_SECONDS)
        except OSError as error:
            _log.warning("nice %d counts within this session only: %s: %s", nice, AUTOGROUP, error)
            return
    _log.warning("nice %d counts within this session only: %s is busy", nice, AUTOGROUP)

"""Posts news to a webhook that takes Slack's JSON, `{"text": "…"}`; Mattermost, Rocket.Chat and others take the same.

Called by `user.notify` in its thread and by `llmzero alerts --test`. The address is a secret: it comes from the
environment or the user's settings, and stands in no message, log, report or database.
"""

from __future__ import annotations

import http.client
import json
import os
import ssl
import time
import urllib.error
import urllib.request
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from engine.errors import UserError

VARIABLE = "LLMZERO_WEBHOOK"
ALLOWED = "https://… or http://…, with a port of 1 to 65535"
SECONDS = 10.0
"""For one message to be taken."""
MOST, WINDOW_SECONDS = 10, 600.0
"""At most so many messages in so many seconds; how many were not sent stands in the next one."""


def address(setting: str, environment: Mapping[str, str] = os.environ) -> str:
    """Where to post: LLMZERO_WEBHOOK, else the setting `webhook`; "" where neither is set.

    Raises:
        UserError: it is no address of http or https. The line does not quote it.
    """
    given, source = environment.get(VARIABLE, "").strip(), VARIABLE
    if not given:
        given, source = setting.strip(), "webhook"
    if given and not is_address(given):
        raise UserError(f"{source} is no address; allowed: {ALLOWED} (not shown here, since it is a secret)")
    return given


def is_address(text: str) -> bool:
    """Whether a text is an address that can be posted to."""
    try:
        parts = urlsplit(text)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port above 65535, or half an IPv6 address
        return False
    return known and text.isascii() and text.isprintable() and " " not in text


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """What is posted goes to the address that was given, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def post(where: str, text: str) -> str:
    """Send one message. Returns why it was not taken, without the address, or ""."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")  # no mention, no link
    request = urllib.request.Request(
        where, json.dumps({"text": escaped}).encode(), {"Content-Type": "application/json", "User-Agent": "llmzero"}
    )
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        return f"it answered {error.code}"
    except urllib.error.URLError as error:
        return _why(error.reason)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return _why(error)


def _why(error: object) -> str:
    """A failed connection in plain words, none of which is part of the address."""
    if isinstance(error, TimeoutError):
        return f"it did not answer within {SECONDS:g} s"
    if isinstance(error, http.client.RemoteDisconnected):
        return "it closed the connection without an answer"
    if isinstance(error, http.client.InvalidURL | ValueError) and not isinstance(error, OSError):
        return f"its address is not valid; allowed: {ALLOWED}"
    if isinstance(error, http.client.HTTPException):
        return "what answered there does not speak HTTP"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return "no secure connection: what answered there does not speak HTTPS"
    return f"it cannot be reached: {getattr(error, 'strerror', None) or 'the connection failed'}"


@dataclass
class Webhook:
    """One address with its rate limit; used by one thread at a time."""

    where: str = field(repr=False)
    clock: Callable[[], float] = time.monotonic
    _sent: deque[float] = field(default_factory=deque)
    _left_out: int = 0

    def tell(self, text: str) -> str:
        """Send it, or leave it out where too many were sent. Returns why it was not taken, or ""."""
        now = self.clock()
        while self._sent and now - self._sent[0] > WINDOW_SECONDS:
            self._sent.popleft()
        if len(self._sent) >= MOST:
            self._left_out += 1
            return ""
        self._sent.append(now)
        more = f" ({self._left_out} more before it were not sent)" if self._left_out else ""
        wrong = post(self.where, text + more)
        self._left_out = self._left_out if wrong else 0
        return wrong

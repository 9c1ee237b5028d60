"""The address of an Ollama server in whatever form people write it, as OLLAMA_HOST is: one address that can be asked;
and which variables of the environment its client must not see.

Used by the run file, by `llmzero doctor` and by what asks the server. Nothing is asked here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from engine.errors import UserError, short

DEFAULT = "http://127.0.0.1:11434"
PORT = 11434
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1", "*": "127.0.0.1", "": "127.0.0.1"}
"""What a server listens on, and where it is then asked."""
_HERE = ("127.0.0.1", "::1", "localhost")


def address(text: str) -> str:
    """`http://host:port` for what was written: with or without scheme, port, a slash at the end, /v1 or /api.

    A server that listens everywhere (0.0.0.0) is asked on this machine. Without a port it is 11434, and with a scheme
    and another machine's name the scheme's own.

    Raises:
        UserError: it is no address of a server; one line with one that is.
    """
    given = text.strip()
    scheme, has_scheme, rest = given.partition("://")
    if not has_scheme:
        scheme, rest = "http", given
    if re.fullmatch(r"[0-9a-fA-F:]*:[0-9a-fA-F:]*:[0-9a-fA-F:]*", rest):  # IPv6 as it stands
        rest = f"[{rest}]"
    try:
        parts = urlsplit(f"{scheme.lower()}://{rest}")
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _no_address(given) from error
    path = re.sub(r"^/(v1|api)(/.*)?$", "", parts.path.rstrip("/"))
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.:*-]*", host) or parts.query or parts.fragment:
        raise _no_address(given)
    host = _ANY.get(host, host)
    if port is None and (not has_scheme or (host in _HERE and parts.scheme == "http")):
        port = PORT
    name = f"[{host}]" if ":" in host else host
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{user}{name}{f':{port}' if port else ''}{path}"


def asked(host: str) -> str:
    """The address to ask: the one given, else the one of OLLAMA_HOST, else this machine's.

    Raises:
        UserError: OLLAMA_HOST is no address.
    """
    if host:
        return address(host)
    try:
        return address(os.environ.get("OLLAMA_HOST", "").strip() or DEFAULT)
    except UserError as error:
        raise UserError(f"OLLAMA_HOST: {error}") from error


def _no_address(given: str) -> UserError:
    return UserError(f'{short(given)} is no address of an Ollama server; write it like "{DEFAULT}"')


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Hide variables, in capitals and in small letters, while a library is imported, and bring them back afterwards.
    For what runs before other threads do."""
    hidden = {each for name in names for each in (name, name.lower()) if each in os.environ}
    kept = {name: os.environ.pop(name) for name in hidden}
    try:
        yield
    finally:
        os.environ.update(kept)

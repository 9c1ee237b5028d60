"""The Hugging Face hub: the id of a model in whatever form people paste it, and whether the hub has it.

Asked by `engine.host.model_files`. Nothing is downloaded here; the worker does that when a run starts.
"""

from __future__ import annotations

import os
import re
import urllib.error
import urllib.request
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

from engine.errors import Fault, UserError, short, short_name

HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
HOSTS = ("huggingface.co", "hf.co", "hf-mirror.com")
OWNERS = {
    "distilgpt2": "distilbert", "gpt2": "openai-community", "gpt2-large": "openai-community",
    "gpt2-medium": "openai-community", "gpt2-xl": "openai-community", "openai-gpt": "openai-community",
}  # fmt: skip
"""Language models that are known without their owner, from before the hub had owners."""

_PASTED = " \t\r\n\u00a0\u200b\ufeff\"'<>`"
_SCHEME = re.compile(r"^(?:https?://|hf://|ssh://git@|git@)", re.IGNORECASE)
_VIEWS = ("tree", "blob", "resolve", "raw", "commits", "discussions")


def is_address(text: str) -> bool:
    """Whether a text names the hub itself, so that no directory can be meant."""
    return _path(text.strip(_PASTED)) is not None


def named(text: str) -> str:
    """The id that a text names ("owner/name"), or "" when it is none.

    Taken are owner/name, the same with @main behind it, the addresses of a model's pages on the hub, and the few old
    names without an owner; around them spaces, quotes and slashes.

    Raises:
        UserError: the text is an address of the hub, and of no model's main revision.
    """
    given = text.strip(_PASTED)
    path = _path(given)
    parts = [part for part in re.split(r"[?#]", given if path is None else path)[0].split("/") if part]
    parts, revision = _without_revision(parts)
    if path is None:
        if given.startswith(("/", ".", "~")) or (len(parts) > 2 and parts[2] not in _VIEWS):
            return ""
    elif parts[:2] == ["api", "models"] or parts[:1] == ["models"]:
        parts = parts[parts.index("models") + 1 :]
    hub_id = _id(parts)
    if not hub_id and path is not None:
        raise UserError(f"{short(given)} is not the address of a model on the hub; a model has an owner and a name")
    if hub_id and not revision and parts[2:3] and parts[2] in _VIEWS[:5]:
        revision = "".join(parts[3:4])
    if hub_id and revision not in ("", "main"):
        raise UserError(
            f"{short(given)} names the revision {short(revision)}, and only main can be used from the hub; "
            "download that revision and give its directory"
        )
    return hub_id


def _without_revision(parts: list[str]) -> tuple[list[str], str]:
    """A path without "@revision" behind the name, as the hub's own file systems write it, and that revision or ""."""
    if len(parts) < 2 or "@" not in parts[1]:
        return parts, ""
    name, _, revision = parts[1].partition("@")
    return [parts[0], name], "/".join([revision, *parts[2:]])


def _path(given: str) -> str | None:
    """What follows the hub's host in an address; None when the text does not begin with that host."""
    mirror = os.environ.get("HF_ENDPOINT", "").partition("://")[2].strip("/")
    scheme = _SCHEME.match(given)
    rest = given[scheme.end() :] if scheme else given
    for host in (*HOSTS, *([mirror] if mirror else [])):
        for begin in (f"www.{host}", host):
            if rest.lower().startswith(begin.lower()) and rest[len(begin) : len(begin) + 1] in ("", "/", ":"):
                return rest[len(begin) + 1 :]
    return rest if given.lower().startswith("hf://") else None


def _id(parts: list[str]) -> str:
    """The id at the beginning of a path, or ""."""
    if len(parts) == 1 and parts[0] in OWNERS:
        return f"{OWNERS[parts[0]]}/{parts[0]}"
    name = "/".join(parts[:2]).removesuffix(".git")
    return name if HUB_ID.match(name) and parts[0] not in ("datasets", "spaces", "collections", "docs") else ""


def cached(hub_id: str) -> Path:
    """The directory of a model in the hub's cache on this machine.

    Raises:
        UserError: the hub has no such model, or cannot be asked. Fault: it has, and this machine has not.
    """
    if (directory := here(hub_id)) is not None:
        return directory
    _ask(hub_id)
    raise not_here(hub_id)


def here(hub_id: str) -> Path | None:
    """The same without asking the hub: None where this machine has not got the model.

    Raises:
        UserError: the hub allows that name to nobody.
    """
    from huggingface_hub import try_to_load_from_cache

    try:
        file = try_to_load_from_cache(hub_id, "config.json")
    except ValueError as error:
        raise UserError(
            f"{short_name(hub_id)}: no such directory, and no model of the hub can have that name"
        ) from error
    return Path(file).parent if isinstance(file, str) else None


def not_here(hub_id: str) -> Fault:
    """The model is on the hub alone."""
    return Fault(f"{hub_id} is not on this machine: it is downloaded when the run starts, and not checked before")


class _TokenStaysAtHome(urllib.request.HTTPRedirectHandler):
    """Follows redirects, and sends the user's token to no other host than the hub."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """The next request, with the token where the host is the same."""
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None:
            following.method = req.get_method()
            if (following.type, following.host) == (req.type, req.host):
                following.unredirected_hdrs.update(req.unredirected_hdrs)
        return following


def _ask(hub_id: str) -> None:
    """Whether the hub has a model for this user; raises UserError when it says no, or cannot be asked.

    The token is the one that huggingface_hub would send: HF_TOKEN, or that of `hf auth login`.
    """
    from huggingface_hub.utils import build_hf_headers

    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    request = urllib.request.Request(f"{endpoint}/{hub_id}/resolve/main/config.json", method="HEAD")
    for name, value in build_hf_headers().items():
        request.add_unredirected_header(name.capitalize(), value)
    if os.environ.get("HF_HUB_OFFLINE", "0") not in ("", "0"):
        raise UserError(
            f"{short_name(hub_id)}: no such directory, not in the hub's cache here, and HF_HUB_OFFLINE is set"
        )
    try:
        urllib.request.build_opener(_TokenStaysAtHome).open(request, timeout=3).close()
    except urllib.error.HTTPError as error:
        if error.code not in (401, 403, 404):
            raise Fault(f"{hub_id}: the hub answers {error.code}; whether it has the model is unknown") from error
        why = "and the hub shows no such model (a gated one needs HF_TOKEN)"
        if request.has_header("Authorization"):
            why = "and the hub shows no such model to your token (access to a gated one is requested on its page)"
        raise UserError(f"{short_name(hub_id)}: no such directory, {why}") from error
    except (OSError, ValueError) as error:
        why = "and the hub cannot be reached to look for it there"
        raise UserError(f"{short_name(hub_id)}: no such directory, {why}") from error

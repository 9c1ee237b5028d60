"""The screens of one run in a browser of this machine, by textual-serve: for `llmzero attach RUN --web`.

Every tab that is opened is a process of its own that reads the run as any other viewer does. It listens on the loopback
alone and answers nothing without the token in the address. textual-serve is imported once a run is served.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import own_packages
from engine.errors import UserError
from engine.run.rundir import RunDirectory
from llmzero_tui.text.output import emit, note

if TYPE_CHECKING:
    from aiohttp import web

LOOPBACK = "127.0.0.1"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' "
    "'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
"""The page asks no other machine for anything (textual-serve's names a font of Google's), and tells its address to
none."""


def guard(token: bytes) -> Any:
    """A middleware: the same answer for a wrong token, for none, and for a page that is not there."""
    from aiohttp import web

    async def check(request: web.Request, handler: web.Handler) -> web.StreamResponse:
        given = request.match_info.get("token", "").encode("utf-8", "replace")
        if not secrets.compare_digest(given, token):
            raise web.HTTPNotFound
        return await handler(request)

    return web.middleware(check)


class WebView:
    """textual-serve behind a token: every path begins with it, and anything else is 404.

    Args:
        command: what the shell runs for each tab. title: of the page while a tab starts.
    """

    def __init__(self, command: str, title: str, token: str) -> None:
        from textual_serve.server import Server

        self._server = Server(command, host=LOOPBACK, title=title)
        self._token = token.encode()
        self._files = {
            path.relative_to(self._server.statics_path).as_posix(): path
            for path in Path(self._server.statics_path).rglob("*")
            if path.is_file()
        }
        self._tabs: set[asyncio.Task[object]] = set()

    def app(self) -> web.Application:
        """What answers requests."""
        import aiohttp_jinja2
        import jinja2
        from aiohttp import web

        app = web.Application(middlewares=[guard(self._token)])
        aiohttp_jinja2.setup(app, loader=jinja2.FileSystemLoader(self._server.templates_path))
        app.add_routes(
            [
                web.get("/{token}{slash:/?}", self._index),
                web.get("/{token}/ws", self._tab),
                web.get("/{token}/static/{name:.+}", self._static),
            ]
        )
        app.on_response_prepare.append(self._add_headers)
        app.on_shutdown.append(self._close_tabs)
        return app

    async def _add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers.update(HEADERS)

    async def _index(self, request: web.Request) -> web.StreamResponse:
        """The page, with addresses as its reader sees them: a forwarded port may be another one over there."""
        import aiohttp_jinja2
        from textual_serve.server import to_int

        here = request.path.rstrip("/")
        context = {
            "font_size": to_int(request.query.get("fontsize", "16"), 16),
            "app_websocket_url": f"ws://{request.host}{here}/ws",
            "config": {"static": {"url": f"{here}/static/"}},
            "application": {"name": self._server.title},
        }
        page: web.Response = aiohttp_jinja2.render_template("app_index.html", request, context)
        return page

    async def _tab(self, request: web.Request) -> web.StreamResponse:
        """A tab: its process lives until it is closed, or until the view ends."""
        tab = asyncio.current_task()
        assert tab is not None
        self._tabs.add(tab)
        try:
            answer: web.StreamResponse = await self._server.handle_websocket(request)
            return answer
        finally:
            self._tabs.discard(tab)

    async def _static(self, request: web.Request) -> web.StreamResponse:
        from aiohttp import web

        path = self._files.get(request.match_info["name"])
        if path is None:
            raise web.HTTPNotFound
        return web.FileResponse(path)

    async def _close_tabs(self, _app: web.Application) -> None:
        tabs = list(self._tabs)
        for tab in tabs:
            tab.cancel()
        await asyncio.gather(*tabs, return_exceptions=True)


def serve(directory: RunDirectory, port: int, *, steer: bool, ascii: bool) -> int:
    """Show a run in browsers until Ctrl-C.

    Args:
        directory: the run. port: of the loopback; 0: any that is free. steer: whether a browser may change anything.
        ascii: no glyphs beyond ASCII.

    Returns:
        0 after Ctrl-C; whatever trains goes on.

    Raises:
        UserError: the port is in use or not for this user.
    """
    from aiohttp import web

    listening = listen(port)
    token = secrets.token_urlsafe(32)
    port = listening.getsockname()[1]
    emit(f"http://{LOOPBACK}:{port}/{token}/")
    sys.stdout.flush()
    may = "whoever has this address steers the run" if steer else "it only watches; --steer lets it steer"
    note(f"{directory.name} in a browser of this machine: {may}; ctrl-c ends it, the engine continues")
    forward = f"ssh -N -L {port}:{LOOPBACK}:{port} {socket.gethostname()}"
    note(f"from another machine: {forward}, then the same address there")
    view = WebView(viewer(directory, steer=steer, ascii=ascii), directory.name, token)
    web.run_app(view.app(), sock=listening, access_log=None, print=None)
    return 0


def listen(port: int) -> socket.socket:
    """A socket on the loopback. Raises UserError where the port cannot be had."""
    try:
        return socket.create_server((LOOPBACK, port))
    except OSError as error:
        why = os.strerror(error.errno).lower() if error.errno else str(error)
        raise UserError(f"--web {port}: {why}; choose another port, or none for a free one") from error


def viewer(directory: RunDirectory, *, steer: bool, ascii: bool) -> str:
    """The shell command of one tab; the shell becomes it, so that ending it ends both."""
    words = [*own_packages.command("llmzero_tui"), "--runs-dir", str(directory.path.absolute().parent), "attach"]
    words += [directory.name, *([] if steer else ["--watch"]), *(["--ascii"] if ascii else [])]
    return f"exec {shlex.join(words)}"

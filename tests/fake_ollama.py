"""A stand-in for an Ollama server that speaks its wire protocol over real HTTP, and can be told how to misbehave.

The shapes follow the `ollama` client's types and the published API: NDJSON streams in chunked encoding, `{"error"}`
bodies, durations in nanoseconds; what a real server 0.24 was seen to do with prompts, pictures and contexts is done
here too (`limits`). It knows no model: what is answered says a script, see `fake_answers.py`.
"""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CREATED = "2026-11-22T12:00:00.000000Z"


@dataclass(frozen=True)
class Reply:
    """How one /api/chat is answered.

    Attributes:
        content, thinking: what the model says; sent in `parts` pieces with `pause` seconds between them.
        status: an HTTP error with `error` as its message instead, when not 200.
        raw: a line sent as it is in the place of the second piece.
        error: with status 200, an `{"error"}` line after the first piece.
        stall: after how many pieces nothing more comes; the connection stays open. drop: the same, and it is closed.
        reason: done_reason of the last line. last: more fields of the last line, in place of what stands there.
        done: False ends the stream without a last line, as a server does with an answer that repeats itself.
    """

    content: str = ""
    thinking: str = ""
    parts: int = 4
    pause: float = 0.0
    delay: float = 0.0
    status: int = 200
    error: str = ""
    raw: bytes | None = None
    stall: int | None = None
    drop: int | None = None
    reason: str = "stop"
    done: bool = True
    last: Mapping[str, Any] = field(default_factory=dict)


Script = Callable[["Asked"], Reply]


@dataclass(frozen=True)
class Asked:
    """One request as it came: path, the body's bytes, the body, and the role its schema belongs to."""

    number: int
    path: str
    raw: bytes
    body: dict[str, Any]

    @property
    def role(self) -> str:
        if "format" not in self.body:
            words = {"You read the curves": "analyst", "You decide how": "strategist", "You choose from": "selector"}
            return next((role for start, role in words.items() if self.text.startswith(start)), "watcher")
        properties = (self.body.get("format") or {}).get("properties", {})
        marks = {"reading": "analyst", "optimizer": "strategist", "stop": "watcher", "answer": "probe"}
        return next((role for key, role in marks.items() if key in properties), "selector")

    @property
    def text(self) -> str:
        return "\n".join(str(message.get("content", "")) for message in self.body.get("messages", ()))

    @property
    def is_repair(self) -> bool:
        return len(self.body.get("messages", ())) > 2


@dataclass
class Model:
    """What /api/tags and /api/show say of a model, and what it cannot do.

    Attributes:
        picture_tokens: what a picture takes. one_picture: more in a message are an error.
        asserts: it dies where prompt and answer together pass num_ctx, as qwen2.5-vl did.
        thinks_aloud: with a schema set its answer comes in `thinking`, as qwen3-vl's does.
        loses_schema: with `think: false` it is held to no schema.
    """

    name: str = "qwen3-vl:8b"
    capabilities: tuple[str, ...] = ("completion", "vision")
    size: int = 6_200_000_000
    context: int = 262_144
    digest: str = field(default_factory=lambda: uuid.uuid4().hex)
    picture_tokens: int = 700
    one_picture: bool = False
    asserts: bool = False
    thinks_aloud: bool = False
    loses_schema: bool = False


@dataclass
class FakeOllama:
    """The server. `script` decides each chat's answer; `asked` keeps every request.

    `serial` answers one chat after the other, as a server does that has room for one copy of its model. `cuts` is a
    server that knows no `truncate`: it shortens a prompt without a word. `ceiling`: it gives no longer context than
    that, whatever num_ctx says. `loads` are the runner options for which the
    model was loaded, one entry a load; `together` is the most chats that were ever open at once.
    """

    script: Script
    models: tuple[Model, ...] = (Model(),)
    asked: list[Asked] = field(default_factory=list)
    loaded: tuple[str, ...] = ()
    serial: bool = False
    cuts: bool = False
    ceiling: int = 1_000_000
    loads: list[dict[str, Any]] = field(default_factory=list)
    together: int = 0

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self.turn = threading.Lock()
        self.over = threading.Event()
        self.port = 0
        self._open = 0
        self._server = self._listen()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def chats(self) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == "/api/chat"]

    def close(self) -> None:
        self.over.set()
        self._stop()

    def down_for(self, seconds: float) -> None:
        """Refuse connections for a while, as a server does that is being restarted."""

        def pause() -> None:
            self._stop()
            self.over.wait(seconds)
            if not self.over.is_set():
                self._server = self._listen()

        threading.Thread(target=pause, daemon=True).start()

    def _stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _listen(self) -> ThreadingHTTPServer:
        fake = self

        class Handler(_Handler):
            server_of = fake

        server = _Server(("127.0.0.1", self.port), Handler)
        self.port = server.server_port
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return server

    def take(self, path: str, raw: bytes) -> Asked:
        with self._lock:
            asked = Asked(len(self.chats), path, raw, json.loads(raw) if raw else {})
            self.asked.append(asked)
            return asked

    @contextmanager
    def chatting(self) -> Iterator[None]:
        """Counts a chat while it is open."""
        with self._lock:
            self._open += 1
            self.together = max(self.together, self._open)
        try:
            yield
        finally:
            with self._lock:
                self._open -= 1

    def load(self, options: Mapping[str, Any]) -> None:
        """The model is loaded anew whenever what its runner is started with changes."""
        runner = {name: options[name] for name in RUNNER if name in options}
        with self._lock:
            if not self.loads or self.loads[-1] != runner:
                self.loads.append(runner)


RUNNER = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "use_mmap", "num_thread")
TOO_LONG = "the input length exceeds the context length"


@dataclass(frozen=True)
class Prompt:
    """What the server reads of a request: its tokens, and how many of its pictures."""

    tokens: int
    pictures: int


def limits(fake: FakeOllama, model: Model, asked: Asked) -> tuple[Prompt, Reply | None]:
    """What is read of a prompt, and the error instead of an answer where the model cannot take it."""
    pictures = sum(len(message.get("images", ())) for message in asked.body.get("messages", ()))
    words, most = len(asked.text) // 3, min(asked.body.get("options", {}).get("num_ctx", 4096), fake.ceiling)
    marks = [int(number) for number in re.findall(r"\[img-(\d+)\]", asked.text)]
    if wrong := [mark for mark in marks if mark >= pictures]:
        return Prompt(0, 0), Reply(status=500, error=f"invalid image index: {wrong[0]}")
    if model.one_picture and pictures > 1:
        text = "this model only supports one image while more than one image requested"
        return Prompt(0, 0), Reply(status=500, error=text)
    seen = pictures + len(marks)
    tokens = words + seen * model.picture_tokens
    if tokens <= most:
        return Prompt(tokens, seen), None
    if asked.body.get("truncate") is False and not fake.cuts:
        return Prompt(0, 0), Reply(status=400, error=TOO_LONG)
    return Prompt(min(words, most // 2), 0), None  # pictures go first, then all but the first tokens and the end


def spoken(model: Model, asked: Asked, reply: Reply) -> Reply:
    """A reply as this model gives it."""
    if model.loses_schema and asked.body.get("think") is False and "format" in asked.body:
        return replace(reply, content=f"Let me see. {reply.content[:20]}")
    if model.thinks_aloud and "format" in asked.body and reply.content:
        return replace(reply, content="", thinking=reply.content)
    return reply


class _Server(ThreadingHTTPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients hang up in the middle, as they should when they are out of patience; anything else is told."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_of: FakeOllama

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet: tests look at `asked`."""

    def do_GET(self) -> None:
        self.server_of.take(self.path, b"")
        models = self.server_of.models
        if self.path == "/api/version":
            self._json(200, {"version": "0.12.6"})
        elif self.path == "/api/tags":
            self._json(200, {"models": [_tag(model) for model in models]})
        elif self.path == "/api/ps":
            here = [_tag(m) | {"size_vram": m.size, "context_length": 8192} for m in models
                    if m.name in self.server_of.loaded]  # fmt: skip
            self._json(200, {"models": here})
        else:
            self._json(404, {"error": "not found"})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        asked = self.server_of.take(self.path, raw)
        model = next((m for m in self.server_of.models if m.name == asked.body.get("model")), None)
        if model is None:
            self._json(404, {"error": f"model '{asked.body.get('model')}' not found"})
        elif self.path == "/api/show":
            self._json(200, {
                "modelfile": "", "parameters": "", "template": "{{ .Prompt }}", "details": {"family": "qwen3vl"},
                "model_info": {"qwen3vl.context_length": model.context}, "capabilities": list(model.capabilities),
            })  # fmt: skip
        elif self.path == "/api/chat":
            with self.server_of.chatting(), self.server_of.turn if self.server_of.serial else nullcontext():
                self._limited(model, asked)
        else:
            self._json(404, {"error": "not found"})

    def _limited(self, model: Model, asked: Asked) -> None:
        """Answer within what the model can do."""
        options = asked.body.get("options", {})
        self.server_of.load(options)
        prompt, error = limits(self.server_of, model, asked)
        reply = error or spoken(model, asked, self.server_of.script(asked))
        answer = (len(reply.content) + len(reply.thinking)) // 3
        if model.asserts and reply.status == 200 and prompt.tokens + answer > options.get("num_ctx", 4096):
            self.server_of.loads.append({})
            text = "llama runner process has terminated: GGML_ASSERT(n_tokens <= n_ctx) failed"
            reply = Reply(status=500, error=text)
        self._chat(asked, replace(reply, last={"prompt_eval_count": prompt.tokens, **reply.last}))

    def _chat(self, asked: Asked, reply: Reply) -> None:
        if reply.delay:
            self.server_of.over.wait(reply.delay)
        if reply.status != 200:
            self._json(reply.status, {"error": reply.error})
            return
        try:
            self._stream(asked, reply)
        except OSError:
            self.close_connection = True  # the client hung up

    def _stream(self, asked: Asked, reply: Reply) -> None:
        if reply.drop == 0:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        if reply.stall == 0:
            self._hold()
            return
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        begin = time.monotonic()
        for i, message in enumerate(_pieces(reply)):
            if i and reply.pause:
                self.server_of.over.wait(reply.pause)
            if reply.stall == i:
                self._hold()
                return
            if reply.drop == i:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            if i == 1 and reply.raw is not None:
                self._chunk(reply.raw)
            if i == 1 and reply.error:
                self._line({"error": reply.error})
                self._chunk(b"")
                return
            self._line(_part(asked, message))
        if not reply.done:
            self._chunk(b"")
            return
        took = int(1e9 * (time.monotonic() - begin))
        self._line(_part(asked, {"content": ""}) | {
            "done": True, "done_reason": reply.reason, "total_duration": took, "load_duration": 1_000_000,
            "prompt_eval_duration": took // 2,
            "eval_count": (len(reply.content) + len(reply.thinking)) // 3, "eval_duration": took // 2, **reply.last,
        })  # fmt: skip
        self._chunk(b"")

    def _hold(self) -> None:
        """Say nothing until the client hangs up or the test is over."""
        self.close_connection = True
        self.connection.settimeout(0.05)
        while not self.server_of.over.is_set():
            try:
                if not self.connection.recv(1):
                    return
            except TimeoutError:
                continue
            except OSError:
                return

    def _line(self, data: dict[str, Any]) -> None:
        self._chunk(json.dumps(data).encode() + b"\n")

    def _chunk(self, data: bytes) -> None:
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def _json(self, status: int, data: dict[str, Any]) -> None:
        body = json.dumps(data).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True


def _pieces(reply: Reply) -> Iterator[dict[str, str]]:
    for key in ("thinking", "content"):
        text = getattr(reply, key)
        size = max(1, -(-len(text) // reply.parts))
        for at in range(0, len(text), size):
            yield {"content": "", key: text[at : at + size]}


def _part(asked: Asked, message: dict[str, str]) -> dict[str, Any]:
    said = {"role": "assistant"} | message
    return {"model": asked.body["model"], "created_at": CREATED, "message": said, "done": False}


def _tag(model: Model) -> dict[str, Any]:
    return {
        "name": model.name, "model": model.name, "modified_at": CREATED, "size": model.size, "digest": model.digest,
        "details": {"format": "gguf", "family": "qwen3vl", "parameter_size": "8.8B", "quantization_level": "Q4_K_M"},
    }  # fmt: skip

"""One conversation with an Ollama server: a chat that streams, with every way it can fail as a typed fault.

A thin layer over the `ollama` client: it adds a limit on the whole answer, one on silence within it, cancelling from
another thread, and turns, because a server answers one request after the other. No retries and no judgement of the
answer here; `dialogue.py` is the only caller besides the probe.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx
import pydantic

from engine.advisors.hostile import one_line, without_image_marks
from engine.advisors.turns import Turns, TurnsClosed
from engine.errors import Fault
from engine.host.ollama_host import without

# The package makes a client of its own where it is imported: a SOCKS proxy, a certificate file that is gone or an odd
# OLLAMA_HOST would end the import. Ours goes past all of them.
with without("ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "OLLAMA_HOST", "SSL_CERT_FILE", "SSL_CERT_DIR"):
    import ollama

LONGEST_ANSWER = 200_000
"""Characters after which an answer is cut off: a model that never stops must not fill the memory."""

LARGEST_COUNT = 2**31 - 1
"""The highest count of tokens that is believed; what a server says beyond it, or below 0, stands for unknown."""

LONGEST_NANOSECONDS = 86_400 * 10**9
CONNECT_SECONDS = 5.0
T = TypeVar("T")


class OllamaFault(Fault):
    """A call that gave no answer. `kind` is a word or two for the row: refused, timeout, too long, http 500 …"""

    def __init__(self, kind: str, message: str, reply: ChatReply | None = None) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.reply = reply


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is sent to /api/chat. Images are PNG bytes."""

    model: str
    system: str
    text: str
    images: tuple[bytes, ...] = ()
    schema: dict[str, Any] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    keep_alive: float | str = "10m"
    think: bool | None = None
    turns: tuple[tuple[str, str], ...] = ()  # (role, text): what was said after the question, for the repair


@dataclass(frozen=True, slots=True)
class ChatReply:
    """What came back, as far as it came. Tokens are the server's counts, 0 when it gave none."""

    text: str
    thinking: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    reason: str = ""  # why it ended: "stop", "length"
    milliseconds: float = 0.0
    prompt_seconds: float = 0.0  # the server's, for reading the prompt and for writing
    answer_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What /api/show says of a model. `context` is its longest context in tokens, 0 when unknown; `digest` is "" until
    it is asked for, see `OllamaClient.digest`."""

    name: str
    vision: bool
    thinking: bool
    context: int
    digest: str = ""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in the server's memory (/api/ps); bytes in all and on the GPU."""

    name: str
    size: int
    vram: int


class OllamaClient:
    """Blocking calls to one server, each with its own event loop; `cancel` ends those in progress from any thread."""

    def __init__(self, host: str, *, timeout: float, stall: float) -> None:
        """`timeout`: seconds for a whole call. `stall`: seconds of silence once an answer has begun."""
        self.host = host
        self._timeout = timeout
        self._stall = stall
        self._lock = threading.Lock()
        self._turns = Turns()
        self._running: set[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = set()
        self._closed = False

    def cancel(self) -> None:
        """End every call in progress, and refuse further ones: each raises an OllamaFault of kind "cancelled"."""
        with self._lock:
            self._closed = True
            for loop, task in self._running:
                loop.call_soon_threadsafe(task.cancel)
        self._turns.close()

    @contextmanager
    def turn(self, urgency: int) -> Iterator[None]:
        """Wait until the server is ours: a second request would wait in its queue while the time-out runs.

        Args:
            urgency: lower goes first.

        Raises:
            OllamaFault: of kind "cancelled".
        """
        try:
            with self._turns.turn(urgency):
                yield
        except TurnsClosed:
            raise OllamaFault("cancelled", "the call was cancelled") from None

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return self._turns.waiting

    def chat(self, question: ChatRequest, on_text: Callable[[str], None] = lambda _: None) -> ChatReply:
        """Ask, and read the answer as it streams in; `on_text` gets the text so far.

        Raises:
            OllamaFault: no complete answer came; `reply` holds what did.
        """
        partial = _PartialReply()
        try:
            self._call(lambda client: self._chat(client, question, partial, on_text), self._timeout)
        except OllamaFault as fault:
            fault.reply = partial.reply()
            raise
        return partial.reply()

    def card(self, model: str, timeout: float = 5.0) -> ModelCard:
        """What the model can do. Raises OllamaFault, of kind "http 404" when the server lacks it."""

        async def show(client: ollama.AsyncClient) -> ModelCard:
            shown = await self._answer(client.show(model))
            abilities = shown.capabilities or []
            context = [v for k, v in (shown.modelinfo or {}).items() if k.endswith(".context_length")]
            return ModelCard(
                model, "vision" in abilities, "thinking" in abilities, _count(context[0] if context else 0)
            )

        return self._call(show, min(timeout, self._timeout))

    def loaded(self, timeout: float = 5.0) -> tuple[LoadedModel, ...]:
        """The models in the server's memory."""

        async def ps(client: ollama.AsyncClient) -> tuple[LoadedModel, ...]:
            running = await self._answer(client.ps())
            return tuple(LoadedModel(m.model or "", int(m.size or 0), int(m.size_vram or 0)) for m in running.models)

        return self._call(ps, min(timeout, self._timeout))

    def digest(self, model: str, timeout: float = 5.0) -> str:
        """What tells the model's weights from others', "" when the server does not say."""

        async def tags(client: ollama.AsyncClient) -> str:
            listed = await self._answer(client.list())
            names = (model, f"{model}:latest")
            return next((m.digest or "" for m in listed.models if m.model in names), "")

        return self._call(tags, min(timeout, self._timeout))

    def sizes(self, timeout: float = 5.0) -> dict[str, int]:
        """The models on the server's disk with their sizes in bytes."""

        async def tags(client: ollama.AsyncClient) -> dict[str, int]:
            listed = await self._answer(client.list())
            return {m.model: int(m.size or 0) for m in listed.models if m.model}

        return self._call(tags, min(timeout, self._timeout))

    # ---- one call ---------------------------------------------------------------------------------------------------

    def _call(self, ask: Callable[[_Server], Awaitable[T]], seconds: float) -> T:
        return asyncio.run(self._guarded(ask, seconds))

    async def _guarded(self, ask: Callable[[_Server], Awaitable[T]], seconds: float) -> T:
        """Run one call as a task that `cancel` can reach, and translate whatever goes wrong."""
        task = asyncio.create_task(self._connected(ask, seconds))
        entry = (asyncio.get_running_loop(), task)
        with self._lock:
            if self._closed:
                task.cancel()
            self._running.add(entry)
        try:
            return await task
        except asyncio.CancelledError:
            raise OllamaFault("cancelled", "the call was cancelled") from None
        finally:
            with self._lock:
                self._running.discard(entry)

    async def _connected(self, ask: Callable[[_Server], Awaitable[T]], seconds: float) -> T:
        limits = httpx.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
        try:
            # The server is here or near: a proxy of the environment has no business in between.
            client = _Server(
                host=self.host, timeout=limits, trust_env=False, follow_redirects=False,
                verify=self.host.startswith("https"),  # loading certificates costs 60 ms a call, for nothing on http
            )  # fmt: skip
        except (ValueError, httpx.InvalidURL) as error:
            raise OllamaFault("address", f"{self.host} is not a valid address: {one_line(str(error), 120)}") from error
        try:
            async with client, asyncio.timeout(seconds):
                return await ask(client)
        except TimeoutError as error:
            raise OllamaFault("timeout", f"no complete answer in {seconds:g} s") from error

    async def _chat(
        self, client: _Server, question: ChatRequest, partial: _PartialReply, on_text: Callable[[str], None]
    ) -> None:
        """To the end of the answer. Waits for the first part as long as the call may take, then `stall` a part."""
        stream = await client.answer(body(question))
        while True:
            try:
                async with asyncio.timeout(self._stall if partial.begun else None):
                    part = await self._answer(anext(stream, None))
            except TimeoutError as error:
                raise OllamaFault("stall", f"the answer stopped for {self._stall:g} s") from error
            if part is None and partial.length:
                raise OllamaFault("repetition", "the server ended an answer that repeats itself")
            if part is None:
                raise OllamaFault("closed", "the stream ended before the answer was done")
            if partial.take(part):
                on_text(partial.text or partial.thinking)
            if part.done:
                return
            if partial.length > LONGEST_ANSWER:
                raise OllamaFault("endless", f"more than {LONGEST_ANSWER} characters")

    async def _answer(self, coming: Awaitable[T]) -> T:
        """Wait for the client, and translate whatever it raises."""
        try:
            return await coming
        except TimeoutError:
            raise  # ours: the limit on the whole call, or on silence
        except _TRANSPORT as error:
            raise _translated(error, self.host) from error


class _PartialReply:
    """An answer that is being read."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self.begun = False
        self.text = ""
        self.thinking = ""
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._reason = ""
        self._prompt_seconds = self._answer_seconds = 0.0

    def take(self, part: ollama.ChatResponse) -> bool:
        """Add a part; whether it brought text."""
        self.begun = True
        text, thinking = part.message.content or "", part.message.thinking or ""
        self.text += text
        self.thinking += thinking
        self._prompt_tokens = _count(part.prompt_eval_count) or self._prompt_tokens
        self._completion_tokens = _count(part.eval_count) or self._completion_tokens
        self._reason = part.done_reason or self._reason
        self._prompt_seconds = _count(part.prompt_eval_duration, LONGEST_NANOSECONDS) / 1e9
        self._answer_seconds = _count(part.eval_duration, LONGEST_NANOSECONDS) / 1e9
        return bool(text or thinking)

    @property
    def length(self) -> int:
        return len(self.text) + len(self.thinking)

    def reply(self) -> ChatReply:
        return ChatReply(
            self.text, self.thinking, self._prompt_tokens, self._completion_tokens, self._reason,
            1000 * (time.monotonic() - self._begin), self._prompt_seconds, self._answer_seconds,
        )  # fmt: skip


def _count(value: object, most: int = LARGEST_COUNT) -> int:
    """A server's count as a number that every table can hold; 0 for what is none."""
    return value if isinstance(value, int) and 0 <= value <= most else 0


class _Server(ollama.AsyncClient):
    """The client with a chat whose body is ours: its own `chat` has no arguments for `truncate` and `shift`."""

    async def answer(self, sent: dict[str, Any]) -> AsyncIterator[ollama.ChatResponse]:
        """The parts of an answer as they stream in."""
        return await self._request(ollama.ChatResponse, "POST", "/api/chat", json=sent, stream=True)


def body(question: ChatRequest, names: Sequence[str] | None = None) -> dict[str, Any]:
    """The body of /api/chat; with `names` each image's file name stands in place of it.

    A prompt longer than the context is refused, not cut without a word (`truncate`), and an answer that reaches its end
    ends there (`shift`). Text in which the server would see a picture is broken up.
    """
    user: dict[str, Any] = {"role": "user", "content": without_image_marks(question.text)}
    if question.images:
        encoded = [base64.b64encode(image).decode() for image in question.images]
        user["images"] = encoded if names is None else [f"<{name}>" for name in names]
    later = [{"role": role, "content": without_image_marks(text)} for role, text in question.turns]
    system = {"role": "system", "content": without_image_marks(question.system)}
    sent: dict[str, Any] = {"model": question.model, "messages": [system, user, *later], "stream": True}
    if question.think is not None:
        sent["think"] = question.think
    if question.schema is not None:
        sent["format"] = question.schema
    return sent | {
        "options": question.options, "keep_alive": question.keep_alive, "truncate": False, "shift": False
    }  # fmt: skip


def as_sent(question: ChatRequest, names: Sequence[str]) -> str:
    """The request's body as JSON for the row: as it goes over the wire, with each image's file name in place of it."""
    return json.dumps(body(question, names), ensure_ascii=False)


_TOO_LONG = re.compile(r"(exceeds|longer than) the (available )?context|GGML_ASSERT", re.IGNORECASE)
"""What a server says of a prompt that does not fit; of a model that dies when prompt and answer together do not."""
_TRANSPORT = (
    ollama.ResponseError, ollama.RequestError, httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError,
    ValueError, pydantic.ValidationError, AttributeError, TypeError, RecursionError,
)  # fmt: skip
"""What the client raises. AttributeError and TypeError are its answer to a line of JSON that is no object,
RecursionError to one that is nested without end."""


def _translated(error: Exception, host: str) -> OllamaFault:
    """A typed fault for what the client raised."""
    text = one_line(str(error) or type(error).__name__, 300)
    match error:
        case ollama.ResponseError() if _TOO_LONG.search(str(error.error)):
            return OllamaFault("too long", one_line(str(error.error), 300))
        case ollama.ResponseError() if error.status_code > 0:
            return OllamaFault(f"http {error.status_code}", one_line(str(error.error), 300))
        case ollama.ResponseError():
            return OllamaFault("server error", one_line(str(error.error), 300))
        case httpx.ConnectTimeout():
            return OllamaFault("refused", f"{host} does not answer")
        case httpx.TimeoutException():
            return OllamaFault("timeout", f"no answer from {host}")
        case httpx.ConnectError() | ConnectionError():
            return OllamaFault("refused", f"nothing answers at {host}")
        case httpx.TransportError() | OSError():
            return OllamaFault("closed", text)
        case _:
            return OllamaFault("protocol", f"{host} does not answer like an Ollama server: {text}")


__all__ = [
    "LONGEST_ANSWER",
    "ChatReply",
    "ChatRequest",
    "LoadedModel",
    "ModelCard",
    "OllamaClient",
    "OllamaFault",
    "as_sent",
    "body",
]

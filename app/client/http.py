"""The client, sync and async: every call is one line, made from its builder in ``calls``."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from time import sleep
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

import httpx

from app.client import answers, calls, trading, transport
from app.client import runs as runs_calls
from app.client.address import PREFIX, server_url
from app.client.calls import Call
from app.client.problems import problem_of, unreachable
from app.client.run_answers import RunDetail
from app.client.sockets import AsyncStream, Stream
from app.client.stream import StreamProtocol, Subscription, stream
from app.client.waiting import LOOK_S, RUNS, tell_progress, tell_run
from app.errors import RequestError, TapedeckError
from app.progress import progress_bar

P = ParamSpec("P")
T = TypeVar("T")


class _Wire:
    """What both clients know: where the server is, and how requests and answers look."""

    def __init__(self, url: str, api_key: str | None, timeout_s: float) -> None:
        self.url = server_url(url)
        self.timeout_s = timeout_s
        self.headers = {} if api_key is None else {"Authorization": f"Bearer {api_key}"}

    def options(self) -> dict[str, Any]:
        return {"headers": self.headers, "timeout": self.timeout_s}

    def request(self, call: Call[T]) -> dict[str, Any]:
        """Arguments of ``httpx``'s ``request``."""
        read_s = None if call.wait_s is None else self.timeout_s + call.wait_s
        return {
            "method": call.method, "url": self.url + PREFIX + call.path, "params": call.params,
            "json": call.body, "headers": call.headers,
            "timeout": httpx.Timeout(self.timeout_s, read=read_s),
        }  # fmt: skip

    def answer(self, call: Call[T], response: httpx.Response) -> T:
        """The typed answer, or raises the ServerProblem that it is."""
        status = response.status_code
        if status >= 300 and status not in call.answers:
            raise problem_of(status, response.reason_phrase, response.content)
        return call.read(status, response.content)

    def failed(self, call: Call[T], error: Exception) -> TapedeckError:
        """The sentence of a request that had no answer."""
        if isinstance(error, httpx.InvalidURL):
            return RequestError(f"not a server's URL: {self.url!r} ({error})")
        waited = isinstance(error, httpx.ReadTimeout)
        return unreachable(self.url, error, self.timeout_s + (call.wait_s or 0) if waited else None)

    def protocol(self, subscription: Subscription) -> StreamProtocol:
        return StreamProtocol(self.url, subscription)


_FAILURES = (httpx.RequestError, httpx.InvalidURL)


def _sync(build: Callable[P, Call[T]]) -> Callable[Concatenate[Tapedeck, P], T]:
    @wraps(build)
    def method(self: Tapedeck, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._send(build(*args, **kwargs))

    return method


def _async(
    build: Callable[P, Call[T]],
) -> Callable[Concatenate[AsyncTapedeck, P], Coroutine[Any, Any, T]]:
    @wraps(build)
    async def method(self: AsyncTapedeck, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._send(build(*args, **kwargs))

    return method


def _sync_stream(build: Callable[P, Subscription]) -> Callable[Concatenate[Tapedeck, P], Stream]:
    @wraps(build)
    def method(self: Tapedeck, /, *args: P.args, **kwargs: P.kwargs) -> Stream:
        wire = self._wire
        protocol = wire.protocol(build(*args, **kwargs))
        return Stream(protocol, wire.headers, wire.timeout_s, self.session)

    return method


def _async_stream(
    build: Callable[P, Subscription],
) -> Callable[Concatenate[AsyncTapedeck, P], AsyncStream]:
    @wraps(build)
    def method(self: AsyncTapedeck, /, *args: P.args, **kwargs: P.kwargs) -> AsyncStream:
        wire = self._wire
        protocol = wire.protocol(build(*args, **kwargs))
        return AsyncStream(protocol, wire.headers, wire.timeout_s, self.session)

    return method


class Tapedeck:
    """A Tapedeck server at ``url``. Close it, or use it in a ``with``.

    Calls raise ServerProblem where the server refuses and ConnectionProblem where there is
    none. ``timeout_s`` is for the network: what a call may wait for comes on top.
    """

    def __init__(self, url: str, api_key: str | None = None, *, timeout_s: float = 30.0) -> None:
        self._wire = _Wire(url, api_key, timeout_s)
        self._http = httpx.Client(**self._wire.options())

    def __enter__(self) -> Tapedeck:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the connections back."""
        self._http.close()

    def _send(self, call: Call[T]) -> T:
        try:
            response = self._http.request(**self._wire.request(call))
        except _FAILURES as error:
            raise self._wire.failed(call, error) from error
        return self._wire.answer(call, response)

    def wait(self, *, progress: bool = False, every_s: float = LOOK_S) -> answers.Session:
        """Waits while the session runs, and returns it: paused or ended.

        ``progress`` shows a bar, in a terminal or a notebook; it looks each ``every_s`` seconds.
        """
        with progress_bar("session", progress) as tell:
            while (now := self.session()).state in RUNS:
                tell_progress(now.progress, tell)
                sleep(every_s)
            tell_progress(now.progress, tell)
        return now

    def wait_run(
        self, run_id: str, *, progress: bool = False, every_s: float = LOOK_S
    ) -> RunDetail:
        """As ``wait``, for a run of the server, to its end."""
        with progress_bar(run_id, progress) as tell:
            while not (now := self.run(run_id)).ended:
                tell_progress(now.progress, tell)
                sleep(every_s)
            tell_run(now, tell)
        return now

    session = _sync(calls.session)
    start = _sync(calls.start)
    plan = _sync(calls.plan)
    pause = _sync(calls.pause)
    resume = _sync(calls.resume)
    stop = _sync(calls.stop)
    step = _sync(calls.step)
    seek = _sync(transport.seek)
    run_to = _sync(transport.run_to)
    set_speed = _sync(calls.set_speed)
    days = _sync(calls.days)
    time = _sync(calls.time)
    streams = _sync(calls.streams)
    data = _sync(calls.data)
    bars = _sync(calls.bars)
    trades = _sync(calls.trades)
    quotes = _sync(calls.quotes)
    quality = _sync(calls.quality)
    catalog = _sync(calls.catalog)
    health = _sync(calls.health)
    ready = _sync(calls.ready)
    metrics = _sync(calls.metrics)
    configs = _sync(runs_calls.configs)
    submit_run = _sync(runs_calls.submit_run)
    runs = _sync(runs_calls.runs)
    run = _sync(runs_calls.run)
    run_report = _sync(runs_calls.run_report)
    run_equity = _sync(runs_calls.run_equity)
    cancel_run = _sync(runs_calls.cancel_run)
    resume_run = _sync(runs_calls.resume_run)
    delete_run = _sync(runs_calls.delete_run)
    start_trading = _sync(trading.start_trading)
    account = _sync(trading.account)
    positions = _sync(trading.positions)
    orders = _sync(trading.orders)
    order = _sync(trading.order)
    why = _sync(trading.why)
    fills = _sync(trading.fills)
    signals = _sync(trading.signals)
    send_order = _sync(trading.send_order)
    cancel_order = _sync(trading.cancel_order)
    stream = _sync_stream(stream)


class AsyncTapedeck:
    """As ``Tapedeck``, for asyncio."""

    def __init__(self, url: str, api_key: str | None = None, *, timeout_s: float = 30.0) -> None:
        self._wire = _Wire(url, api_key, timeout_s)
        self._http = httpx.AsyncClient(**self._wire.options())

    async def __aenter__(self) -> AsyncTapedeck:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Gives the connections back."""
        await self._http.aclose()

    async def _send(self, call: Call[T]) -> T:
        try:
            response = await self._http.request(**self._wire.request(call))
        except _FAILURES as error:
            raise self._wire.failed(call, error) from error
        return self._wire.answer(call, response)

    async def wait(self, *, progress: bool = False, every_s: float = LOOK_S) -> answers.Session:
        """As ``Tapedeck.wait``."""
        with progress_bar("session", progress) as tell:
            while (now := await self.session()).state in RUNS:
                tell_progress(now.progress, tell)
                await asyncio.sleep(every_s)
            tell_progress(now.progress, tell)
        return now

    async def wait_run(
        self, run_id: str, *, progress: bool = False, every_s: float = LOOK_S
    ) -> RunDetail:
        """As ``Tapedeck.wait_run``."""
        with progress_bar(run_id, progress) as tell:
            while not (now := await self.run(run_id)).ended:
                tell_progress(now.progress, tell)
                await asyncio.sleep(every_s)
            tell_run(now, tell)
        return now

    session = _async(calls.session)
    start = _async(calls.start)
    plan = _async(calls.plan)
    pause = _async(calls.pause)
    resume = _async(calls.resume)
    stop = _async(calls.stop)
    step = _async(calls.step)
    seek = _async(transport.seek)
    run_to = _async(transport.run_to)
    set_speed = _async(calls.set_speed)
    days = _async(calls.days)
    time = _async(calls.time)
    streams = _async(calls.streams)
    data = _async(calls.data)
    bars = _async(calls.bars)
    trades = _async(calls.trades)
    quotes = _async(calls.quotes)
    quality = _async(calls.quality)
    catalog = _async(calls.catalog)
    health = _async(calls.health)
    ready = _async(calls.ready)
    metrics = _async(calls.metrics)
    configs = _async(runs_calls.configs)
    submit_run = _async(runs_calls.submit_run)
    runs = _async(runs_calls.runs)
    run = _async(runs_calls.run)
    run_report = _async(runs_calls.run_report)
    run_equity = _async(runs_calls.run_equity)
    cancel_run = _async(runs_calls.cancel_run)
    resume_run = _async(runs_calls.resume_run)
    delete_run = _async(runs_calls.delete_run)
    start_trading = _async(trading.start_trading)
    account = _async(trading.account)
    positions = _async(trading.positions)
    orders = _async(trading.orders)
    order = _async(trading.order)
    why = _async(trading.why)
    fills = _async(trading.fills)
    signals = _async(trading.signals)
    send_order = _async(trading.send_order)
    cancel_order = _async(trading.cancel_order)
    stream = _async_stream(stream)

"""The context of a strategy in lockstep: it does all by itself, and notes what was wished."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, time
from functools import wraps
from typing import Any

from app.times import datetime_to_ns, format_time
from app.trading.services.strategy.book import Book
from app.trading.services.strategy.ctx import Context
from app.trading.services.strategy.line import WISHES
from app.trading.services.strategy.seat import Seat

Wish = tuple[str, dict[str, Any]]


class NotingContext(Context):
    """``wishes`` are the calls that succeeded, in order, not those that they make of themselves."""

    def __init__(self, seat: Seat, book: Book) -> None:
        super().__init__(seat, book)
        self.wishes: list[Wish] = []
        self._within = False

    def note(self, name: str, call: Callable[[], Any], arguments: Mapping[str, Any]) -> Any:
        if self._within or self._seat.warming:
            return call()
        self._within = True
        try:
            made = call()
        finally:
            self._within = False
        self.wishes.append((name, {k: _plain(v) for k, v in arguments.items()}))
        return made

    def take_wishes(self) -> list[Wish]:
        wishes, self.wishes = self.wishes, []
        return wishes


def _noted(name: str) -> Callable[..., Any]:
    method = getattr(Context, name)
    signature = inspect.signature(method)

    @wraps(method)
    def call(self: NotingContext, *args: Any, **kwargs: Any) -> Any:
        try:
            given = dict(signature.bind(self, *args, **kwargs).arguments)
        except TypeError:
            return method(self, *args, **kwargs)  # which says what is wrong
        del given["self"]
        if name == "oco":  # an iterator can be read once
            given["orders"] = _listed(given["orders"])
        elif name == "schedule":
            given["name"] = given.get("name") or given.get("when") or str(given.get("at"))
        return self.note(name, lambda: method(self, **given), given)

    return call


def _listed(orders: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return list(orders)


for _name in WISHES:
    setattr(NotingContext, _name, _noted(_name))


def _plain(value: Any) -> Any:
    """As it can be sent; the same to the context at the other end."""
    if isinstance(value, datetime):
        return format_time(datetime_to_ns(value))
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    item = getattr(value, "item", None)  # of numpy's numbers
    return item() if callable(item) else value

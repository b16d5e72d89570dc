"""Parameters that a strategy declares: typed by their default, bounded, checked against YAML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Self, TypeVar, overload

from app.errors import RequestError, nearest

T = TypeVar("T", int, float, str, bool)

_TYPES = (bool, int, float, str)


class ParamError(RequestError):
    """A parameter that cannot be; ``param`` is its name where it is a declared one."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class Param(Generic[T]):
    """A parameter, as a class attribute of a strategy: ``fast = Param(30, ge=1, le=500)``.

    Its type is its default's: int, float, str or bool. An int is taken for a float, and nothing
    else is converted. Bounds are of numbers; ``choices`` are all that is allowed. On an instance
    the attribute is the value itself.
    """

    def __init__(
        self, default: T, *, ge: float | None = None, gt: float | None = None,
        le: float | None = None, lt: float | None = None, choices: Sequence[T] = (),
        doc: str = "",
    ) -> None:  # fmt: skip
        self.default: T = default
        self.choices: tuple[T, ...] = tuple(choices)
        self.ge, self.gt, self.le, self.lt = ge, gt, le, lt
        self.doc, self.name = doc, ""
        if type(default) not in _TYPES:
            raise ParamError(
                f"a parameter's default is {default!r} ({type(default).__name__}); "
                "allowed: int, float, str, bool"
            )
        self.check(default)

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...
    def __get__(self, instance: object | None, owner: type) -> Self | T:
        return self if instance is None else self.default

    @property
    def needed(self) -> str:
        """What is allowed, in words: ``int, >= 1, <= 500``."""
        bounds = ((">=", self.ge), (">", self.gt), ("<=", self.le), ("<", self.lt))
        parts = [type(self.default).__name__]
        parts += [f"{sign} {bound:g}" for sign, bound in bounds if bound is not None]
        if self.choices:
            parts.append("one of " + ", ".join(map(repr, self.choices)))
        return ", ".join(parts)

    def check(self, value: Any) -> T:
        """The value as it is to be used; ParamError says what is allowed."""
        kind = type(self.default)
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind or not self._fits(value):
            name = f"parameter {self.name!r}" if self.name else "a parameter's default"
            text = f"{name} is {value!r} ({type(value).__name__}); needed: {self.needed}"
            raise ParamError(text, self.name or None)
        found: T = value
        return found

    def _fits(self, value: Any) -> bool:
        # Written so that NaN fits no bound.
        return (
            (self.ge is None or value >= self.ge)
            and (self.gt is None or value > self.gt)
            and (self.le is None or value <= self.le)
            and (self.lt is None or value < self.lt)
            and (not self.choices or value in self.choices)
        )


def declared(strategy: type) -> dict[str, Param[Any]]:
    """A class's parameters by name, those it inherits too."""
    found: dict[str, Param[Any]] = {}
    for base in reversed(strategy.__mro__):
        for name, value in vars(base).items():
            if isinstance(value, Param):
                found[name] = value
            else:
                found.pop(name, None)
    return found


def read_params(strategy: type, given: Mapping[str, Any]) -> dict[str, Any]:
    """The value of every declared parameter; ParamError for unknown names and wrong values."""
    known = declared(strategy)
    for name in given:
        if name not in known:
            close = ", ".join(nearest(name, known)) or "none"
            there = ", ".join(known) or "none"
            raise ParamError(
                f"unknown parameter {name!r}; nearest: {close}; {strategy.__name__} has: {there}"
            )
    return {n: p.check(given[n]) if n in given else p.default for n, p in known.items()}

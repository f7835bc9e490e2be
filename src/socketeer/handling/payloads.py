"""Typed payloads: what came becomes what the annotations of a handler ask for, or is refused.

Annotations are read once, when a handler is registered. msgspec checks builtins, dataclasses, ``TypedDict`` and
``msgspec.Struct``, pydantic whatever has a model or a constraint of its own in it. A parameter without annotation, or
with one that nothing can be checked against (``Any``, a protocol, a class of the application), is passed on as it came.
"""

from __future__ import annotations

import inspect
import sys
import typing
from collections.abc import (
    Callable,
    Collection,
    Iterable,
    Mapping,
    MutableMapping,
    MutableSequence,
    MutableSet,
    Sequence,
    Set,
)
from dataclasses import is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache, partial
from types import CodeType, FrameType, NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin
from uuid import UUID

import msgspec

__all__ = ["Misfit", "Payload", "evaluate", "is_model", "is_typed_dict", "read_payload"]

_LONGEST_REASON = 200
_MOST_CONVERTERS = 1000
_ANYTHING = (inspect.Parameter.empty, Any, object)
_BUILTINS = (str, int, float, bool, bytes, list, dict)
_KNOWN: frozenset[Any] = frozenset(
    {*_BUILTINS, *_ANYTHING, NoneType, UnionType, Union, bytearray, memoryview, tuple, set, frozenset}
    | {datetime, date, time, timedelta, UUID, Decimal, msgspec.UnsetType}
    | {Collection, Sequence, MutableSequence, Set, MutableSet, Mapping, MutableMapping}
)


class Misfit(Exception):
    """Say which argument does not fit, where in it, and how."""

    def __init__(self, argument: str, path: str, reason: str) -> None:
        printable = reason if reason.isprintable() else ascii(reason)[1:-1]
        self.argument = argument
        self.path = _cut(path if path.isprintable() else ascii(path)[1:-1])
        self.reason = _cut(printable)
        dot = "." if path and not path.startswith("[") else ""
        super().__init__(f"{argument}{dot}{self.path}: {self.reason}")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


class _Converter(NamedTuple):
    """Hold how to convert one argument. A value of exactly the class ``passes`` fits as it is."""

    passes: type | None
    convert: Callable[[Any], Any]
    locate: Callable[[Exception], tuple[str, str] | None]
    """Give the path and the reason of a value that does not fit; None for an exception that tells something else."""


_CONVERTERS: dict[Any, _Converter | None] = {}


class Payload:
    """Convert the arguments of the events of one handler."""

    __slots__ = ("_names", "_positional", "_rest")

    def __init__(self, names: Sequence[str], positional: Sequence[_Converter | None], rest: _Converter | None) -> None:
        self._names = names
        self._positional = tuple((i, each.passes, each) for i, each in enumerate(positional) if each is not None)
        self._rest = (len(positional), rest)

    def convert(self, args: list[Any]) -> list[Any]:
        """Make the arguments what the handler wants, in place. Raises Misfit for one that does not fit."""
        count = len(args)
        for index, passes, converter in self._positional:
            if index < count and args[index].__class__ is not passes:
                args[index] = self._convert(converter, args[index], index)
        start, rest = self._rest
        if rest is not None:
            for index in range(start, count):
                args[index] = self._convert(rest, args[index], index)
        return args

    def _convert(self, converter: _Converter, value: Any, index: int) -> Any:
        try:
            return converter.convert(value)
        except RecursionError as error:
            raise Misfit(self._name(index), "", "nested too deep") from error
        except Exception as error:
            located = converter.locate(error)
            if located is None:
                raise
            raise Misfit(self._name(index), *located) from error

    def _name(self, index: int) -> str:
        start, _ = self._rest
        return self._names[index] if index < start else f"{self._names[start]}[{index - start}]"


def read_payload(function: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> Payload | None:
    """Read the annotations of the parameters that take the arguments of an event; None where nothing is to be checked.

    Raises ``TypeError`` for an annotation that cannot be evaluated, or that no payload could be converted to.
    """
    if all(parameter.annotation is parameter.empty for parameter in parameters):
        return None
    positional: list[_Converter | None] = []
    rest: _Converter | None = None
    for parameter in parameters:
        try:
            annotation = evaluate(parameter.annotation, function)
            converter = _find_converter(annotation, function)
        except Exception as error:
            name = getattr(function, "__qualname__", repr(function))
            raise TypeError(f"{name}: the annotation of {parameter.name} cannot be used: {error}") from error
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = converter
        else:
            positional.append(converter)
    if rest is None and not any(positional):
        return None
    return Payload([parameter.name for parameter in parameters], positional, rest)


# -- what annotations mean


def evaluate(annotation: Any, function: Callable[..., Any]) -> Any:
    """Give the type that an annotation means: a string stands for an expression where the function was defined."""
    if isinstance(annotation, type):
        return annotation
    function = _innermost(function)
    names: dict[str, Any] = getattr(function, "__globals__", {})
    try:
        return _evaluate_with(names, annotation)
    except NameError:
        return _evaluate_with({**names, **_locals_around(function)}, annotation)


def _evaluate_with(names: dict[str, Any], annotation: Any) -> Any:
    if isinstance(annotation, str) and not ('"' in annotation or "'" in annotation):
        # Handlers that are registered for each connection come here each time: compiling would take the most of it.
        return eval(_compile(annotation), names)

    def holder() -> None: ...

    holder.__annotations__ = {"it": annotation}
    return typing.get_type_hints(holder, names, include_extras=True)["it"]


@lru_cache
def _compile(expression: str) -> CodeType:
    return compile(expression.strip(), "<annotation>", "eval")


def _innermost(function: Callable[..., Any]) -> Any:
    """Give the function behind decorators, partial applications, methods and instances that can be called."""
    inner: Any = inspect.unwrap(function)
    while not hasattr(inner, "__globals__"):
        if isinstance(inner, partial):
            inner = inspect.unwrap(inner.func)
        elif inspect.ismethod(inner):
            inner = inner.__func__
        else:
            is_class = isinstance(inner, type)
            return getattr(inner if is_class else type(inner), "__init__" if is_class else "__call__")
    return inner


def _locals_around(function: Callable[..., Any]) -> dict[str, Any]:
    """Give the local names of the functions that run around a definition: strings have no closure to find them in."""
    around: dict[str, Any] = {}
    outer, _, _ = getattr(function, "__qualname__", "").rpartition(".<locals>.")
    frame: FrameType | None = sys._getframe(1)
    while outer and frame is not None:
        if frame.f_code.co_qualname == outer and frame.f_globals is getattr(function, "__globals__", None):
            around = {**frame.f_locals, **around}
            outer, _, _ = outer.rpartition(".<locals>.")
        frame = frame.f_back
    return around


class _Parts:
    """Collect what a type is made of, down to the fields of its classes."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.models = False
        self.for_pydantic = False
        self.foreign = False  # whether a class of no known kind is asked for
        self._function = function
        self._seen: list[Any] = []

    def add(self, node: Any, *, inside: bool = False) -> None:
        """Add a type; ``inside`` a class, one of no known kind is the business of the library that checks the class."""
        if any(node is seen for seen in self._seen):
            return
        self._seen.append(node)
        origin = get_origin(node)
        if origin is Annotated:
            node, *extras = get_args(node)
            self.for_pydantic |= any(_is_pydantic(extra) for extra in extras)
            self.add(node, inside=inside)
        elif origin is not None:
            self.add(origin, inside=inside)
            for part in () if origin is Literal else get_args(node):
                self.add(part, inside=inside)
        elif isinstance(node, type) and node not in _KNOWN:
            self._add_class(node, inside=inside)
        else:  # NewType has the one, an alias made by ``type`` the other
            further = getattr(node, "__supertype__", getattr(node, "__value__", None))
            if further is not None:
                self.add(further, inside=inside)

    def _add_class(self, node: type, *, inside: bool) -> None:
        self.for_pydantic |= _is_pydantic(node)
        if is_model(node):
            self.models = True
            for field in self._fields_of(node):
                self.add(field, inside=True)
        elif not (issubclass(node, Enum) or _is_pydantic(node) or inside):
            self.foreign = True

    def _fields_of(self, model: type) -> Iterable[Any]:
        try:
            return typing.get_type_hints(model, include_extras=True).values()
        except NameError:
            names = _locals_around(self._function)
            hints = typing.get_type_hints(model, localns=names, include_extras=True)
        # The library that will convert cannot look into the function that the model was defined in.
        for base in model.__mro__:
            own = inspect.get_annotations(base)
            if own and not _is_pydantic(base):
                base.__annotations__ = {name: hints.get(name, annotation) for name, annotation in own.items()}
        return hints.values()


def is_typed_dict(thing: Any) -> bool:
    """Tell whether a class is a ``TypedDict``, be it of the standard library or of typing_extensions."""
    return isinstance(thing, type) and issubclass(thing, dict) and hasattr(thing, "__required_keys__")


def is_model(thing: Any) -> bool:
    """Tell whether a class has named fields: a dataclass, ``TypedDict``, named tuple, Struct or pydantic model."""
    return isinstance(thing, type) and (
        is_dataclass(thing)
        or is_typed_dict(thing)
        or issubclass(thing, msgspec.Struct)
        or hasattr(thing, "__pydantic_fields__")
        or (issubclass(thing, tuple) and hasattr(thing, "_fields"))
    )


def _is_pydantic(thing: Any) -> bool:
    """Recognize what pydantic has to check, without importing it."""
    if hasattr(thing, "__get_pydantic_core_schema__") or hasattr(thing, "__pydantic_validator__"):
        return True
    return type(thing).__module__.partition(".")[0] in ("annotated_types", "pydantic")


def _find_converter(annotation: Any, function: Callable[..., Any]) -> _Converter | None:
    """Give the converter to a type; it is made once for all handlers that ask for the same one."""
    if annotation in _ANYTHING:
        return None
    try:
        return _CONVERTERS[annotation]
    except KeyError:
        converter = _CONVERTERS[annotation] = _make_converter(annotation, function)
        if len(_CONVERTERS) > _MOST_CONVERTERS:  # classes that are made for each connection
            del _CONVERTERS[next(iter(_CONVERTERS))]
        return converter
    except TypeError:  # cannot be hashed
        return _make_converter(annotation, function)


def _make_converter(annotation: Any, function: Callable[..., Any]) -> _Converter | None:
    parts = _Parts(function)
    parts.add(annotation)
    if parts.for_pydantic:
        from pydantic import TypeAdapter  # only applications that use it have it

        return _Converter(None, TypeAdapter(annotation).validate_python, _locate_for_pydantic)
    if parts.foreign:
        if parts.models:  # which would go unchecked
            raise TypeError("it holds a class that no payload can become")
        return None
    # A type that has to be taken apart anew for each value costs more than the value; that of a field is kept.
    holder: Any = msgspec.defstruct("Argument", [("value", annotation)], array_like=True)
    try:
        msgspec.json.Decoder(holder)
    except TypeError:
        if parts.models:
            raise
        return None  # as a union of two kinds of list: it says more than can be told apart
    convert = partial(msgspec.convert, type=holder, builtin_types=(bytes,), str_keys=True)
    passes = annotation if annotation in _BUILTINS else None
    return _Converter(passes, lambda value: convert((value,)).value, _locate_for_msgspec)


def _locate_for_msgspec(error: Exception) -> tuple[str, str] | None:
    if not isinstance(error, msgspec.ValidationError):
        return None
    reason, _, place = str(error).rpartition(" - at `")
    role, _, path = place.rpartition("$[0]")
    return path.rstrip("`").removeprefix("."), f"{'a key: ' * role.startswith('key')}{reason}"


def _locate_for_pydantic(error: Exception) -> tuple[str, str] | None:
    errors = getattr(error, "errors", None)
    if errors is None:
        return None
    first, *others = errors(include_url=False, include_context=False, include_input=False)
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"])
    return path.removeprefix("."), first["msg"] + (f" (and {len(others)} more)" if others else "")

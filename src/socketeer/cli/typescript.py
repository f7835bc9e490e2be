"""Write the types of Python as those of TypeScript, as they look in the payload of an event.

The same class may look different from the two sides: a field with a default may be left out by who sends it to the
server, and is always there in what the server sends.
"""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, get_args, get_origin
from uuid import UUID

import msgspec

from socketeer.handling.payloads import is_model, is_typed_dict

__all__ = ["TypeScript", "array_of", "parameter_name", "property_name"]

_IDENTIFIER = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_TAKEN = """
    Array ArrayBuffer Binary ClientToServerEvents Refusal ServerToClientEvents Uint8Array
    any boolean never null number object string symbol undefined unknown void
"""
_WORDS = """
    arguments await case catch const debugger default delete do enum eval export extends false function implements
    import in instanceof interface let new null package private protected public static super switch this throw true
    typeof var void yield
"""
_PLAIN: dict[Any, str] = {
    **dict.fromkeys([str, UUID, Decimal], "string"),
    **dict.fromkeys([int, float], "number"),
    **dict.fromkeys([bytes, bytearray, memoryview], "Binary"),
    **dict.fromkeys([Any, inspect.Parameter.empty], "any"),
    **dict.fromkeys([None, types.NoneType], "null"),
    **dict.fromkeys([list, tuple, set, frozenset], "any[]"),
    bool: "boolean",
    object: "unknown",
    dict: "{ [key: string]: any }",
}


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    type: Any
    may_be_left_out: bool
    may_be_missing: bool = False
    """Whether it may be absent from what the server sends too."""


def _name_of(words: str, fallback: str) -> str:
    """Make a name for a type of any words, in the way that TypeScript has them."""
    parts = re.findall(r"[A-Za-z0-9]+", words)
    name = "".join(part[0].upper() + part[1:] for part in parts)
    return name if name and not name[0].isdigit() else fallback + name


def parameter_name(name: str) -> str:
    """Write the name of a parameter; some names of Python are words of the language in TypeScript."""
    word = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"{word}_" if word in _WORDS.split() else word


def property_name(name: str) -> str:
    """Write the name of a property, in quotes where it needs them."""
    return name if _IDENTIFIER.fullmatch(name) else json.dumps(name)


class TypeScript:
    """Collect the declarations that the types need which were written."""

    def __init__(self) -> None:
        self.declarations: list[str] = []
        self._names: dict[Any, str] = {}
        self._taken: set[str] = set(_TAKEN.split())

    def reserve(self, words: str, fallback: str) -> str:
        """Give a name that nothing else has."""
        base = name = _name_of(words, fallback)
        number = 1
        while name in self._taken:
            number += 1
            name = f"{base}{number}"
        self._taken.add(name)
        return name

    def write(self, annotation: Any, *, sent: bool) -> str:
        """Write a type, as the server sends it or as clients do."""
        try:
            return _PLAIN[annotation]
        except (KeyError, TypeError):
            pass
        origin = get_origin(annotation)
        if origin is not None:
            return self._write_generic(annotation, origin, get_args(annotation), sent)
        if isinstance(annotation, typing.TypeVar):
            return self.write(annotation.__bound__ or Any, sent=sent)
        if hasattr(annotation, "__supertype__"):
            return self.write(annotation.__supertype__, sent=sent)
        if hasattr(annotation, "__value__"):
            return self._declare_alias(annotation, sent)
        if not isinstance(annotation, type):
            return "any"
        if issubclass(annotation, Enum):
            return self._declare_enum(annotation)
        if is_model(annotation):
            return self._write_model(annotation, {}, sent)
        if issubclass(annotation, date | time | timedelta):
            return "string"
        known = next((base for base in _PLAIN if isinstance(base, type) and issubclass(annotation, base)), object)
        return "any" if known is object else _PLAIN[known]

    def _write_generic(self, annotation: Any, origin: Any, args: tuple[Any, ...], sent: bool) -> str:
        if origin in (Annotated, typing.Required, typing.NotRequired) or getattr(origin, "_name", "") == "ReadOnly":
            return self.write(args[0], sent=sent)
        if origin is Literal:
            return _literals(value.value if isinstance(value, Enum) else value for value in args)
        if origin in (typing.Union, types.UnionType):
            return " | ".join(dict.fromkeys(self.write(each, sent=sent) for each in args))
        if is_model(origin):
            parameters = getattr(origin, "__parameters__", ())
            return self._write_model(annotation, dict(zip(parameters, args, strict=False)), sent)
        if not isinstance(origin, type):
            return "any"
        if issubclass(origin, tuple):
            return self._write_tuple(args, sent)
        if issubclass(origin, typing.Mapping):
            return self._write_mapping(args, sent)
        if issubclass(origin, typing.Collection):
            return array_of(self.write(args[0], sent=sent))
        return "any"

    def _write_tuple(self, args: tuple[Any, ...], sent: bool) -> str:
        if len(args) == 2 and args[1] is Ellipsis:
            return array_of(self.write(args[0], sent=sent))
        return f"[{', '.join(self.write(each, sent=sent) for each in args)}]"

    def _write_mapping(self, args: tuple[Any, ...], sent: bool) -> str:
        key, value = args
        written = self.write(value, sent=sent)
        if get_origin(key) is Literal or (isinstance(key, type) and issubclass(key, Enum)):
            return f"{{ [key in {self.write(key, sent=sent)}]?: {written} }}"
        return f"{{ [key: string]: {written} }}"

    # -- what gets a name

    def _declare_enum(self, enum: type[Enum]) -> str:
        return self._declare(
            enum, enum.__name__, lambda name: f"type {name} = {_literals(each.value for each in enum)};"
        )

    def _declare_alias(self, alias: Any, sent: bool) -> str:
        words = alias.__name__ if sent else f"{alias.__name__} Input"
        return self._declare(
            (alias, sent), words, lambda name: f"type {name} = {self.write(alias.__value__, sent=sent)};"
        )

    def _write_model(self, model: Any, parameters: dict[Any, Any], sent: bool) -> str:
        cls = get_origin(model) or model
        if self._sides_differ(model, set()):
            key: Any = (model, sent)
        else:
            key, sent = model, True
        words = " ".join([cls.__name__, *(getattr(each, "__name__", "") for each in parameters.values())])
        return self._declare(
            key, words if sent else f"{words} Input", lambda name: self._describe(name, model, parameters, sent)
        )

    def _declare(self, key: Any, words: str, describe: Callable[[str], str]) -> str:
        """Declare what has a name, once; what it refers to, itself perhaps, comes behind it."""
        if key not in self._names:
            name = self._names[key] = self.reserve(words, "Type")
            index = len(self.declarations)
            self.declarations.append("")
            self.declarations[index] = f"export {describe(name)}"
        return self._names[key]

    def _describe(self, name: str, model: Any, parameters: dict[Any, Any], sent: bool) -> str:
        cls = get_origin(model) or model
        if getattr(cls, "__pydantic_root_model__", False):
            return f"type {name} = {self.write(cls.model_fields['root'].annotation, sent=sent)};"
        as_array = issubclass(cls, tuple) or getattr(getattr(cls, "__struct_config__", None), "array_like", False)
        lines: list[str] = []
        for field in _fields_of(model):
            mark = "?" * (field.may_be_missing if sent else field.may_be_left_out)
            written = self.write(_substitute(field.type, parameters), sent=sent)
            label = parameter_name(field.name) if as_array else property_name(field.name)
            lines.append(f"{label}{mark}: {written}")
        if as_array:
            return f"type {name} = [{', '.join(lines)}];"
        return "\n".join([f"interface {name} {{", *(f"  {line};" for line in lines), "}"])

    def _sides_differ(self, model: Any, seen: set[Any]) -> bool:
        """Tell whether a class looks different from the two sides, itself or in what it refers to."""
        if model in seen:
            return False
        seen.add(model)
        for field in _fields_of(model):
            if field.may_be_left_out != field.may_be_missing:
                return True
            if any(self._sides_differ(part, seen) for part in _models_in(field.type)):
                return True
        return any(self._sides_differ(part, seen) for each in get_args(model) for part in _models_in(each))


def array_of(item: str) -> str:
    """Write the type of an array."""
    return f"{item}[]" if re.fullmatch(r"[\w.]+(\[\])*", item) else f"Array<{item}>"


def _literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str | int | float | None) else "any"


def _literals(values: Iterable[Any]) -> str:
    return " | ".join(dict.fromkeys(map(_literal, values)))


def _models_in(annotation: Any) -> Iterator[Any]:
    if is_model(get_origin(annotation) or annotation):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


def _substitute(annotation: Any, parameters: dict[Any, Any]) -> Any:
    """Put the arguments of a generic class into the type of one of its fields."""
    if not parameters:
        return annotation
    if isinstance(annotation, typing.TypeVar):
        return parameters.get(annotation, annotation)
    inner = getattr(annotation, "__parameters__", ())
    return annotation[tuple(parameters.get(each, each) for each in inner)] if inner else annotation


def _hints(cls: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError:  # of a function that is over: what can be known was settled when the handler was registered
        return {name: Any if isinstance(each, str) else each for name, each in inspect.get_annotations(cls).items()}


def _fields_of(model: Any) -> list[_Field]:
    cls = get_origin(model) or model
    for kind, read in _READERS:
        if kind(cls):
            return list(read(cls))
    return []


def _fields_of_pydantic(cls: Any) -> Iterator[_Field]:
    for name, field in cls.model_fields.items():
        alias = field.validation_alias if isinstance(field.validation_alias, str) else field.alias
        yield _Field(alias or name, field.annotation, not field.is_required())


def _fields_of_struct(cls: type[msgspec.Struct]) -> Iterator[_Field]:
    config = cls.__struct_config__
    if config.tag is not None:
        yield _Field(config.tag_field or "type", Literal[config.tag], False)
    for field in msgspec.structs.fields(cls):
        yield _Field(field.encode_name, field.type, not field.required)


def _fields_of_typed_dict(cls: Any) -> Iterator[_Field]:
    for name, hint in _hints(cls).items():
        origin = get_origin(hint)
        # Where annotations are strings, the class itself does not know of its NotRequired.
        required = origin is typing.Required or (origin is not typing.NotRequired and name in cls.__required_keys__)
        yield _Field(name, hint, not required, not required)


def _fields_of_dataclass(cls: Any) -> Iterator[_Field]:
    hints = _hints(cls)
    for field in fields(cls):
        required = field.default is field.default_factory  # neither is given
        yield _Field(field.name, hints.get(field.name, Any), not (required and field.init))


def _fields_of_named_tuple(cls: Any) -> Iterator[_Field]:
    hints = _hints(cls)
    for name in cls._fields:
        yield _Field(name, hints.get(name, Any), name in cls._field_defaults)


_READERS: tuple[tuple[Callable[[Any], bool], Callable[[Any], Iterator[_Field]]], ...] = (
    (lambda cls: hasattr(cls, "model_fields"), _fields_of_pydantic),
    (lambda cls: issubclass(cls, msgspec.Struct), _fields_of_struct),
    (is_typed_dict, _fields_of_typed_dict),
    (is_dataclass, _fields_of_dataclass),
    (lambda cls: issubclass(cls, tuple), _fields_of_named_tuple),
)

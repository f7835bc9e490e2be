"""Write the events of a server as TypeScript: what its handlers take and answer, and what it declares to emit."""

from __future__ import annotations

import inspect
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Any, NamedTuple, get_args, get_origin

import click

from socketeer.cli.finding import NotFound, find_server
from socketeer.cli.typescript import TypeScript, array_of, parameter_name, property_name
from socketeer.handling.handlers import Handler, event_parameters, read_parameters
from socketeer.handling.payloads import evaluate, is_typed_dict
from socketeer.server.namespace import Namespace
from socketeer.server.server import Server

__all__ = ["command", "declare"]

_HEADER = """\
// The events of {source}, written by `socketeer types`: edit them there.
// Handlers that are registered for one socket alone, by socket.on, cannot be seen and are not here.
"""
_REFUSAL = """\
/** The answer to an event whose arguments the server refuses: what its handler asks for is in the types below. */
export interface Refusal {
  error: { name: string; message: string; argument?: string; path?: string };
}"""
_BINARY = "/** Browsers get an ArrayBuffer, Node.js a Buffer. */\nexport type Binary = ArrayBuffer | Uint8Array;"
_OF_THIS_SIDE = frozenset({"disconnect", "disconnecting"})


@click.command("types")
@click.argument("server", metavar="MODULE[:NAME]")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The file to write, as events.d.ts."
)
@click.option("--app-dir", default=".", show_default=True, help="Where to look for the module.")
def command(server: str, output: Path | None, app_dir: str) -> None:
    """Write the types of a server's events for clients in TypeScript."""
    sys.path.insert(0, str(Path(app_dir).resolve()))
    try:
        text = declare(find_server(server), server, lambda warning: click.echo(f"Warning: {warning}", err=True))
    except NotFound as error:
        raise click.ClickException(str(error)) from error
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {output}: {error.strerror or error}") from error


def declare(server: Server, source: str, warn: Callable[[str], None]) -> str:
    """Give the text of a declaration file; ``warn`` is told of annotations that cannot be evaluated."""
    writer = _Writer(warn)
    blocks: list[str] = []
    namespaces = [server.sockets, *(each for each in server._namespaces.values() if each is not server.sockets)]
    for namespace in [*namespaces, *server._parents]:
        blocks += writer.namespace(namespace, main=namespace is server.sockets)
    declarations = writer.types.declarations
    if any("Binary" in each for each in (*blocks, *declarations)):
        declarations = [_BINARY, *declarations]
    return "\n".join([_HEADER.format(source=source), "\n\n".join([*blocks, *declarations, _REFUSAL]), ""])


class _Argument(NamedTuple):
    name: str
    type: str
    required: bool


@dataclass(slots=True)
class _Event:
    """Hold what is known of the arguments of an event and of its acknowledgement."""

    arguments: list[_Argument]
    rest: _Argument | None
    ack: _Argument | None
    about: str = ""


class _Writer:
    def __init__(self, warn: Callable[[str], None]) -> None:
        self.types = TypeScript()
        self._warn = warn

    def namespace(self, namespace: Namespace, *, main: bool) -> Iterator[str]:
        """Write the two interfaces of a namespace: the main one's at the top, another's in a block of its own."""
        taken: dict[str, list[str]] = {}
        for event, handlers in namespace.handlers.by_event.items():
            if isinstance(event, str) and event not in _OF_THIS_SIDE:
                taken[event] = _from_client(_join([self._handled(each) for each in handlers]))
        emitted: dict[str, list[str]] = {}
        for declaration in namespace.declarations:
            for event, found in self._declared(declaration):
                emitted[event] = _to_client(found)
        if not (main or taken or emitted):
            return
        interfaces = [_interface("ClientToServerEvents", taken), _interface("ServerToClientEvents", emitted)]
        if main:
            yield from interfaces
        else:
            inner = "\n\n".join(interfaces).replace("\n", "\n  ").replace("\n  \n", "\n\n")
            name = self.types.reserve(namespace.name, "Namespace")
            yield f"/** The namespace {_comment(namespace.name)} */\nexport namespace {name} {{\n  {inner}\n}}"

    # -- from the client

    def _handled(self, handler: Handler) -> _Event:
        function = handler.function
        parameters = read_parameters(function)
        event = _Event([], None, self._ack(handler, parameters), inspect.getdoc(function) or "")
        for parameter in event_parameters(parameters, handler.bound):
            written = self.types.write(self._evaluate(parameter.annotation, function, parameter.name), sent=False)
            if parameter.kind is parameter.VAR_POSITIONAL:
                event.rest = _Argument(parameter_name(parameter.name), array_of(written), False)
            else:
                required = parameter.default is parameter.empty
                event.arguments.append(_Argument(parameter_name(parameter.name), written, required))
        return event

    def _ack(self, handler: Handler, parameters: list[inspect.Parameter]) -> _Argument:
        function = handler.function
        if handler.wants_ack:
            parameter = next(each for each in parameters if each.name == "ack")
            wanted = self._evaluate(parameter.annotation, function, "ack")
            callables = [each for each in _alternatives(wanted) if get_origin(each) is Callable]
            arguments = get_args(callables[0])[0] if callables else ...
            if not isinstance(arguments, list):
                return _Argument("ack", "(...answer: any[]) => void", False)
            answer = tuple[*arguments] if arguments else None  # type: ignore[valid-type]
            required = callables[0] is wanted and parameter.default is parameter.empty
            return _Argument("ack", self._callback(answer), required)
        returned = getattr(inspect.unwrap(function), "__annotations__", {}).get("return", inspect.Parameter.empty)
        if returned is inspect.Parameter.empty:
            return _Argument("ack", "(...answer: any[]) => void", False)
        answer = self._evaluate(returned, function, "what it returns")
        if get_origin(answer) in (Awaitable, Coroutine):
            answer = get_args(answer)[-1]
        return _Argument("ack", self._callback(answer), answer not in (None, types.NoneType, typing.NoReturn))

    def _callback(self, answer: Any, *, sent: bool = True) -> str:
        """Write the function that takes an answer; a tuple stands for several arguments."""
        if answer in (None, types.NoneType, typing.NoReturn):
            return "() => void"
        if answer is tuple:
            return "(...answer: any[]) => void"
        if get_origin(answer) is tuple or (isinstance(answer, type) and issubclass(answer, tuple)):
            args = get_args(answer) or tuple(typing.get_type_hints(answer).values())
            if args[-1:] == (Ellipsis,):
                return f"(...answer: {array_of(self.types.write(args[0], sent=sent))}) => void"
            written = [self.types.write(each, sent=sent) for each in args]
            if len(written) == 1:
                return f"(answer: {written[0]}) => void"
            return f"({', '.join(f'answer{number}: {each}' for number, each in enumerate(written, 1))}) => void"
        optional = types.NoneType in _alternatives(answer)  # then there is no argument
        left = reduce(or_, (each for each in _alternatives(answer) if each is not types.NoneType))
        return f"(answer{'?' * optional}: {self.types.write(left, sent=sent)}) => void"

    def _evaluate(self, annotation: Any, function: Callable[..., Any], what: str) -> Any:
        try:
            return evaluate(annotation, function)
        except Exception as error:
            name = getattr(function, "__qualname__", repr(function))
            self._warn(f"{name}: the annotation of {what} cannot be evaluated ({error}): it is written as any")
            return Any

    # -- to the client

    def _declared(self, declaration: type) -> Iterator[tuple[str, _Event]]:
        if is_typed_dict(declaration):
            for name, hint in typing.get_type_hints(declaration).items():
                args: tuple[Any, ...] = get_args(hint) if get_origin(hint) is tuple else (hint,)
                args = () if hint in (None, types.NoneType) else args
                rest = None
                if args[-1:] == (Ellipsis,):
                    rest = _Argument("args", array_of(self.types.write(args[0], sent=True)), False)
                    args = ()
                written = [self.types.write(each, sent=True) for each in args]
                names = ["value"] if len(written) == 1 else [f"value{number}" for number in range(1, len(written) + 1)]
                yield name, _Event([_Argument(*each, True) for each in zip(names, written, strict=True)], rest, None)
            return
        methods = {name: each for base in reversed(declaration.__mro__) for name, each in vars(base).items()}
        for name, function in methods.items():
            if inspect.isfunction(function) and not name.startswith("_"):
                yield name, self._emitted(function)

    def _emitted(self, function: Callable[..., Any]) -> _Event:
        event = _Event([], None, None, inspect.getdoc(function) or "")
        for parameter in event_parameters(read_parameters(function), 1):
            written = self.types.write(self._evaluate(parameter.annotation, function, parameter.name), sent=True)
            name = parameter_name(parameter.name)
            if parameter.kind is parameter.VAR_POSITIONAL:
                event.rest = _Argument(name, array_of(written), False)
            else:
                event.arguments.append(_Argument(name, written, parameter.default is parameter.empty))
        answer = self._evaluate(function.__annotations__.get("return"), function, "what it returns")
        if answer not in (None, types.NoneType):
            event.ack = _Argument("ack", self._callback(answer, sent=False), True)
        return event


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    return get_args(annotation) if get_origin(annotation) in (typing.Union, types.UnionType) else (annotation,)


def _join(events: list[_Event]) -> _Event:
    """Give what suits every handler of an event: each gets the same arguments, and one of them answers."""
    first, *others = events
    for other in others:
        longer, shorter = sorted((first.arguments, other.arguments), key=len, reverse=True)
        arguments = [
            _Argument(one.name, _both(one.type, two.type), one.required or two.required)
            for one, two in zip(longer, shorter, strict=False)
        ]
        ack = first.ack if first.ack and first.ack.required else other.ack
        about = first.about or other.about
        first = _Event(arguments + longer[len(arguments) :], first.rest and other.rest, ack, about)
    return first


def _both(one: str, two: str) -> str:
    return two if one in ("any", two) else one if two == "any" else f"({one}) & ({two})"


# -- how it is written


def _interface(name: str, events: dict[str, list[str]]) -> str:
    if not events:
        return f"export interface {name} {{}}"
    lines: list[str] = []
    for event, (*about, function) in events.items():
        lines += [*about, f"{property_name(event)}: {function};"]
    return "\n  ".join([f"export interface {name} {{", *lines]) + "\n}"


def _about(event: _Event) -> list[str]:
    line = event.about.strip().partition("\n")[0]
    return [f"/** {_comment(line)} */"] if line else []


def _comment(text: str) -> str:
    return text.replace("*/", "* /")


def _from_client(event: _Event) -> list[str]:
    """Write the function that a client calls as ``emit``; its last argument is the acknowledgement.

    TypeScript has no optional arguments before others, so that arguments with a default give one form for each number
    of them. The acknowledgement of a handler that returns nothing may be left out.
    """
    least = sum(each.required for each in event.arguments)
    forms = [event.arguments[:count] for count in range(least, len(event.arguments) + 1)]
    ack = event.ack
    assert ack is not None
    written = [
        _function([*(f"{each.name}: {each.type}" for each in arguments), _optional(ack)])
        for arguments in (forms[:-1] if event.rest else forms)
    ]
    if event.rest is not None:
        listed = [f"{each.name}: {each.type}" for each in event.arguments]
        rest = f"...{event.rest.name}: {event.rest.type}"
        if event.rest.type == "any[]" or not ack.required:
            written.append(_function([*listed, rest]))
        if event.rest.type != "any[]":
            written.append(f"(...args: [{', '.join([*listed, rest, f'ack: {ack.type}'])}]) => void")
    if len(written) == 1:
        return [*_about(event), written[0]]
    return [*_about(event), " | ".join(f"({each})" for each in written)]


def _to_client(event: _Event) -> list[str]:
    """Write the function that a client gives to ``on``."""
    arguments = event.arguments
    listed = [
        f"{each.name}: {each.type} | undefined" if event.ack and not each.required else _optional(each)
        for each in arguments
    ]
    if event.rest is not None:
        return [*_about(event), _function([*listed, f"...{event.rest.name}: {event.rest.type}"])]
    return [*_about(event), _function([*listed, *([_optional(event.ack)] if event.ack else [])])]


def _optional(argument: _Argument) -> str:
    return f"{argument.name}{'?' * (not argument.required)}: {argument.type}"


def _function(parameters: list[str]) -> str:
    return f"({', '.join(parameters)}) => void"

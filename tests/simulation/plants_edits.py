"""How a plant is made: the source of single functions is edited, and their code exchanged for a while.

The function objects stay, so that whoever has captured one (a table of handlers, a name that was imported)
runs the planted code too.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple

_FUTURE_FLAGS: Final = 0x1FF0000
"""Of a code's flags those that `from __future__` sets: the same text has to mean the same."""


class Misfit(AssertionError):
    """The product no longer has what a plant edits."""


class Edit(NamedTuple):
    """One function says ``new`` where its source says ``old``, which has to stand there exactly once."""

    owner: Any
    """The module or class that the function is defined in."""
    name: str
    old: str
    new: str


class Plant(NamedTuple):
    """One bug."""

    name: str
    what: str
    edits: tuple[Edit, ...]

    @contextmanager
    def apply(self) -> Iterator[None]:
        """The product has the bug until the context ends. Raises Misfit."""
        originals = [(function, function.__code__) for function in map(function_of, self.edits)]
        planted = planted_codes(self.edits)
        try:
            for function, code in planted.items():
                function.__code__ = code
            yield
        finally:
            for function, code in originals:
                function.__code__ = code


def function_of(edit: Edit) -> FunctionType:
    """The function that an edit is about; a property's getter counts as one."""
    found = vars(edit.owner).get(edit.name)
    if isinstance(found, property):
        found = found.fget
    elif isinstance(found, staticmethod | classmethod):
        found = found.__func__
    if not isinstance(found, FunctionType):
        raise Misfit(f"{edit.owner.__name__} has no function {edit.name}")
    return found


def planted_codes(edits: Iterable[Edit]) -> dict[FunctionType, CodeType]:
    """The code that every edited function gets, all edits of one function together."""
    sources: dict[FunctionType, str] = {}
    for edit in edits:
        function = function_of(edit)
        source = sources.get(function) or textwrap.dedent(inspect.getsource(function))
        if source.count(edit.old) != 1:
            where = f"{edit.owner.__name__}.{edit.name}"
            raise Misfit(f"{where} says {source.count(edit.old)} times, not once: {edit.old!r}")
        sources[function] = source.replace(edit.old, edit.new)
    return {function: _compiled(function, source) for function, source in sources.items()}


def _compiled(function: FunctionType, source: str) -> CodeType:
    original = function.__code__
    flags = original.co_flags & _FUTURE_FLAGS
    module = compile(source, f"<plant in {function.__qualname__}>", "exec", flags, dont_inherit=True)
    name = original.co_name
    code = next(one for one in module.co_consts if isinstance(one, CodeType) and one.co_name == name)
    if code.co_freevars != original.co_freevars:
        raise Misfit(f"{function.__qualname__} has another closure: {original.co_freevars}")
    unknown = [name for name in _globals_of(code) if name not in function.__globals__]
    if unknown:
        raise Misfit(f"{function.__qualname__} would look for {unknown}")
    return code


def _globals_of(code: CodeType) -> Iterator[str]:
    """The names that a function looks for in its module, but for what is built in."""
    for step in dis.get_instructions(code):
        if step.opname in {"LOAD_GLOBAL", "LOAD_NAME"} and not hasattr(builtins, step.argval):
            yield step.argval
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _globals_of(inner)

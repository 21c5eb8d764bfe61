"""Errors of plug-ins: which plug-in failed, in which line, in which round, for which device."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from fedstake.errors import FedstakeError, InputError, Terminated
from fedstake.interrupts import noticing_interrupts
from fedstake.outside import literal, message_of, shown
from mechanisms.plugin import BY_PATH, Plugin
from mechanisms.vocabulary.observation import Observation

USUAL = (Exception, KeyboardInterrupt, SystemExit, GeneratorExit)
"""What code raises by itself; other exceptions may be raised on top of it, by handlers."""
MOST_TOLD = 1_000
"""Most characters of what a plug-in says; of a longer message both ends are kept."""
PROTOCOLS = "sim.protocols."
"""Where the protocols of the house are: an error in them is no error of a plug-in."""


class PluginFailedError(FedstakeError):
    """A plug-in that raised an exception, which is the `__cause__`, or broke its contract.

    Args:
        place: file, line, class and method, as "bad.py:14 in Boom.settle".
        message: what is wrong.
        round: in which round; 0: before the first one, None: not known.
        who: the devices that it acted for, as "device 3"; "": for none.
    """

    def __init__(self, place: str, message: str, round: int | None = None, who: str = "") -> None:
        super().__init__(place, message, round, who)
        self.place, self.message, self.round, self.who = place, message, round, who

    def __str__(self) -> str:
        where = [self.place]
        if self.round is not None:
            where.append(f"round {self.round}" if self.round else "before round 1")
        if self.who:
            where.append(self.who)
        return f"{', '.join(where)}: {self.message}"

    def within(self, round: int) -> PluginFailedError:
        """Return the same error with its round, unless it has one."""
        if self.round is not None:
            return self
        again = PluginFailedError(self.place, self.message, round, self.who)
        again.__cause__ = self.__cause__
        return again.with_traceback(self.__traceback__)


def broken(plugin: Plugin, method: str, message: str, who: str = "") -> PluginFailedError:
    """Return the error of a plug-in whose method gave back what its kind does not allow."""
    return PluginFailedError(_definition(plugin, method), shown(message, MOST_TOLD), who=who)


def _definition(plugin: Plugin, method: str) -> str:
    """Return file and first line of a method, of a plug-in made of others of each of these."""
    if plugin.pieces:
        return " + ".join(_definition(piece, method) for piece in plugin.pieces)
    name = f"{type(plugin).__name__}.{method}"
    found = inspect.getattr_static(type(plugin), method, None)
    function = getattr(found, "fget", found)
    code = getattr(function, "__code__", None)
    return name if code is None else f"{_file(code.co_filename)}:{code.co_firstlineno} in {name}"


@contextmanager
def told(round: int | None = None) -> Iterator[None]:
    """Turn what a plug-in raises in the block into a `PluginFailedError`.

    `KeyboardInterrupt`, `SystemExit` and `GeneratorExit` of a plug-in count as its failure too;
    the user's Ctrl-C does not. Wrong inputs, and errors of no plug-in, stay as they are.
    """
    with noticing_interrupts() as interrupted:
        try:
            yield
        except (InputError, Terminated):
            raise
        except BaseException as error:
            if interrupted():
                raise
            failed = failure(error, round)
            if failed is None:
                raise
            raise failed from failed.__cause__


def failure(error: BaseException, round: int | None = None) -> PluginFailedError | None:
    """Return the error of the plug-in that raised an exception; None where none did."""
    if isinstance(error, PluginFailedError):
        return error if round is None else error.within(round)
    call = _call(error)
    if call is None:
        return None
    if not isinstance(error, USUAL) and not call.ends_it:
        return None  # raised by a handler of signals on top of the plug-in, as a time limit is
    failed = PluginFailedError(call.place, described(error), round, call.who)
    failed.__cause__ = error
    return failed


def described(error: BaseException) -> str:
    """Return type and message of an exception in one line; of our own the message alone."""
    text = " ".join(message_of(error).split())
    if not isinstance(error, FedstakeError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return shown(text, MOST_TOLD)


def until_plugin(error: BaseException) -> str:
    """Return the traceback of an exception; of a plug-in's it ends in the plug-in's frame."""
    cause = error.__cause__ if isinstance(error, PluginFailedError) else None
    parts = traceback.format_exception(cause or error)
    return "".join(f"{_lines(part)}\n" for part in parts)


def _lines(part: str) -> str:
    """Return the lines of a part of a traceback, none of them long."""
    lines = part[: 10 * MOST_TOLD].rstrip("\n").split("\n")
    return "\n".join(literal(line[:MOST_TOLD]) for line in lines)


# --- which plug-in ------------------------------------------------------------------------------


class _Call(NamedTuple):
    """A call of a plug-in that is in a traceback; whether the plug-in's own code `ends_it`."""

    place: str
    who: str
    ends_it: bool


class _Step(NamedTuple):
    """One frame of a traceback, its line, and the plug-in whose method it runs."""

    frame: FrameType
    line: int
    plugin: Plugin | None

    @property
    def file(self) -> str:
        return self.frame.f_code.co_filename


def _call(error: BaseException) -> _Call | None:
    """Return the innermost call of a plug-in in the traceback of an exception."""
    steps = []
    for frame, line in traceback.walk_tb(error.__traceback__):
        steps.append(_Step(frame, line, _plugin(frame)))
    owners = [i for i, step in enumerate(steps) if step.plugin is not None]
    if not owners:
        return _loose_call(steps)
    plugin = steps[owners[-1]].plugin
    assert plugin is not None
    inside = steps[next(i for i in owners if steps[i].plugin is plugin) :]
    own_file = inspect.getsourcefile(type(plugin))
    own = [step for step in inside if step.file == own_file]
    methods = [step for step in own if step.plugin is plugin] or [
        step for step in inside if step.plugin is plugin
    ]
    # The line is the last one in the plug-in's own file, be it in a function beside the class.
    last = own[-1] if own else methods[-1]
    method = methods[0].frame.f_code.co_name
    place = f"{_file(last.file)}:{last.line} in {type(plugin).__name__}.{method}"
    if plugin.pieces:  # what checks or joins others stumbled over what they gave back
        place = _definition(plugin, method)
    return _Call(place, _who(inside), ends_it=steps[-1] is last)


def _loose_call(steps: list[_Step]) -> _Call | None:
    """Return the call of what a file of a plug-in defines beside the plug-in, as a module."""
    for step in reversed(steps):
        if str(step.frame.f_globals.get("__name__")).startswith(BY_PATH):
            name = step.frame.f_code.co_qualname
            place = f"{_file(step.file)}:{step.line} in {name}"
            return _Call(place, "", ends_it=step is steps[-1])
    return None


def _plugin(frame: FrameType) -> Plugin | None:
    """Return the plug-in of which a frame runs a method."""
    code = frame.f_code
    if not code.co_argcount or code.co_name.startswith("<"):
        return None
    owner = frame.f_locals.get(code.co_varnames[0])
    if not isinstance(owner, Plugin) or not hasattr(type(owner), code.co_name):
        return None
    return None if type(owner).__module__.startswith(PROTOCOLS) else owner


def _who(steps: list[_Step]) -> str:
    """Return the devices of the first observation that is at hand."""
    for step in steps:
        for value in step.frame.f_locals.values():
            if isinstance(value, Observation) and value.who:
                return value.who
    return ""


def _file(path: Any) -> str:
    return Path(path).name

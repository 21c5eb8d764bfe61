"""Every error that Fedstake raises on purpose, under one root that carries the exit code of the command line.

    FedstakeError             1   something failed that was asked for rightly
    └── InputError            2   what was given is wrong: the message names it, its value and what would be right

Errors of single modules (`ScenarioError`, `RunError`, `PluginError`, `BridgeError`, ...) inherit from one of these two where
they are defined. A plug-in may do the same.
"""

from __future__ import annotations

from typing import ClassVar


class FedstakeError(Exception):
    """Base of all errors that are raised on purpose; the command line prints the message as one line."""

    exit_code: ClassVar[int] = 1


class InputError(FedstakeError, ValueError):
    """A wrong input: scenario, sweep, plug-in, data file, run directory or command line."""

    exit_code: ClassVar[int] = 2

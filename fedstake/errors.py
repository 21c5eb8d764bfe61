"""The root of the errors that Fedstake raises on purpose, with the exit code of the command line.

    FedstakeError             1   something failed that was asked for rightly
    └── InputError            2   an input is wrong; the message names it and what would be right

Errors of single modules (`ScenarioError`, `RunError`, `PluginError`, ...) inherit from
one of these two where they are defined. A plug-in may do the same. What went on all the same is a
`FedstakeWarning`; commands print it as one line as well.
"""

from __future__ import annotations

from typing import ClassVar

KEPT = "recorded until then: "
"""How a note of an error begins that says where the tables of a failed run are."""


class FedstakeError(Exception):
    """Base of all errors that are raised on purpose; commands print the message as one line.

    `args` are the arguments of the constructor, so that an error can be pickled and made again: a
    class with a constructor of its own hands all of them on, and says its message in `__str__`.
    """

    exit_code: ClassVar[int] = 1


class InputError(FedstakeError, ValueError):
    """A wrong input: scenario, sweep, plug-in, data file, run directory or command line."""

    exit_code: ClassVar[int] = 2


class FedstakeWarning(UserWarning):
    """Something was wrong and could be helped; the message says what and how."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C; the message says what was kept of the work, and what the same command does next."""


class Terminated(Interrupted):
    """SIGTERM, as a cluster sends it at the end of a job; the same in all else."""

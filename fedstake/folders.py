"""Folders as functions are given them: as a path, or as what was opened from one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol

from fedstake.errors import InputError


class Opened(Protocol):
    """A run that was opened, which has its folder as `path`."""

    @property
    def path(self) -> Path: ...


def recorded_folder(given: Any, name: str) -> Path:
    """Return the folder of something recorded; `name` is that of the argument.

    Args:
        given: its path, or the run, sweep or game that was opened from there, which has its folder
            as `path` or `folder`.
        name: what the argument is called.

    Raises `InputError` for anything else.
    """
    place = given if isinstance(given, str | os.PathLike) else _place(given)
    if isinstance(place, str | os.PathLike):
        return Path(place)
    raise InputError(
        f"{name} is {_kind(given)}: must be the folder of what was recorded, or what was opened "
        "from there"
    )


def _place(opened: Any) -> Any:
    """Return where an opened run, sweep or game lies; None for what is none of them."""
    return getattr(opened, "path", getattr(opened, "folder", None))


def chosen_folder(given: Any, *, changes: bool = False) -> Path | None:
    """Return the folder that argument `out` chooses, None where it leaves the choice.

    `changes`: the function takes `set`, which may have been meant by a table.

    Raises `InputError` for what is no path.
    """
    if given is None:
        return None
    if isinstance(given, str | os.PathLike):
        return Path(given)
    meant = changes and isinstance(given, dict)
    hint = f"; to change keys of the scenario write set={given!r}" if meant else ""
    raise InputError(f"out is {_kind(given)}: must be a folder{hint}")


def _kind(given: Any) -> str:
    if given is None:
        return "None"
    name = type(given).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"

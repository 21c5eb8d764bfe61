"""The folder of data files, and data sets loaded once per process."""

from __future__ import annotations

import inspect
import json
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from fedstake.outside import leads_out, shown
from mechanisms.registry import untrusted
from sim.data import datasets
from sim.data.sources.base import DataError, Dataset

KEPT = 2
"""Data sets that stay in memory for the next runs of a sweep."""

Stamp = tuple[int, int, int]
P = ParamSpec("P")
R = TypeVar("R")


_in_force: ContextVar[str | os.PathLike[str] | None] = ContextVar("data", default=None)
"""The folder that the function in play was given as `data`."""


def data_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """Return `given` (--data), else what is in force, else FEDSTAKE_DATA, else the user's cache."""
    given = given or _in_force.get()
    if given:
        return Path(os.path.expanduser(given))  # leaves ~nobody as it is, where Path raises
    if os.environ.get("FEDSTAKE_DATA"):
        return Path(os.path.expanduser(os.environ["FEDSTAKE_DATA"]))
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "fedstake" / "data"


def given_data(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function so that its argument `data` is the data folder in force while it runs.

    The identity of a run depends on samples, so that whatever asks for it needs the folder.
    """
    signature = inspect.signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with reading_data(signature.bind(*args, **kwargs).arguments.get("data")):
            return function(*args, **kwargs)

    return call


@contextmanager
def reading_data(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Let a folder be that of data files in the block; None leaves it as it is."""
    token = _in_force.set(folder or _in_force.get())
    try:
        yield
    finally:
        _in_force.reset(token)


def load_dataset(name: str, params: dict[str, Any], folder: Path) -> Dataset:
    """Load the data set of a scenario, or take it from memory while its files are the same.

    A shipped source gives the same samples every time: its files are checked against a checksum.
    What reads files of the user, and a source named by path or by an entry point, stays in memory
    only while every file that its `load` opened is unchanged. Raises `DataError`.

    What only results name is not fetched, and no file outside of the folder is read for them.
    """
    if untrusted():
        params = _harmless(name, params)
    key = (name, json.dumps(params, sort_keys=True), datasets.fingerprint(name), folder)
    kept = _kept.get(key)
    if kept is None or not kept.fresh():
        kept = _kept[key] = _load(name, params, folder)
        while len(_kept) > KEPT:
            _kept.popitem(last=False)
    _kept.move_to_end(key)
    return kept.data


def _harmless(name: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return parameters with which nothing is fetched; raise `DataError` for a file elsewhere."""
    file = str(params.get("file", ""))
    if leads_out(file):
        raise DataError(
            f"data set {name!r}: the results name the file {shown(file)}, which is outside of the "
            "data folder; it is read only with --trust"
        )
    if "download" not in params:
        return params
    return {**params, "download": False}


def content_digest(name: str, params: dict[str, Any], folder: Path) -> str:
    """Return the SHA-256 of the samples of a data set, "" where they follow from its parameters.

    It is part of a run's identity: samples follow from name and parameters where the source is a
    shipped one that reads no file of the user. Raises `DataError`.
    """
    if _follows(name):
        return ""
    return load_dataset(name, params, folder).digest


def _follows(name: str) -> bool:
    """Return whether the samples of a data set follow from its name and parameters."""
    if not datasets.is_shipped(name):
        return False
    source: Any = datasets.get(name)
    return not source.own_files


@dataclass(frozen=True)
class _Kept:
    """A data set in memory, with the files that it came from as they were."""

    data: Dataset
    files: dict[str, Stamp | None]
    checked: bool
    """Its samples follow from its name, or files were seen that tell when they have changed."""

    def fresh(self) -> bool:
        return self.checked and all(_stamp(file) == stamp for file, stamp in self.files.items())


_kept: OrderedDict[tuple[str, str, str, Path], _Kept] = OrderedDict()


def _load(name: str, params: dict[str, Any], folder: Path) -> _Kept:
    source = datasets.create(name, params)
    with _watched_files() as opened:
        data = source.load(folder)
    if not isinstance(data, Dataset):
        raise DataError(f"{name}: load must return a Dataset, not {type(data).__name__}")
    follows = _follows(name)
    files = {} if follows else {file: _stamp(file) for file in opened}
    return _Kept(data, files, checked=follows or bool(files))


def _stamp(file: str) -> Stamp | None:
    """Return what changes with the content of a file; None where there is none."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


# --- which files a source opens -----------------------------------------------------------------

_watching = threading.local()
_hooked = False


@contextmanager
def _watched_files() -> Iterator[set[str]]:
    """Collect the paths that this thread opens meanwhile, as Python's audit events tell them."""
    global _hooked
    if not _hooked:  # an audit hook stays for good
        sys.addaudithook(_note_opened)
        _hooked = True
    opened: set[str] = set()
    _watching.opened = opened
    try:
        yield opened
    finally:
        _watching.opened = None


def _note_opened(event: str, args: tuple[Any, ...]) -> None:
    if event != "open":
        return
    opened = getattr(_watching, "opened", None)
    if opened is not None and isinstance(args[0], str | bytes | os.PathLike):
        opened.add(os.path.abspath(os.fsdecode(args[0])))

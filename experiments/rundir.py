"""The run directory: written whole or not at all, and where it may lie."""

from __future__ import annotations

import contextlib
import errno
import glob
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.loader import dumps
from experiments.recorded import MANIFEST, MANIFEST_BYTES, SCENARIO, RunError, listing
from fedstake.outside import UnreadableError, read_json, require_utf8, seal
from sim.scenario import SCHEMA_VERSION, Scenario

FAILED = "failed.json"
"""Manifest of a run that failed: its folder is never taken for a complete run."""
STATE = "state"
"""Folder of a run that keeps the state from which it can be extended."""
REPLAYS = ("replay", "replay-plan", "replay-evm", "replay-evm-plan")
"""Folders of a run that a replay writes."""


def failed_place(path: Path) -> Path:
    """Return the folder beside a run directory that keeps what a run recorded until it failed."""
    return path.with_name(f"{brief(path.name)}.failed")


def brief(name: str) -> str:
    """Return a file name that can be lengthened: a long one is its beginning and a hash."""
    raw = os.fsencode(name)
    if len(raw) <= 100:
        return name
    return f"{name[:20]}-{hashlib.sha256(raw).hexdigest()[:16]}"


def resolved(path: Path) -> Path:
    """Return where a path leads: links are followed, and stay what they are.

    Raises `RunError` for a link that leads nowhere, and for a name that is not UTF-8.
    """
    real = Path(os.path.realpath(path))
    try:
        require_utf8(real)
    except UnreadableError as error:
        raise RunError(str(error)) from None
    for place in (path, *path.parents):
        if os.path.islink(place) and not os.path.exists(place):
            link = "" if place == path else f"{place} "
            raise RunError(
                f"{path}: {link}is a link to {os.readlink(place)}, which is not there; "
                "make that folder or remove the link"
            )
    return real


def check_place(path: Path) -> None:
    """Raise `RunError` unless `whole_folder` can put a folder at `path`: by doing it with none."""
    with _refusing(path):
        real = resolved(path)
        if real.parent == real:
            raise RunError(f"{path}: is the root of the file system; name a folder in it")
        if real in (Path.cwd(), *Path.cwd().parents):
            raise RunError(f"{path}: is the current folder or around it; name a folder in it")
        probe = _beside(_home(path, real) / real.name)
        try:
            _make(probe, real)
            if real.exists():
                os.rename(real, probe / _OLD)
        finally:
            if (probe / _OLD).exists():
                os.rename(probe / _OLD, real)
            shutil.rmtree(probe, ignore_errors=True)


def check_writable(path: Path) -> None:
    """Raise `RunError` unless files can be written into a folder at `path`, made if need be."""
    with _refusing(path):
        real = resolved(path)
        if real.is_dir():
            with tempfile.TemporaryFile(dir=real):
                return
        probe = _beside(_home(path, real) / real.name)
        try:
            _make(probe, real)
        finally:
            shutil.rmtree(probe, ignore_errors=True)


def check_file(path: Path) -> None:
    """Raise `RunError` unless a file can be written at `path`, in a folder made if need be."""
    with _refusing(path):
        real = resolved(path)
        if real.is_dir():
            raise RunError(f"{path}: is a folder; give the name of a file")
        if real.exists() and not real.is_file():
            raise RunError(f"{path}: is no regular file; give the name of a file")
    check_writable(path.parent)


@contextlib.contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Turn an error of the file system into a `RunError`."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EBUSY:
            reason = "is a mount point, which no folder can replace; name a folder in it"
            raise RunError(f"{path}: {reason}") from None
        raise RunError(f"{path}: cannot be written ({error.strerror})") from None


def _home(path: Path, real: Path) -> Path:
    """Return the nearest folder above `real` that is there; `RunError` names `path`."""
    if real.exists() and not real.is_dir():
        raise RunError(f"{path}: is a file; name a folder")
    home = real.parent
    while not home.exists():
        home = home.parent
    if not home.is_dir():
        raise RunError(f"{path}: {home} is a file; name a folder")
    return home


def _make(probe: Path, real: Path) -> None:
    """Make the missing folders of a path inside another folder, the last one by a rename."""
    missing = [real.name]
    for folder in real.parents:
        if folder == probe.parent:
            break
        missing.insert(0, folder.name)
    target = probe.joinpath(*missing)
    target.parent.mkdir(parents=True, exist_ok=True)
    new = probe / "new"
    new.mkdir()
    os.rename(new, target)


@contextlib.contextmanager
def naming(place: Path) -> Iterator[None]:
    """Let an error of the file system, such as a full disk, name the place that was asked for."""
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        raise OSError(number, os.strerror(number), str(place)) from error


def write_run(
    path: Path,
    scenario: Scenario,
    tables: dict[str, pa.Table],
    manifest: dict[str, Any],
    keep_state: Callable[[Path], None] | None = None,
    record: str = MANIFEST,
) -> None:
    """Write a run directory in one step: readers see nothing, or all of it.

    `keep_state` writes the folder with the state of the run, if it is to be kept. `record` is the
    name of its manifest.
    """
    with whole_folder(path) as partial:
        if keep_state is not None:
            keep_state(partial / STATE)
        files = {}
        for name, table in tables.items():
            file = partial / f"{name}.parquet"
            _write_table(table, file)
            files[file.name] = {"rows": table.num_rows, **listing(file)}
        (partial / SCENARIO).write_text(dumps(scenario))
        complete = manifest | {
            "schema_version": SCHEMA_VERSION,
            "files": files,
            "scenario": listing(partial / SCENARIO),
        }
        (partial / record).write_text(seal(dict(sorted(complete.items()))))


def _write_table(table: pa.Table, file: Path) -> None:
    """Write a table: numbers and words are compressed, models are not and are read by block."""
    if not any(pa.types.is_large_binary(kind) for kind in table.schema.types):
        pq.write_table(table, file, compression="zstd", use_dictionary=True)
        return
    words = [f.name for f in table.schema if pa.types.is_dictionary(f.type)]
    rows = max(1, _GROUP_BYTES * table.num_rows // max(1, table.nbytes))
    pq.write_table(table, file, compression="none", use_dictionary=words, row_group_size=rows)


_GROUP_BYTES = 64 << 20


@contextlib.contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill; it appears under its name only when the block ends well.

    Otherwise nothing is left behind. An existing folder is replaced: the caller has made sure that
    it may be (`may_replace`). Of a link the target is replaced. Errors of the file system name the
    path.
    """
    real = resolved(path)
    with naming(path):
        real.parent.mkdir(parents=True, exist_ok=True)
        recover(real)
        partial = _beside(real)
        try:
            yield partial
            _put(partial, real)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _put(partial: Path, path: Path) -> None:
    """Give a folder its name once its files are on disk."""
    for file in filter(Path.is_file, partial.rglob("*")):
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    partial.chmod(0o755)
    try:
        os.rename(partial, path)
    except OSError:  # a folder is there, perhaps since a moment ago
        if not path.is_dir():
            raise
        _exchange(path, partial)


def may_replace(path: Path) -> bool:
    """Return whether a path holds nothing but a run of any version, so that it may be replaced."""
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return True
    try:
        found = read_json(path / MANIFEST, MANIFEST_BYTES)
        known = {MANIFEST, SCENARIO, "report", *REPLAYS, STATE}
        known |= found["files"].keys()
        return "run_id" in found and all(entry.name in known for entry in path.iterdir())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def recover(path: Path) -> None:
    """Clean up after killed processes of this machine.

    Put back the folders that they were replacing, and delete what they left half written.
    """
    prefix = _partial_prefix(path)
    for entry in path.parent.glob(f"{glob.escape(prefix)}*"):
        pid = entry.name.removeprefix(prefix).partition("-")[0]
        if pid.isdigit() and not alive(int(pid)):
            if (entry / _OLD).is_dir() and not path.exists():
                os.rename(entry / _OLD, path)
            shutil.rmtree(entry, ignore_errors=True)


_OLD = "old"


def _partial_prefix(path: Path) -> str:
    """Return how the names of half-written folders begin; the process that writes one follows."""
    return f".{brief(path.name)}.partial-"


def _beside(path: Path) -> Path:
    prefix = f"{_partial_prefix(path)}{os.getpid()}-"
    return Path(tempfile.mkdtemp(prefix=prefix, dir=path.parent))


def _exchange(path: Path, partial: Path) -> None:
    """Put a folder in the place of another.

    A rename needs an empty place: the old folder steps aside, and comes back when the new one
    cannot take its place.
    """
    aside = _beside(path)
    os.rename(path, aside / _OLD)
    try:
        os.rename(partial, path)
    except BaseException:
        os.rename(aside / _OLD, path)
        raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_file(path: Path, body: bytes | str) -> None:
    """Write one file whole or not at all; of a link its target. Errors name the path."""
    raw = body.encode() if isinstance(body, str) else body
    real = Path(os.path.realpath(path))
    prefix = f".{brief(real.name)}."
    with (
        naming(path),
        tempfile.NamedTemporaryFile(dir=real.parent, prefix=prefix, delete=False) as partial,
    ):
        try:
            partial.write(raw)
            partial.flush()
            os.fsync(partial.fileno())
            os.chmod(partial.name, 0o644)
            os.replace(partial.name, real)
        except BaseException:
            Path(partial.name).unlink(missing_ok=True)
            raise


def alive(pid: int) -> bool:
    """Return whether a process of this machine runs.

    One that has ended and that nobody has waited for yet does not: it writes nothing any more.
    """
    import psutil

    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except (psutil.NoSuchProcess, ValueError, OverflowError):
        return False
    except psutil.AccessDenied:
        return True

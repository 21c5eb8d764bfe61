"""The files of a recorded run: manifest, scenario, and tables in Arrow's types."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from experiments.rundir import MANIFEST, SCENARIO, RunError


@dataclass(frozen=True)
class RunFiles:
    """The files of a run in its directory, read when first used and checked against the manifest.

    Raises `RunError` for a file that is damaged.
    """

    path: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What is known of the run beside its tables: identity, versions, cost, declarations."""
        return json.loads((self.path / MANIFEST).read_text())

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The scenario's plain values as they were recorded, whatever plug-ins are at hand now."""
        return tomllib.loads((self.path / SCENARIO).read_text())

    @property
    def run_id(self) -> str:
        """The 32 hexadecimal digits that stand for all that decided the run."""
        return self.manifest["run_id"]

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a table by name in Arrow's types, or some of its columns."""
        path = self.path / f"{name}.parquet"
        if not path.is_file():
            raise RunError(f"{self.path}: this run has no table {name!r}")
        listed = self.manifest["files"].get(path.name, {})
        if sha256_of(path) != listed.get("sha256"):
            raise RunError(f"{path}: damaged, its SHA-256 is not the recorded one")
        try:
            with pq.ParquetFile(path) as file:  # without what `read_table` imports for folders
                return file.read(columns=None if columns is None else list(columns))
        except (pa.ArrowException, OSError) as error:
            raise RunError(f"{path}: damaged ({str(error).splitlines()[0]})") from error

    def has(self, needs: Mapping[str, Sequence[str]]) -> bool:
        """Return whether the run has these tables with these columns."""
        return all(set(columns) <= self._columns(table) for table, columns in needs.items())

    def _columns(self, table: str) -> frozenset[str]:
        """Return the names of a table's columns; none without the table."""
        path = self.path / f"{table}.parquet"
        try:
            return frozenset(pq.read_schema(path).names) if path.is_file() else frozenset()
        except (pa.ArrowException, OSError) as error:
            raise RunError(f"{path}: damaged ({str(error).splitlines()[0]})") from error

    def verify(self) -> None:
        """Raise `RunError` unless every table has the bytes that were recorded."""
        for file, recorded in self.manifest["files"].items():
            if _digest(self.path / file) != recorded["sha256"]:
                raise RunError(
                    f"{self.path / file}: damaged, its SHA-256 is not the recorded one; "
                    "run again with --force"
                )

    def digest(self) -> str:
        """Return the SHA-256 over the bytes of all tables: equal for equal scenarios and seeds."""
        files = self.manifest["files"]
        digests = "".join(files[f]["sha256"] for f in sorted(files))
        return hashlib.sha256(digests.encode()).hexdigest()


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file; one that does not change is read once for it."""
    status = file.stat()
    return _sha256(str(file.absolute()), status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=100_000)
def _sha256(file: str, _mtime_ns: int, _size: int, _inode: int) -> str:
    return _digest(file)


def _digest(file: str | Path) -> str:
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def setting(settings: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key of a scenario; None where the scenario has no such key."""
    value: Any = settings
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value

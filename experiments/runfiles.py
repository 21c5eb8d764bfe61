"""The files of a recorded run: manifest, scenario, and tables in Arrow's types."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from experiments.recorded import (
    MANIFEST,
    RunError,
    check_schema,
    check_values,
    damage,
    declared_tables,
    read_manifest,
    read_parquet,
    read_schema,
    read_settings,
    verified,
)
from sim.recording import Table


@dataclass(frozen=True)
class RunFiles:
    """The files of a run in its directory, read when first used and checked against the manifest.

    Raises `RunError` for a file that is damaged.
    """

    path: Path
    record: str = MANIFEST
    """Name of its manifest: another one where the run failed."""

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What is known of the run beside its tables: identity, versions, cost, declarations."""
        return read_manifest(self.path, self.record)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The scenario's plain values as they were recorded, whatever plug-ins are at hand now."""
        return read_settings(self.path, self.manifest)

    @property
    def failed(self) -> dict[str, str] | None:
        """Where and why the run failed (stage, error, traceback); None of a complete run."""
        return self.manifest.get("failed")

    @property
    def run_id(self) -> str:
        """The 32 hexadecimal digits that stand for all that decided the run."""
        return self.manifest["run_id"]

    def arrow(self, name: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return a table by name in Arrow's types, or some of its columns."""
        file = self.file(name)
        table = read_parquet(file, columns)
        check_values(file, table)
        return table

    def file(self, table: str) -> Path:
        """Return the file of a table, its hash and its columns verified."""
        file = verified(self.path, self.manifest, table)
        check_schema(file, read_schema(file), self._declared)
        return file

    @cached_property
    def _declared(self) -> Mapping[str, Table]:
        return declared_tables(self.settings.get("protocol"))

    def has(self, needs: Mapping[str, Sequence[str]]) -> bool:
        """Return whether the run has these tables with these columns."""
        return all(set(columns) <= self._columns(table) for table, columns in needs.items())

    def _columns(self, table: str) -> frozenset[str]:
        """Return the names of a table's columns; none without the table."""
        listed = f"{table}.parquet" in self.manifest["files"]
        return frozenset(read_schema(self.file(table)).names) if listed else frozenset()

    def verify(self) -> None:
        """Raise `RunError` unless every file has the bytes that were recorded."""
        wrong = damage(self.path)
        if wrong:
            raise RunError(f"{wrong}; run again with --force")

    def digest(self) -> str:
        """Return the SHA-256 over the bytes of all tables: equal for equal scenarios and seeds."""
        files = self.manifest["files"]
        digests = "".join(files[f]["sha256"] for f in sorted(files))
        return hashlib.sha256(digests.encode()).hexdigest()


def setting(settings: Mapping[str, Any], key: str) -> Any:
    """Return the value at a dotted key of a scenario; None where the scenario has no such key."""
    value: Any = settings
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value

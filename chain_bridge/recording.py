"""A recorded run, as the bridge reads it: the manifest, the journal and the round tables, bytes checked."""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from chain_bridge.errors import PlanError

ISSUANCE, BURN = "issuance", "burn"  # the two ends of the ledger


@dataclass(frozen=True)
class Recording:
    """What a run did. `journal`: one row per entry (round, debit, credit, asset, amount, reason, time_s)."""

    path: Path
    run_id: str
    settings: dict[str, Any]
    journal: pd.DataFrame
    participants: pd.DataFrame
    votes: pd.DataFrame
    blocks: pd.DataFrame
    versions: pd.DataFrame

    @property
    def name(self) -> str:
        return str(self.settings.get("name", self.path.name))

    @property
    def protocol(self) -> str:
        return str(self.settings.get("protocol", "vbfl"))

    @property
    def mechanism(self) -> str:
        return str(self.settings.get("payout", {}).get("mechanism", "?"))

    @property
    def identity(self) -> bytes:
        """16 bytes that stand for this run on a chain: its id and its journal."""
        told = hashlib.sha256(self.run_id.encode())
        for r in self.journal.itertuples(index=False):
            told.update(
                f"\n{r.round},{r.debit},{r.credit},{r.asset},{r.amount},{r.reason}".encode()
            )
        return told.digest()[:16]


def read(path: str | Path) -> Recording:
    """A run directory; `PlanError` says which file is missing or is not what was recorded."""
    folder = Path(path)
    manifest = folder / "manifest.json"
    if not manifest.is_file():
        raise PlanError(f"{folder}: no manifest.json: not a complete run directory")
    try:
        told = json.loads(manifest.read_text())
        run_id, files = str(told["run_id"]), dict(told["files"])
        settings = tomllib.loads((folder / "scenario.toml").read_text())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanError(f"{folder}: unreadable ({type(error).__name__}: {error})") from error
    table = {
        name: _table(folder, name, files) for name in ("journal", "participants", "votes", "blocks")
    }
    versions = _table(folder, "versions", files) if "versions.parquet" in files else pd.DataFrame()
    return Recording(folder, run_id, settings, versions=versions, **table)


def _table(folder: Path, name: str, files: dict[str, Any]) -> pd.DataFrame:
    file = folder / f"{name}.parquet"
    if file.name not in files or not file.is_file():
        raise PlanError(f"{folder}: incomplete, {file.name} is missing")
    raw = file.read_bytes()
    if hashlib.sha256(raw).hexdigest() != files[file.name].get("sha256"):
        raise PlanError(f"{file}: damaged, its SHA-256 is not the recorded one")
    try:
        return pq.read_table(pa.BufferReader(raw)).to_pandas(
            types_mapper=_nullable, strings_to_categorical=False
        )
    except pa.ArrowException as error:
        raise PlanError(f"{file}: damaged ({str(error).splitlines()[0]})") from error


def _nullable(kind: pa.DataType) -> Any:
    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(kind)

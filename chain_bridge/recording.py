"""A recorded run as the bridge reads it: manifest, journal and declared tables, bytes checked."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from chain_bridge.errors import PlanError
from chain_bridge.notes import Declared, check_columns, parse, sources
from fedstake.folders import Opened, recorded_folder
from fedstake.outside import UnreadableError, parse_toml, read_bytes, unseal

ISSUANCE, BURN = "issuance", "burn"  # the two ends of the ledger
JOURNAL = ("round", "debit", "credit", "asset", "amount", "reason")
MOST_BYTES = 4 << 30  # of a table
MOST_ROUND = 1_000_001  # one more than a run has at most: what is given back at the end
PARTICIPANTS = "participants"  # read where it is there: its balances are compared with the chain's


@dataclass(frozen=True)
class Recording:
    """A recorded run, as the bridge reads it.

    `journal`: one row per entry (round, debit, credit, asset, amount, reason, time_s); `notes`:
    what the chain records beside money; `tables`: by name, those that the notes are made from.
    """

    path: Path
    run_id: str
    settings: dict[str, Any]
    journal: pd.DataFrame
    notes: tuple[Declared, ...] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return str(self.settings.get("name", self.path.name))

    @property
    def mechanism(self) -> str:
        """Return the payout rule of the run; of a protocol without one the protocol."""
        payout = self.settings.get("payout")
        rule = payout.get("mechanism") if isinstance(payout, dict) else None
        return str(rule or self.settings.get("protocol", "?")).rpartition(":")[2]

    @property
    def identity(self) -> bytes:
        """16 bytes that stand for this run on a chain: digest of its id and its journal."""
        digest = hashlib.sha256(self.run_id.encode())
        for r in self.journal.itertuples(index=False):
            entry = f"\n{r.round},{r.debit},{r.credit},{r.asset},{r.amount},{r.reason}"
            digest.update(entry.encode())
        return digest.digest()[:16]

    def participants(self, *columns: str) -> pd.DataFrame | None:
        """Return table `participants`; None where the run lacks it or one of these columns."""
        table = self.tables.get(PARTICIPANTS)
        if table is None or not {"round", *columns} <= set(table.columns):
            return None
        return table

    def mean_utilities(self) -> pd.DataFrame | None:
        """Return by round the mean utility of honest and of other devices; None where unknown."""
        devices = self.participants("adversary", "utility")
        if devices is None:
            return None
        adversary = devices["adversary"].fillna(False).astype(bool)
        who = adversary.map({False: "honest_utility", True: "adversary_utility"})
        mean = (
            devices.assign(who=who)
            .pivot_table(index="round", columns="who", values="utility", aggfunc="mean")
            .reset_index()
        )
        mean.columns.name = None
        return mean.astype({"round": "int64"})


def read(path: str | Path | Opened, more: Iterable[str] = ()) -> Recording:
    """Read a run directory; `PlanError` names the file that is missing, damaged or wrong.

    `path`: of its folder, or an opened run, which has it as `path`.
    `more`: tables that are read where they are there, beside those that the notes are made from.
    """
    folder = recorded_folder(path, "run")
    file = folder / "manifest.json"
    if not file.is_file():
        raise PlanError(f"{folder}: no manifest.json: not a complete run directory")
    manifest = _manifest(file)
    run_id, files = str(manifest["run_id"]), manifest["files"]
    place = folder / "scenario.toml"
    try:
        settings = parse_toml(_verified(place, manifest["scenario"]).decode(), place)
    except (UnreadableError, UnicodeDecodeError) as error:
        raise PlanError(f"{place}: unreadable ({error})") from None

    notes = parse(manifest, list(files), file)
    names = {PARTICIPANTS, *more, *(source.table for _, source in sources(notes))}
    recorded = sorted(name for name in names if f"{name}.parquet" in files)
    journal = _table(folder, "journal", files)
    _check_journal(journal, folder / "journal.parquet")
    tables = {name: _table(folder, name, files) for name in recorded}
    check_columns(notes, tables, file)
    return Recording(folder, run_id, settings, journal, notes, tables)


def _manifest(file: Path) -> dict[str, Any]:
    """Return the manifest of a run, its own hash and the keys that are read here verified."""
    try:
        manifest = unseal(file)
    except UnreadableError as error:
        raise PlanError(f"{file}: unreadable ({error.reason})") from None
    for key, kind in (("run_id", str), ("files", dict), ("scenario", dict)):
        if not isinstance(manifest.get(key), kind):
            raise PlanError(f"{file}: {key}: must be a {_KINDS[kind]}")
    return manifest


_KINDS = {str: "text", dict: "table"}


def _check_journal(journal: pd.DataFrame, file: Path) -> None:
    """Raise `PlanError` unless rounds and amounts are whole numbers and the rest is text."""
    for column in JOURNAL:
        if column not in journal.columns:
            raise PlanError(f"{file}: has no column {column}")
        values = journal[column]
        wanted = "whole numbers" if column in ("round", "amount") else "text"
        fits = pd.api.types.is_integer_dtype(values)
        if wanted == "text":
            words = isinstance(values.dtype, pd.CategoricalDtype)
            fits = words or pd.api.types.is_string_dtype(values)
        if values.isna().any() or not fits:
            raise PlanError(f"{file}: column {column} must hold {wanted} without gaps")
    if len(journal) and not 0 <= journal["round"].min() <= journal["round"].max() <= MOST_ROUND:
        raise PlanError(f"{file}: column round must hold 0 to {MOST_ROUND:,}")


def _table(folder: Path, name: str, files: dict[str, Any]) -> pd.DataFrame:
    file = folder / f"{name}.parquet"
    if file.name not in files or not file.is_file():
        raise PlanError(f"{folder}: incomplete, {file.name} is missing")
    raw = _verified(file, files[file.name])
    try:
        table = pq.read_table(pa.BufferReader(raw)).to_pandas(
            types_mapper=_nullable, strings_to_categorical=False, ignore_metadata=True
        )
    except (pa.ArrowException, ValueError) as error:
        raise PlanError(f"{file}: damaged ({str(error).splitlines()[0]})") from error
    if not table.columns.is_unique:
        raise PlanError(f"{file}: two columns have the same name")
    return table


def _verified(file: Path, listed: Any) -> bytes:
    """Return the bytes of a file, which must be those that the manifest lists."""
    try:
        raw = read_bytes(file, MOST_BYTES)
    except FileNotFoundError:
        raise PlanError(f"{file.parent}: incomplete, {file.name} is missing") from None
    except UnreadableError as error:
        raise PlanError(str(error)) from None
    if not isinstance(listed, dict) or hashlib.sha256(raw).hexdigest() != listed.get("sha256"):
        raise PlanError(f"{file}: damaged, its SHA-256 is not the recorded one")
    return raw


def _nullable(kind: pa.DataType) -> Any:
    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(kind)

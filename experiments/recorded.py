"""What recorded files must look like, checked whenever they are read.

Folders with results come from anybody. Each file is covered by a hash: tables and the scenario in
the manifest of their run, the plan in `sweep.json`, compacted tables in their index, and these
three by a hash of their own (`fedstake.outside.seal`). Hashes show damage, not forgery: so keys,
columns and types are checked as well, and what does not fit is a `RunError` of one line that names
the file, the key and what would be right.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictStr, ValidationError

from fedstake.errors import FedstakeError, InputError
from fedstake.outside import (
    SEAL,
    UnreadableError,
    literal,
    problem,
    read_json,
    read_toml,
    shown,
    unsealed,
)
from sim.recording import CORE, Table
from sim.registries import protocols
from sim.scenario import SCHEMA_VERSION

MANIFEST, SCENARIO = "manifest.json", "scenario.toml"
MANIFEST_BYTES, SCENARIO_BYTES = 64 << 20, 16 << 20
"""Most bytes of such a file that are read."""


class RunError(InputError):
    """A run directory that is not what it should be; one line."""


# --- keys ---------------------------------------------------------------------------------------

RUN_ID = re.compile("[0-9a-f]{32}")
"""The id of a run, which is the name of its directory in a sweep."""
Identity = Annotated[str, Field(pattern=f"^{RUN_ID.pattern}$")]
Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
TableFile = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}\.parquet$")]
PlanFile = Annotated[str, Field(pattern=r"^plan(-[0-9a-f]{1,64})?\.parquet$")]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
Natural = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
Rounds = Annotated[int, Field(ge=0, le=1_000_000, strict=True)]
Devices = Annotated[int, Field(ge=1, le=100_000, strict=True)]
Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)]


class Listed(BaseModel):
    """A file that a manifest lists."""

    bytes: Natural
    sha256: Hash


class Reason(BaseModel):
    """Where and why a run failed."""

    stage: StrictStr
    error: StrictStr
    traceback: StrictStr


class RunManifest(BaseModel):
    """The keys of a run's manifest that readers rely on; a protocol may add others."""

    schema_version: Natural
    run_id: Identity
    files: dict[TableFile, Listed]
    scenario: Listed
    name: Label = "run"
    seed: Natural = 0
    protocol: StrictStr = ""
    rounds: Rounds = 0
    wall_s: Seconds = 0.0
    cpu_s: Seconds = 0.0
    parameters: Natural = 0
    plugins: dict[str, StrictStr] = {}
    failed: Reason | None = None


class Part(BaseModel):
    """A part of a payout rule, as a recorded scenario has it."""

    part: StrictStr
    params: dict[str, Any] = {}


class Payout(BaseModel):
    """The money of a recorded scenario, as far as readers rely on it."""

    asset: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,15}$")] = "STAKE"
    mechanism: StrictStr = ""
    params: dict[str, Any] = {}
    parts: list[Part] = []


class Group(BaseModel):
    """A group of a recorded scenario, as far as readers rely on it."""

    name: Label = "malicious"
    strategies: dict[str, Any] | list[Any] | None = None


class Record(BaseModel):
    """What a recorded scenario says of its tables."""

    tape: StrictBool = False


class Settings(BaseModel):
    """The keys of a recorded scenario that readers rely on; a protocol has others."""

    name: Label = "scenario"
    protocol: StrictStr = ""
    seed: Natural = 0
    rounds: Rounds = 0
    devices: Devices = 1
    payout: Payout = Payout()
    adversaries: list[Group] = []
    record: Record = Record()


class PlanListed(Listed):
    """The plan that a `sweep.json` names."""

    file: PlanFile


class Block(BaseModel):
    """A block of a sweep's design, as far as readers rely on it."""

    factors: dict[str, Any] = {}


class Request(BaseModel):
    """A sweep's file, as far as readers rely on it."""

    name: Label
    scenario: StrictStr = ""
    design: list[Block] = []
    scorecard: dict[str, Any] = {}


class Header(BaseModel):
    """The keys of `sweep.json` that readers rely on."""

    schema_version: Natural
    spec: Request
    plan: PlanListed
    plan_digest: StrictStr
    factors: list[Annotated[str, Field(min_length=1, strict=True)]]
    runs: Natural
    versions: dict[str, str | None] = {}
    git: str | None = None


class Index(BaseModel):
    """The index of compacted tables."""

    part: Annotated[str, Field(pattern=r"^part-[A-Za-z0-9_]{1,60}$")]
    runs: list[Identity]
    files: dict[TableFile, Listed]


class Failure(BaseModel):
    """How a run failed."""

    model_config = ConfigDict(strict=True)

    run_id: Identity
    stage: str
    error: str
    traceback: str


def checked_keys(model: type[BaseModel], values: Any, file: Path) -> None:
    """Raise `RunError` unless values from a file have the keys of a model, of the right types."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = literal(".".join(str(part) for part in first["loc"] if part != "[key]"))
        if first["type"] == "missing":
            raise RunError(f"{shown(file)}: {key[:120]}: missing") from None
        # Pydantic begins with "Input should", "String should", ...
        right = re.sub(r"^\w+ should", "must", first["msg"].replace("Input should", "must"))
        raise RunError(f"{shown(file)}: {key[:120]} = {_short(first['input'])}: {right}") from None


def _short(value: Any) -> str:
    text = literal(repr(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_sealed(file: Path, model: type[BaseModel]) -> dict[str, Any]:
    """Return the values of a file that carries its own hash, keys and types checked.

    Those of another `schema_version` are returned as they are: the caller says who reads them.
    Raises `FileNotFoundError` without the file, `RunError` when it is damaged or wrong.
    """
    try:
        refuse_links_out(file)
        found = read_json(file, MANIFEST_BYTES)
        version = found.get("schema_version") if isinstance(found, dict) else None
        if _other_version(version) and SEAL not in found:
            return dict(found)
        values = unsealed(found, file)
    except UnreadableError as error:
        raise RunError(f"{shown(file)}: unreadable ({error.reason})") from None
    if not _other_version(version):
        checked_keys(model, values, file)
    return values


def _other_version(version: Any) -> bool:
    return type(version) is int and version != SCHEMA_VERSION


def read_manifest(folder: Path, name: str = MANIFEST) -> dict[str, Any]:
    """Return the manifest of a run; `RunError` when it is damaged, wrong or of another version."""
    file = folder / name
    try:
        found = read_sealed(file, RunManifest)
    except FileNotFoundError:
        raise RunError(f"{shown(folder)}: incomplete, {name} is missing") from None
    version = found["schema_version"]
    if version != SCHEMA_VERSION:
        raise RunError(
            f"{shown(folder)}: recorded with schema {version}, this version reads "
            f"{SCHEMA_VERSION}; run the scenario again"
        )
    return found


def read_settings(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plain values of a run's scenario, its bytes and what readers use verified."""
    file = folder / SCENARIO
    verify(file, manifest["scenario"])
    try:
        settings = read_toml(file, SCENARIO_BYTES)
    except UnreadableError as error:
        raise RunError(f"{shown(file)}: unreadable ({error.reason})") from None
    checked_keys(Settings, settings, file)
    for key in ("name", "seed"):
        if key in manifest and key in settings and manifest[key] != settings[key]:
            both = f"{_short(settings[key])}: {MANIFEST} has {_short(manifest[key])}"
            raise RunError(f"{shown(file)}: {key} = {both}")
    return settings


# --- hashes -------------------------------------------------------------------------------------


def listing(file: Path) -> dict[str, Any]:
    """Return how a manifest lists a file: its bytes and their SHA-256."""
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def refuse_links_out(file: Path) -> None:
    """Raise `RunError` for a link that leads out of the folder it stands in."""
    if file.is_symlink() and file.resolve().parent != file.parent.resolve():
        raise RunError(f"{shown(file)}: is a link that leads out of its folder; copy the file")


def verify(file: Path, listed: Mapping[str, Any]) -> None:
    """Raise `RunError` unless a file has the bytes that were recorded.

    A file that does not change is read once for it.
    """
    try:
        refuse_links_out(file)
        status = file.stat()
        if not stat.S_ISREG(status.st_mode):
            raise RunError(f"{shown(file)}: is no regular file")
        if status.st_size != listed["bytes"]:
            raise RunError(f"{shown(file)}: damaged, its size is not the recorded one")
        digest = _sha256(str(file.absolute()), status.st_mtime_ns, status.st_size, status.st_ino)
    except FileNotFoundError:
        raise RunError(f"{shown(file.parent)}: incomplete, {file.name} is missing") from None
    except OSError as error:
        raise RunError(f"{shown(file)}: cannot be read ({error.strerror})") from None
    if digest != listed["sha256"]:
        raise RunError(f"{shown(file)}: damaged, its SHA-256 is not the recorded one")


@lru_cache(maxsize=200_000)
def _sha256(file: str, _mtime_ns: int, _size: int, _inode: int) -> str:
    """Return the SHA-256 of a file; computed again when it has changed."""
    with open(file, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def verified(folder: Path, manifest: Mapping[str, Any], table: str) -> Path:
    """Return the file of a table that a run's manifest lists, its bytes verified."""
    name = f"{table}.parquet"
    if name not in manifest["files"]:
        raise RunError(f"{shown(folder)}: this run has no table {literal(table)!r}")
    verify(folder / name, manifest["files"][name])
    return folder / name


def damage(run: Path, run_id: str = "") -> str:
    """Return what is wrong with the files of a run, "" for nothing.

    `run_id`: of which run it must be; "": of any.
    """
    try:
        manifest = read_manifest(run)
        if run_id and manifest["run_id"] != run_id:
            return f"{shown(run)}: holds another run ({manifest['run_id'][:12]})"
        verify(run / SCENARIO, manifest["scenario"])
        for name, listed in manifest["files"].items():
            verify(run / name, listed)
    except RunError as error:
        return str(error)
    return ""


# --- tables -------------------------------------------------------------------------------------


def declared_tables(protocol: Any) -> Mapping[str, Table]:
    """Return the tables that an installed protocol declares, of others those of every run.

    Nothing is imported by path.
    """
    if isinstance(protocol, str) and protocols.is_known(protocol):
        tables: Mapping[str, Table] = protocols.get(protocol).all_tables()  # type: ignore[attr-defined]
        return tables
    return CORE


def check_schema(file: Path, schema: pa.Schema, declared: Mapping[str, Table]) -> None:
    """Raise `RunError` for columns of a table that no reader expects.

    Args:
        file: of the table, whose name is the table's.
        schema: its columns.
        declared: tables by name; columns of theirs have the declared types.
    """
    names = [name.casefold() for name in schema.names]
    if len(set(names)) < len(names):
        raise RunError(f"{shown(file)}: two columns have the same name")
    table = declared.get(file.stem)
    known = table.columns if table else {}
    for column in schema:
        if not column.name or problem(column.name):
            raise RunError(f"{shown(file)}: a column has no proper name")
        expected = known[column.name].type if column.name in known else None
        if not _fits(column.type, expected):
            wanted = expected if expected is not None else "numbers, truth values or text"
            raise RunError(
                f"{shown(file)}: column {literal(column.name)} is {column.type}; must be {wanted}"
            )


def _fits(kind: pa.DataType, expected: pa.DataType | None) -> bool:
    """Return whether a column has its declared type, or one that tables have at all."""
    while pa.types.is_list(kind) and expected is None:
        kind = kind.value_type
    words = pa.types.is_dictionary(kind) and pa.types.is_string(kind.value_type)
    if expected is None:
        return words or any(is_kind(kind) for is_kind in PLAIN)
    if pa.types.is_dictionary(expected):
        return words or pa.types.is_string(kind)
    return bool(kind == expected)


PLAIN = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_string,
    pa.types.is_binary,
    pa.types.is_large_binary,
)
"""Types of columns, beside words from a dictionary and lists of these."""
COUNTED = {"round": (0, 1_000_001), "device": (-1, 2**31)}
"""Columns of numbers that readers count by, and the least and the largest they may be."""


def check_values(file: Path, table: pa.Table) -> None:
    """Raise `RunError` for rounds and devices that no run can have had."""
    # `pyarrow.compute` documents hundreds of functions when it is imported, which takes longer than
    # all else here; this is what it calls.
    from pyarrow._compute import call_function

    for name, (least, most) in COUNTED.items():
        if name not in table.column_names or not pa.types.is_integer(table[name].type):
            continue
        column = table[name]
        if column.null_count and file.stem in CORE and name == "round":
            raise RunError(f"{shown(file)}: column {name} has gaps; every row has one")
        bounds = call_function("min_max", [column]).as_py()
        for value in bounds.values():
            if value is not None and not least <= value <= most:
                raise RunError(f"{shown(file)}: {name} = {value}: must be {least} to {most:,}")


def read_schema(file: Path) -> pa.Schema:
    """Return the columns of a Parquet file; `RunError` when it is none."""
    try:
        return pq.read_schema(file)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(f"{shown(file)}: damaged ({_first_line(error)})") from None


def read_parquet(file: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Return a Parquet file as an Arrow table, without what other programs noted in it."""
    try:
        with pq.ParquetFile(file) as opened:  # without what `read_table` imports for folders
            table = opened.read(columns=None if columns is None else list(columns))
        return table.replace_schema_metadata(None)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise RunError(f"{shown(file)}: damaged ({_first_line(error)})") from None


def _first_line(error: Exception) -> str:
    return literal(str(error).partition("\n")[0])[:200]


# --- plans --------------------------------------------------------------------------------------

PLAN_COLUMNS: Mapping[str, pa.DataType] = {
    "run_id": pa.string(),
    "cell": pa.int64(),
    "seed": pa.int64(),
    "scenario": pa.string(),
}
"""The columns of a plan beside the factors."""
LEVELS = (pa.string(), pa.float64(), pa.bool_(), pa.int64())


def check_plan(file: Path, plan: pa.Table, factors: Sequence[str]) -> None:
    """Raise `RunError` unless a plan has its columns and a row per run."""
    wanted = [*PLAN_COLUMNS, *factors]
    if plan.column_names != wanted:
        names = literal(", ".join(plan.column_names))[:120]
        raise RunError(
            f"{shown(file)}: has columns {names}; must be {literal(', '.join(wanted))[:120]}"
        )
    for name, kind in PLAN_COLUMNS.items():
        found = plan.schema.field(name).type
        found = found.value_type if pa.types.is_dictionary(found) else found
        if found != kind or plan[name].null_count:
            raise RunError(f"{shown(file)}: column {name} must hold {kind} without gaps")
    from pyarrow import compute as pc

    for name in ("cell", "seed"):
        least = pc.min(plan[name]).as_py()
        if least is not None and least < 0:
            raise RunError(f"{shown(file)}: {name} = {least}: must be at least 0")
    for name in factors:
        if plan.schema.field(name).type not in LEVELS or plan[name].null_count:
            raise RunError(
                f"{shown(file)}: factor {literal(name)[:60]} must hold text, numbers or truth "
                "values without gaps"
            )
    ids = plan["run_id"].to_pylist()
    for run_id in ids:
        if not RUN_ID.fullmatch(run_id):
            raise RunError(
                f"{shown(file)}: run_id = {_short(run_id)}: must be 32 hexadecimal digits"
            )
    if len(set(ids)) < len(ids):
        raise RunError(f"{shown(file)}: a run stands there twice")
    for text in plan["scenario"].unique().to_pylist():
        _check_object(text, file)


def _check_object(text: str, file: Path) -> None:
    """Raise `RunError` unless text is a JSON object that a scenario can be."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    wrong = "must be a JSON object" if not isinstance(values, dict) else problem(values)
    if wrong:
        raise RunError(f"{shown(file)}: scenario = {_short(text)}: {wrong}")
    checked_keys(Settings, values, file)


# --- the rest -----------------------------------------------------------------------------------


@contextmanager
def sound(place: Path, what: str) -> Iterator[None]:
    """Tell in one line that recorded tables do not fit together; `--debug` shows where.

    Their columns have the right names and types when they get here; what values a stranger can put
    into them has no end.
    """
    try:
        yield
    except FedstakeError:
        raise
    except UNFIT as error:
        reason = type(error).__name__
        if isinstance(error, KeyError):
            reason = f"there is no {literal(str(error))[:60]}"
        raise RunError(
            f"{shown(place)}: {what} cannot be made: what is recorded does not fit together "
            f"({reason}; --debug shows where)"
        ) from error


UNFIT = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    pa.ArrowException,
)
"""What code raises that meets values which it does not expect."""

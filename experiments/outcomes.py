"""What runs come to: aggregates that a protocol declares, computed over recorded tables.

A declaration comes from a recorded folder, perhaps somebody else's. It is one SQL expression, run
in a database that reads nothing but that folder.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from experiments.rundir import MANIFEST, RunError, RunResult

FIELDS = {"table", "sql", "meaning", "best", "headline"}
"""What a declared outcome says of itself; see `sim.protocol.Outcome`."""


def checked(declared: Any, place: str) -> dict[str, dict[str, Any]]:
    """Return declared outcomes by name; raise `RunError` unless each is one SQL expression."""
    if not isinstance(declared, Mapping):
        raise RunError(f"{place}: outcomes: must be a table of outcomes")
    for name, outcome in declared.items():
        where = f"{place}: outcomes.{name}"
        if not isinstance(outcome, Mapping) or outcome.keys() != FIELDS:
            raise RunError(f"{where}: must have {', '.join(sorted(FIELDS))}")
        check_expression(outcome["sql"], f"{where}.sql")
    return dict(declared)


def check_expression(sql: Any, where: str) -> None:
    """Raise `RunError` unless this is one SQL expression that selects and does nothing else."""
    if not isinstance(sql, str):
        raise RunError(f"{where} = {sql!r}: must be an SQL expression")
    try:
        statements = duckdb.extract_statements(f"select ({sql}) from t")
    except duckdb.Error as error:
        raise RunError(f"{where} = {sql!r}: {str(error).splitlines()[0]}") from None
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise RunError(f"{where} = {sql!r}: must be one SQL expression")


@contextmanager
def locked(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database that reads files of one folder, and nothing else."""
    with duckdb.connect() as db:
        db.execute(f"set allowed_directories = ['{_escaped(folder.absolute())}']")
        db.execute("set enable_external_access = false")
        db.execute("set lock_configuration = true")
        yield db


def of_run(run: RunResult) -> dict[str, tuple[str, Any]]:
    """Return by name the meaning and the value of the outcomes that the summary of a run shows."""
    place = str(run.path / MANIFEST)
    found = {}
    with locked(run.path) as db:
        for name, outcome in checked(run.manifest.get("outcomes", {}), place).items():
            if outcome["headline"] and run.has({outcome["table"]: ()}):
                file = _escaped(run.path.absolute() / f"{outcome['table']}.parquet")
                try:
                    row = db.execute(
                        f"select ({outcome['sql']}) from read_parquet('{file}')"
                    ).fetchone()
                except duckdb.Error as error:
                    reason = str(error).splitlines()[0]
                    raise RunError(f"{place}: outcomes.{name}.sql: {reason}") from None
                found[name] = (str(outcome["meaning"]), row[0] if row else None)
    return found


def _escaped(path: Path) -> str:
    """Return a path for an SQL string; `[` and the like stand for themselves."""
    return glob.escape(str(path)).replace("'", "''")

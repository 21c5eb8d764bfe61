"""What runs come to: aggregates that a protocol declares, computed over recorded tables.

A declaration comes from a recorded folder, perhaps somebody else's. It is one SQL expression over
the columns of one table, without queries or functions of its own that read other things; it is run
in a database that reads nothing but that folder, with bounded memory and time.
"""

from __future__ import annotations

import atexit
import glob
import math
import os
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb

from experiments.numerals import digits, number
from experiments.rundir import MANIFEST, RunError
from experiments.runfiles import RunFiles
from fedstake.outside import shown

FIELDS = {"table", "sql", "meaning", "best", "headline"}
"""What a declared outcome says of itself; see `sim.protocol.Outcome`."""
KEYS = {"run_id", "cell", "seed", "row", "runs"}
"""Names of columns that frames of outcomes have anyway."""
NAME = re.compile(r"[A-Za-z]\w{0,59}", re.ASCII)
FORBIDDEN = re.compile(r"--|/\*|;|\$\$|\b(select|from|with|range|generate_series|repeat)\b", re.I)
"""Comments, further statements, queries, and functions that multiply rows or text."""
LONGEST, MOST = 500, 100
"""Letters of an expression; outcomes of a protocol."""
SECONDS, MEMORY = 60.0, "2GB"
"""Most that all queries over the outcomes of a sweep may take."""
LOCKS = (
    ("enable_external_file_cache", "false"),
    ("autoinstall_known_extensions", "false"),
    ("autoload_known_extensions", "false"),
    ("allow_community_extensions", "false"),
    ("allow_persistent_secrets", "false"),
    ("python_enable_replacements", "false"),
    ("enable_external_access", "false"),
    ("lock_configuration", "true"),
)
"""Settings of a locked database; the last two in this order, after all others.

No file is kept in memory from one query to the next.
"""


def checked(declared: Any, place: str) -> dict[str, dict[str, Any]]:
    """Return declared outcomes by name; raise `RunError` for a malformed one."""
    if not isinstance(declared, Mapping) or len(declared) > MOST:
        raise RunError(f"{place}: outcomes: must be a table of at most {MOST} outcomes")
    for name, outcome in declared.items():
        where = f"{place}: outcomes.{shown(name[:60])}"
        if not NAME.fullmatch(name) or name.casefold() in KEYS:
            raise RunError(f"{where}: letters, digits and _ only, and none of {_listed(KEYS)}")
        if not isinstance(outcome, Mapping) or outcome.keys() != FIELDS:
            raise RunError(f"{where}: must have {_listed(FIELDS)}")
        if not isinstance(outcome["table"], str) or not NAME.fullmatch(outcome["table"]):
            raise RunError(f"{where}.table = {outcome['table']!r}: must be the name of a table")
        if outcome["best"] not in ("max", "min", "") or not isinstance(outcome["headline"], bool):
            raise RunError(f"{where}: best must be max, min or empty, headline true or false")
        if not isinstance(outcome["meaning"], str) or not outcome["meaning"].isprintable():
            raise RunError(f"{where}.meaning: must be one line of text")
        check_expression(outcome["sql"], f"{where}.sql")
    return dict(declared)


def check_expression(sql: Any, where: str) -> None:
    """Raise `RunError` unless this is one SQL expression over the columns of a table."""
    if not isinstance(sql, str) or len(sql) > LONGEST or not sql.isprintable():
        raise RunError(f"{where}: must be an SQL expression of at most {LONGEST} letters")
    found = FORBIDDEN.search(sql)
    if found:
        raise RunError(f"{where} = {sql!r}: must be an expression without {found[0]!r}")
    check_statement(f"select ({sql}) from t", f"{where} = {sql!r}")


def check_statement(query: str, where: str) -> None:
    """Raise `RunError` unless a text is exactly one query."""
    try:
        statements = duckdb.extract_statements(query)
    except duckdb.Error as error:
        raise RunError(f"{where}: {str(error).splitlines()[0]}") from None
    if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
        raise RunError(f"{where}: must be one SQL query that reads")


@contextmanager
def locked(
    folder: Path, *, seconds: float | None = SECONDS, memory: str = MEMORY, spill: str = "0KB"
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database that reads files of one folder and nothing else, for a bounded time.

    No other file, no network, no extension, no variable of Python; nothing of this can be unlocked.

    Args:
        folder: whose files can be read.
        seconds: longest time of all queries; None: no limit, for those that the user asks.
        memory: most memory.
        spill: most disk space for what does not fit in memory, in a folder that is removed.
    """
    database = _database(str(folder.absolute()), memory, spill)
    with database.connection.cursor() as db:
        timer = threading.Timer(seconds or 0.0, db.interrupt)
        timer.daemon = True
        if seconds is not None:
            timer.start()
        try:
            yield db
        finally:
            timer.cancel()


class _Database:
    """A locked database. Views and registered frames are those of each cursor alone."""

    def __init__(self, home: str, memory: str, spill: str) -> None:
        # Paths are compared twice, as patterns and as what they stand for.
        allowed = ", ".join(_text_in_sql(path) for path in dict.fromkeys((home, glob.escape(home))))
        scratch = tempfile.mkdtemp()
        weakref.finalize(self, shutil.rmtree, scratch, ignore_errors=True)
        self.connection = duckdb.connect()
        for setting, value in (
            ("temp_directory", _text_in_sql(scratch)),
            ("memory_limit", f"'{memory}'"),
            ("max_temp_directory_size", f"'{spill}'"),
            ("allowed_directories", f"[{allowed}]"),
            *LOCKS,
        ):
            self.connection.execute(f"set {setting} = {value}")


@lru_cache(maxsize=4)
def _database(home: str, memory: str, spill: str) -> _Database:
    """Return the database of a folder, which takes thirty times as long to open as a cursor."""
    return _Database(home, memory, spill)


os.register_at_fork(before=_database.cache_clear)  # a forked process has none of its threads
atexit.register(_database.cache_clear)  # what is open at the end is told as leaked, on stderr


def of_run(run: RunFiles) -> dict[str, tuple[str, str]]:
    """Return by name the meaning and the value of the outcomes that the summary of a run shows."""
    place = str(run.path / MANIFEST)
    found = {}
    with locked(run.path) as db:
        for name, outcome in checked(run.manifest.get("outcomes", {}), place).items():
            if not outcome["headline"] or not run.has({outcome["table"]: ()}):
                continue
            file = _escaped(run.file(outcome["table"]).absolute())
            query = f"select ({outcome['sql']}) from read_parquet('{file}')"
            try:
                row = db.execute(query).fetchone()
            except duckdb.Error as error:
                reason = str(error).splitlines()[0]
                raise RunError(f"{place}: outcomes.{name}.sql: {reason}") from None
            value = row[0] if row else None
            found[name] = (outcome["meaning"], _text(value, f"{place}: outcomes.{name}.sql"))
    return found


def _text(value: Any, where: str) -> str:
    """Return a number for reading; raise `RunError` for what is none."""
    if value is None:
        return "none"
    if not isinstance(value, int | float):
        raise RunError(f"{where}: gives {type(value).__name__}, must give a number")
    if not math.isfinite(value):
        return str(value)
    return number(value, digits([value]))


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(names))


def _text_in_sql(path: str) -> str:
    """Return a path as an SQL string."""
    return "'" + path.replace("'", "''") + "'"


def _escaped(path: Path) -> str:
    """Return a path for an SQL string; `[` and the like stand for themselves."""
    return glob.escape(str(path)).replace("'", "''")

"""The results of a sweep as tidy pandas frames; DuckDB reads the Parquet files underneath."""

from __future__ import annotations

import glob
import itertools
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from experiments.folders import exclusive, sync
from experiments.intervals import WAYS, interval
from experiments.labels import Labels, labels_of
from experiments.outcomes import check_statement, checked, locked
from experiments.recorded import (
    Failure,
    RunError,
    check_schema,
    declared_tables,
    listing,
    read_manifest,
    read_schema,
    read_sealed,
    verify,
)
from experiments.rundir import failed_place, write_file
from experiments.runresult import RunResult, nullable, open_run
from experiments.sweeps import manifest
from experiments.sweeps.manifest import COMPACT, INDEX, RUNS, SWEEP, plan_file, read_sweep
from fedstake.folders import recorded_folder
from fedstake.outside import literal, seal
from sim.recording import CORE, INTEGER, NUMBER, TEXT, Table
from sim.scenario import SCHEMA_VERSION

T = TypeVar("T")

Files = Mapping[str, Mapping[str, Any]]
"""Files by name, with size and hash."""
AGAIN = "the same `fedstake sweep` plays it again"

KEYS = ("run_id", "cell", "seed")
USUAL = ("accuracy", "honest_utility", "adversary_utility")
"""Outcomes that a summary shows where there are any."""


def per_seed(runs: pd.DataFrame, column: str) -> np.ndarray:
    """Return the mean of a column over the runs of each seed, `float64[seeds]`; known ones only.

    Runs of one seed share its luck: they are no independent observations.
    """
    return runs[column].astype(float).groupby(runs["seed"]).mean().dropna().to_numpy()


def _counts(group: pd.DataFrame) -> dict[str, int]:
    """Return how many runs of a group are done and of how many seeds, and how many failed."""
    if "failed" not in group:
        return {"runs": len(group), "seeds": group["seed"].nunique()}
    failed = group["failed"].astype(bool)
    seeds = group.loc[~failed, "seed"].nunique()
    return {"runs": int((~failed).sum()), "failed": int(failed.sum()), "seeds": seeds}


def _means(group: pd.DataFrame, wanted: list[str], ci: str, level: float) -> dict[str, float]:
    """Return the mean of each column over the seeds of a group, with the bounds of its interval."""
    row = {}
    for column in wanted:
        values = per_seed(group, column)
        row[column] = values.mean() if len(values) else np.nan
        if ci != "none":
            row[f"{column}_low"], row[f"{column}_high"] = interval(values, ci, level)
    return row


class Results:
    """A sweep's folder, complete or still being written.

    Every frame carries `run_id`, `cell`, `seed` and the factors.

    What is read is what was recorded when it is read: open again, or call `refresh`, to see more.
    """

    def __init__(self, folder: Path, sweep: dict[str, Any]) -> None:
        self.folder = folder
        self._see(sweep)

    def __repr__(self) -> str:
        runs = len(self._plan)
        done = len(self._done)
        return f"Results({str(self.folder)!r}: {done} of {runs} runs, factors {self.factors})"

    def _repr_html_(self) -> str:
        """Return the repr and the means of each group of runs, as a notebook shows the sweep."""
        line = f"<p>{escape(literal(repr(self)))}</p>"
        try:
            means = self.summary(ci="none")
        except RunError:  # damaged: a repr shows what it can
            return line
        return line + (means.to_html(index=False) if self._done else "")

    @classmethod
    def open(cls, folder: str | Path | Results) -> Results:
        """Open a sweep's folder, or opened results again.

        Raises `RunError` for a folder that holds no sweep, or one of a schema that this version
        cannot read.
        """
        path = recorded_folder(folder, "folder")
        sweep = read_sweep(path)
        schema = sweep["schema_version"]
        if schema != SCHEMA_VERSION:
            writer = sweep.get("versions", {}).get("fedstake") or "unknown"
            raise RunError(
                f"{path}: recorded with schema {schema}, this version reads {SCHEMA_VERSION}: "
                "columns differ; run the sweep again, or open it with the version that wrote it "
                f"({writer})"
            )
        plan = plan_file(path, sweep)
        if not plan.is_file():
            raise RunError(f"{path}: incomplete, {plan.name} is missing")
        return cls(path, sweep)

    def refresh(self) -> None:
        """See what has been recorded since; a sweep that grew shows its new runs and factors."""
        self._see(read_sweep(self.folder))

    def _see(self, sweep: dict[str, Any]) -> None:
        """Show the folder as it is now, by these settings of the sweep."""
        self._sweep = sweep
        self.factors: list[str] = list(sweep["factors"])
        self._receipts = manifest.receipts(self.folder)
        self._compact = manifest.compacted(self.folder)
        self._files: dict[str, Files] = {}
        # Cached properties live in `__dict__`: without their entries they are computed anew.
        for name in ("_plan", "_done", "_runs", "_outcomes", "columns", "labels"):
            self.__dict__.pop(name, None)

    @property
    def name(self) -> str:
        return str(self._sweep["spec"]["name"])

    @property
    def got_more_seeds(self) -> bool:
        """Whether seeds were added after the sweep had begun: somebody may have looked before."""
        return manifest.got_more_seeds(self.folder, self._sweep)

    @property
    def spec(self) -> dict[str, Any]:
        """The sweep's file, as plain values."""
        return dict(self._sweep["spec"])

    @cached_property
    def labels(self) -> Labels:
        """What tables and figures call the factors and their levels."""
        levels = {factor: self._plan[factor].unique().tolist() for factor in self.factors}
        return labels_of(levels, self.spec.get("labels"), self._sweep.get("plugins"))

    @property
    def versions(self) -> dict[str, str | None]:
        """Of the packages that planned it, and its git state."""
        return {**self._sweep.get("versions", {}), "git": self._sweep.get("git")}

    @cached_property
    def _plan(self) -> pd.DataFrame:
        plan = manifest.read_plan(self.folder, self._sweep)
        return plan.to_pandas(types_mapper=nullable)

    @cached_property
    def _done(self) -> list[str]:
        """Runs of the plan that ended well and have their data, sorted."""
        there = manifest.with_data(self.folder)
        return sorted(r for r in self._plan["run_id"] if r in there and self._status(r) == "done")

    def _status(self, run_id: str) -> str:
        receipt = self._receipts.get(run_id)
        return receipt.status if receipt else "missing"

    @cached_property
    def columns(self) -> dict[str, dict[str, pa.DataType]]:
        """Columns by table that some finished run has, with their types.

        Every sweep has the columns of the core tables.
        """
        return self._steady(self._read_columns)

    def _read_columns(self) -> dict[str, dict[str, pa.DataType]]:
        known = {name: _types(table) for name, table in CORE.items()}
        for file, listed, protocol in self._samples():
            self._mendable(verify, file, listed)
            schema = read_schema(file)
            check_schema(file, schema, declared_tables(protocol))
            columns = known.setdefault(file.stem, {})
            for f in schema:
                if f.name not in ("run_id", "row"):
                    columns[f.name] = _common(columns.get(f.name, f.type), f.type)
        return known

    def _samples(self) -> Iterator[tuple[Path, Mapping[str, Any], Any]]:
        """Yield a file of each table for each set of tables that runs of one protocol have.

        With each its size and hash, and the protocol; none where runs of several share a file.
        """
        for name, listed in self._compact.files.items():
            yield self.folder / COMPACT / self._compact.part / name, listed, None
        protocol = {cell: s.get("protocol") for cell, s in self.scenarios().items()}
        loose = set(self._done) - set(self._compact.runs)
        first = self._plan[self._plan["run_id"].isin(loose)].drop_duplicates("cell")
        seen = set()
        for run_id, cell in zip(first["run_id"], first["cell"], strict=True):
            files = self._files_of(run_id)
            kind = (protocol[int(cell)], tuple(sorted(files)))
            if kind not in seen:
                seen.add(kind)
                for name, listed in files.items():
                    yield self.folder / RUNS / run_id / name, listed, kind[0]

    def _files_of(self, run_id: str) -> Files:
        """Return the files that a run's own manifest lists, which is read once."""
        if run_id not in self._files:
            run = self.folder / RUNS / run_id
            recorded = self._mendable(read_manifest, run)
            if recorded["run_id"] != run_id:
                raise RunError(f"{run}: holds another run; {AGAIN}")
            self._files[run_id] = recorded["files"]
        return self._files[run_id]

    def _mendable(self, read: Callable[..., Any], *given: Any) -> Any:
        """Return what a function reads of a run; its error says how damage is mended."""
        try:
            return read(*given)
        except RunError as error:
            raise RunError(f"{error}; {AGAIN}") from None

    def has(self, needs: Mapping[str, Sequence[str]]) -> bool:
        """Return whether some finished run has each of these tables with each of these columns."""
        return all(set(columns) <= self.columns.get(t, {}).keys() for t, columns in needs.items())

    # --- frames -----------------------------------------------------------------------------------

    def runs(self) -> pd.DataFrame:
        """Return one row per planned run: keys, factors, `status`; of done ones also the cost.

        `status` is done, failed or missing; the cost is `wall_s`, `cpu_s` and `bytes`; `note` says
        what was damaged of a run that was played again for it.
        """
        return self._runs.copy()

    @cached_property
    def _runs(self) -> pd.DataFrame:
        """The planned runs, which a scorecard asks for many times."""
        frame = self._plan.drop(columns="scenario").copy()
        done = set(self._done)
        columns: dict[str, list[Any]] = {
            name: [] for name in ("status", "wall_s", "cpu_s", "bytes", "note")
        }
        for run_id in frame["run_id"]:
            status = self._status(run_id)
            wall_s = cpu_s = np.nan
            size = None
            if run_id in done:
                receipt = self._receipts[run_id]
                wall_s, cpu_s, size = receipt.wall_s, receipt.cpu_s, receipt.bytes
            elif status == "done":
                # Without data: somebody removed its folder, the next call of the sweep plays it.
                status = "missing"
            note = self._receipts[run_id].note if run_id in self._receipts else ""
            for name, value in zip(columns, (status, wall_s, cpu_s, size, note), strict=True):
                columns[name].append(value)
        frame["status"] = columns["status"]
        for name in ("wall_s", "cpu_s"):
            frame[name] = np.array(columns[name], dtype=float)
        frame["bytes"] = pd.array(columns["bytes"], dtype="Int64")
        frame["note"] = columns["note"]
        return frame

    def failures(self) -> pd.DataFrame:
        """Return one row per run that failed: keys, factors, `stage`, `error`, `traceback`, `kept`.

        `kept` is the folder with what it recorded until then, "" without one.
        """
        frame = self._plan.drop(columns="scenario")
        rows = []
        for receipt in self._receipts.values():
            if receipt.status == "failed":
                trace = self._traceback(receipt.run_id)
                place = failed_place(self.folder / RUNS / receipt.run_id)
                kept = str(place) if place.is_dir() else ""
                rows.append((receipt.run_id, receipt.stage, receipt.error, trace, kept))
        failed = pd.DataFrame(rows, columns=["run_id", "stage", "error", "traceback", "kept"])
        return frame.merge(failed, on="run_id")

    def _traceback(self, run_id: str) -> str:
        path = self.folder / RUNS / "failures" / f"{run_id}.json"
        try:
            return str(read_sealed(path, Failure)["traceback"])
        except (FileNotFoundError, RunError):
            return ""

    def rounds(self, **options: Any) -> pd.DataFrame:
        """Return the table `rounds` of all runs; options as for `table`."""
        return self.table("rounds", **options)

    def participants(self, **options: Any) -> pd.DataFrame:
        """Return the table `participants` of all runs; options as for `table`."""
        return self.table("participants", **options)

    def votes(self, **options: Any) -> pd.DataFrame:
        """Return the table `votes` of all runs; options as for `table`."""
        return self.table("votes", **options)

    def blocks(self, **options: Any) -> pd.DataFrame:
        """Return the table `blocks` of all runs; options as for `table`."""
        return self.table("blocks", **options)

    def journal(self, **options: Any) -> pd.DataFrame:
        """Return the table `journal` of all runs; options as for `table`."""
        return self.table("journal", **options)

    def table(
        self, name: str, *, columns: Sequence[str] | None = None, where: str | None = None
    ) -> pd.DataFrame:
        """Return one table of all finished runs, sorted by run and row.

        Args:
            name: as in `docs/reference/tables.md`.
            columns: only these of its columns. A factor that is called like one of them becomes
                `factor.<name>`.
            where: an SQL condition over its columns, the keys and the factors, as `"round = 15 and
                not adversary"`.
        """
        known = self._known(name)
        wanted = list(columns or known)
        for column in wanted:
            if column not in known:
                raise RunError(
                    f"{self.folder}: table {name} has no column {column!r}; "
                    f"it has {', '.join(known)}"
                )
        # A factor steps aside for a column of its name; DuckDB does not tell cases apart.
        taken = {column.casefold() for column in known}
        keys = [sql_name(key) for key in KEYS]
        plan = list(keys)
        for factor in self.factors:
            shown = factor if factor.casefold() not in taken else f"factor.{factor}"
            keys.append(sql_name(shown))
            plan.append(f"{sql_name(factor)} as {sql_name(shown)}")
        own = [f"t.{sql_name(column)}" for column in wanted]
        condition = f"where ({where})" if where else ""
        query = (
            f"select {', '.join([*keys, *own])} from t "
            f"join (select {', '.join(plan)} from p) using (run_id) "
            f"{condition} order by cell, seed, row"
        )
        return self.sql(query, t=name)

    def _known(self, name: str) -> dict[str, pa.DataType]:
        """Return the columns of a table; `RunError` when no run has it."""
        if name not in self.columns:
            raise RunError(
                f"{self.folder}: there is no table {name!r}; there are {', '.join(self.columns)}"
            )
        return self.columns[name]

    def sql(
        self,
        query: str,
        tables: Iterable[str] = (),
        *,
        seconds: float | None = None,
        **names: str,
    ) -> pd.DataFrame:
        """Return the answer to a DuckDB query over the tables and the plan `p`.

        It reads the files of this folder and nothing else, and can write nothing. A name from
        outside, as that of a factor, belongs in `sql_name`.

        Args:
            query: reads tables by their names; each has a `run_id` and a `row` beside its own
                columns.
            tables: those it reads (default: all).
            seconds: longest time, for a query of somebody else; None: no limit.
            names: other names for tables, as `t="rounds"`.
        """
        used = names or {name: name for name in tuple(tables) or self.columns}
        check_statement(query, f"{self.folder}: query")
        with self._database(seconds) as db:
            db.register("p", self._plan.drop(columns="scenario"))
            return self._query(db, query, used)

    def _database(
        self, seconds: float | None = None
    ) -> AbstractContextManager[duckdb.DuckDBPyConnection]:
        """Return a database for queries of this package and its user: locked, but not in a hurry.

        The data may be larger than memory.
        """
        return locked(self.folder, seconds=seconds, memory="80%", spill="1TB")

    def _query(
        self, db: duckdb.DuckDBPyConnection, query: str, views: Mapping[str, str]
    ) -> pd.DataFrame:
        """Return what a query gives over views of tables, by the names that it uses for them."""

        def read() -> pd.DataFrame:
            for alias, name in views.items():
                source = self._source(name)
                db.execute(f"create or replace temp view {sql_name(alias)} as {source}")
            # By way of Arrow: whole numbers with gaps stay whole, and exact.
            return db.sql(query).to_arrow_table().to_pandas(types_mapper=nullable)

        try:
            return self._steady(read)
        except duckdb.InterruptException:
            raise RunError(f"{self.folder}: the query took too long and was stopped") from None
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise RunError(f"{self.folder}: {reason}{self._damage()}") from None

    def _steady(self, read: Callable[[], T]) -> T:
        """Return what `read` gives, or raise; read again when tables were compacted meanwhile.

        Compacting moves tables from one place to another: what was looked for in both may have
        been in neither.
        """
        while True:
            before = self._compact
            problem: Exception | None = None
            try:
                answer = read()
            except (duckdb.Error, pa.ArrowException, OSError, RunError) as error:
                problem = error
            self._compact = manifest.compacted(self.folder)
            if self._compact != before:
                continue
            if problem is not None:
                raise problem
            return answer

    def _damage(self) -> str:
        """Return what is wrong with a run's files and how to mend it; nothing when all is well."""
        for run_id in manifest.damaged(self.folder, self._done):
            return f"; run {run_id} is damaged, {AGAIN}"
        return ""

    def _source(self, name: str, *, of_plan: bool = True) -> str:
        """Return a select over the compact file and the parts of all runs that are not in it.

        A column or a table that a run has not got is null or empty. `of_plan` leaves out compacted
        runs that are no longer part of the sweep.
        """
        known = self._known(name)
        empty = ", ".join(_null(column, kind) for column, kind in known.items())
        parts = []

        # The compact file.
        file = self.folder / COMPACT / self._compact.part / f"{name}.parquet"
        if file.name in self._compact.files:
            self._mendable(verify, file, self._compact.files[file.name])
            columns = _columns_in(file, known)
            select = f"select run_id, row, {columns} from read_parquet({_quoted(file)})"
            others = self._compact.runs.difference(self._plan["run_id"])
            if of_plan and others:
                select += f" where run_id not in ({', '.join(map(_text, sorted(others)))})"
            parts.append(select)

        # All other runs.
        loose = []
        for run_id in self._done:
            listed = {} if run_id in self._compact.runs else self._files_of(run_id)
            path = self.folder / RUNS / run_id / f"{name}.parquet"
            if path.name in listed:
                self._mendable(verify, path, listed[path.name])
                loose.append(_quoted(path))
        if loose:
            columns = ", ".join(_cast(column, kind) for column, kind in known.items())
            parts.append(
                "select regexp_extract(filename, '([0-9a-f]{32})/[^/]*$', 1) as run_id, "
                f"file_row_number as row, {columns} from "
                f"(select * from read_parquet([{', '.join(loose)}], union_by_name=true, "
                "filename=true, file_row_number=true) "
                f"union all by name select {empty} where false)"
            )

        if not parts:
            return f"select ''::varchar as run_id, 0::bigint as row, {empty} where false"
        return " union all ".join(parts)

    # --- outcomes -------------------------------------------------------------------------------

    def outcomes(self) -> pd.DataFrame:
        """Return one row per finished run: keys, factors, outcomes.

        Units are in `docs/reference/results.md`.
        """
        return self._outcomes.copy()

    @cached_property
    def _outcomes(self) -> pd.DataFrame:
        """The outcomes, which a report asks for many times."""
        frame = self._plan.drop(columns="scenario").copy()
        frame = frame[frame["run_id"].isin(self._done)]
        by_table: dict[str, dict[str, str]] = {}
        for name, outcome in self._declared().items():
            by_table.setdefault(outcome["table"], {})[name] = outcome["sql"]
        if frame.empty:  # then nobody knows which columns there will be
            names = itertools.chain(*by_table.values())
            return frame.assign(**dict.fromkeys(names, pd.Series(dtype=float)))
        with locked(self.folder) as db:
            for table in filter(self.columns.__contains__, by_table):
                part = self._aggregate(db, table, by_table[table])
                frame = frame.merge(part, on="run_id", how="left")
        return frame.sort_values(["cell", "seed"], ignore_index=True)

    def _declared(self) -> dict[str, dict[str, Any]]:
        """Return the outcomes that the sweep's protocols declare; `RunError` for a bad one."""
        place = f"{self.folder}: {SWEEP}"
        outcomes = checked(self._sweep.get("outcomes", {}), place)
        for name in outcomes:
            if name in self.factors:
                raise RunError(f"{place}: outcomes.{name}: a factor has this name")
        return outcomes

    def directions(self) -> dict[str, str]:
        """Return which direction of each declared outcome is good: max, min, or "" for neither."""
        return {name: outcome["best"] for name, outcome in self._declared().items()}

    def _aggregate(
        self, db: duckdb.DuckDBPyConnection, table: str, expressions: Mapping[str, str]
    ) -> pd.DataFrame:
        """Return a row per run with aggregates over its rows of a table."""
        columns = ", ".join(f"({sql}) as {sql_name(name)}" for name, sql in expressions.items())
        query = f"select run_id, {columns} from {sql_name(table)} group by run_id"
        check_statement(query, f"{self.folder}: {SWEEP}: outcomes of {table}")
        return self._query(db, query, {table: table})

    def summary(
        self,
        by: str | Sequence[str] | None = None,
        of: str | Sequence[str] | None = None,
        ci: str = "auto",
        level: float = 0.95,
        *,
        named: bool = True,
    ) -> pd.DataFrame:
        """Return mean and interval of outcomes per group of runs.

        A seed is the unit, never a device or a round: where a group has several runs of a seed, as
        when `by` leaves out a factor, their mean counts once, and `seeds` says how many there are.
        `runs` counts those that are done. Where a run failed, `failed` counts these, and a group of
        failed runs alone has no means.

        Args:
            by: factors (default: all of them).
            of: columns of `outcomes` (default: accuracy and utilities where there are any, and
                the headlines of the protocols).
            ci: "t" (Student), "bootstrap" (percentiles of 2,000 resampled means), "none", or
                "auto": Student's for a group of fewer than ten seeds, else the bootstrap.
            level: of the intervals.
            named: call a plug-in by path by its own name; else as it is recorded.
        """
        if ci not in WAYS:
            raise RunError(f"{self.folder}: ci = {ci!r}: must be auto, bootstrap, t or none")
        if not 0 < level < 1:
            raise RunError(f"{self.folder}: level = {level}: must be between 0 and 1")
        frame = self.outcomes()
        keys = self.factors if by is None else _listed(by)
        wanted = _listed(of or self._first_outcomes())
        for column in (*keys, *wanted):
            if column not in frame.columns:
                raise RunError(
                    f"{self.folder}: no column {column!r}; there are {', '.join(frame.columns)}"
                )
        failed = self._plan.loc[self.runs()["status"] == "failed", [*KEYS, *self.factors]]
        if len(failed):
            both = pd.concat([frame.assign(failed=False), failed.assign(failed=True)])
            frame = both.sort_values(["cell", "seed"], ignore_index=True)
        groups: Iterable[tuple[Any, pd.DataFrame]] = [((), frame)]
        if keys:
            groups = frame.groupby(keys, sort=False, dropna=False)
        rows = []
        for labels, group in groups:
            row: dict[str, Any] = dict(zip(keys, labels, strict=True))
            rows.append(row | _counts(group) | _means(group, wanted, ci, level))
        means = pd.DataFrame(rows)
        repeated = len(means) and bool((means["runs"] > means["seeds"]).any())
        if not repeated:
            means = means.drop(columns="seeds", errors="ignore")
        return self.labels.without_paths(means) if named else means

    def _first_outcomes(self) -> list[str]:
        """Return the outcomes that a summary shows unless others are asked for."""
        declared = self._declared()
        shown = [name for name in USUAL if name in declared]
        return shown + [n for n, o in declared.items() if o["headline"] and n not in shown]

    def run(self, run_id: str) -> RunResult:
        """Return one run from its directory; raise `RunError` when it is not there (any more)."""
        if run_id in self._compact.runs and run_id not in manifest.with_directory(self.folder):
            raise RunError(
                f"{self.folder}: the directory of run {run_id} was removed when it was compacted; "
                "its tables are there"
            )
        return open_run(self.folder / RUNS / run_id)

    def scenarios(self) -> dict[int, dict[str, Any]]:
        """Return the scenario of each cell as plain values (seed 0)."""
        first = self._plan.drop_duplicates("cell")
        pairs = zip(first["cell"], first["scenario"], strict=True)
        return {int(cell): json.loads(text) for cell, text in pairs}

    def compact(self, *, remove: bool = False) -> int:
        """Write all finished runs into one file per table; return how many runs it holds.

        Such files open and read much faster. Runs that end later are read beside them until this is
        called again. Atomic: a kill leaves the old state or the new one. One process compacts at a
        time, others wait for it.

        Args:
            remove: delete their directories afterwards. Their tables and scenarios stay; their own
                manifests are gone.
        """
        with exclusive(self.folder, COMPACT, "compacts its tables"):
            return self._compact_alone(remove)

    def _compact_alone(self, remove: bool) -> int:
        """Do the work of `compact` while no other process does."""
        self.refresh()
        runs = sorted({*self._done, *self._compact.runs})
        home = self.folder / COMPACT
        home.mkdir(exist_ok=True)

        # Write the tables, then the index that names them: both are on disk before anything goes.
        part = Path(tempfile.mkdtemp(prefix="part-", dir=home))
        try:
            part.chmod(0o755)
            for name, columns in self.columns.items():
                self._write_compact(name, columns, part / f"{name}.parquet")
            sync(part)
            sync(home)
            files = {file.name: listing(file) for file in sorted(part.iterdir())}
            write_file(home / INDEX, seal({"part": part.name, "runs": runs, "files": files}))
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        sync(home)
        sync(self.folder)

        # Remove what the new tables replace.
        for other in home.iterdir():
            if other.name not in (part.name, INDEX):
                shutil.rmtree(other, ignore_errors=True)
        if remove:
            for run_id in manifest.with_directory(self.folder) & set(runs):
                shutil.rmtree(self.folder / RUNS / run_id, ignore_errors=True)
        self.refresh()
        return len(runs)

    def _write_compact(self, name: str, columns: Mapping[str, pa.DataType], file: Path) -> None:
        schema = pa.schema([("run_id", pa.string()), ("row", pa.int64()), *columns.items()])
        source = self._source(name, of_plan=False)
        with self._database() as db, pq.ParquetWriter(file, schema, compression="zstd") as writer:
            try:
                rows = db.sql(f"select * from ({source}) order by run_id, row")
                for batch in rows.to_arrow_reader(100_000):
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
            except duckdb.Error as error:
                raise RunError(f"{self.folder}: {str(error).splitlines()[0]}") from None
        with file.open("rb") as written:
            os.fsync(written.fileno())


def _quoted(path: Path) -> str:
    """Return a path as an SQL string; `[` and the like stand for themselves."""
    return _text(glob.escape(str(path.absolute())))


def _text(value: str) -> str:
    """Return a text as an SQL string."""
    return "'" + value.replace("'", "''") + "'"


def sql_name(column: str) -> str:
    """Return a column's or table's name in SQL, whatever is in it."""
    return '"' + column.replace('"', '""') + '"'


def _types(table: Table) -> dict[str, pa.DataType]:
    return {name: column.type for name, column in table.columns.items()}


def _columns_in(file: Path, known: Mapping[str, pa.DataType]) -> str:
    """Return a list of columns in SQL: those that a file has not got are null."""
    there = set(read_schema(file).names)
    return ", ".join(
        _cast(column, kind) if column in there else _null(column, kind)
        for column, kind in known.items()
    )


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType:
    """Return the type that holds the values of both: games may use a name for different things."""
    if one == other:
        return one
    if {one, other} == {INTEGER, NUMBER}:
        return NUMBER
    return TEXT


def _cast(column: str, kind: pa.DataType) -> str:
    """Return a column in SQL as one type."""
    return f"{sql_name(column)}::{_sql_type(kind)} as {sql_name(column)}"


def _null(column: str, kind: pa.DataType) -> str:
    """Return an empty column in SQL."""
    return f"null::{_sql_type(kind)} as {sql_name(column)}"


def _listed(names: str | Sequence[str]) -> list[str]:
    return [names] if isinstance(names, str) else list(names)


def _sql_type(kind: pa.DataType) -> str:
    """Return the SQL type of a column's values."""
    simple = {pa.int64(): "bigint", pa.float64(): "double", pa.bool_(): "boolean"}
    if pa.types.is_list(kind):
        return f"{_sql_type(kind.value_type)}[]"
    if pa.types.is_large_binary(kind):
        return "blob"
    return simple.get(kind, "varchar")

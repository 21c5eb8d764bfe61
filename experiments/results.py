"""The results of a sweep as tidy pandas frames; DuckDB reads the Parquet files underneath."""

from __future__ import annotations

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy import stats

from experiments.rundir import RunError, RunResult, nullable, open_run, write_file
from experiments.sweeps import manifest
from experiments.sweeps.manifest import COMPACT, INDEX, PLAN, RUNS, read_sweep
from sim.scenario import SCHEMA_VERSION
from sim.tables import COLUMNS, OPTIONAL

KEYS = ("run_id", "cell", "seed")
RESAMPLES, BLOCK = 2_000, 4_000_000
"""Of a bootstrap: how many, and how many values are drawn at a time."""


class Results:
    """A sweep's folder, complete or still being written. Every frame carries `run_id`, `cell`, `seed` and the factors.

    What is read is what was recorded when it is read: open again, or call `refresh`, to see more.
    """

    def __init__(self, folder: Path, told: dict[str, Any]) -> None:
        self.folder, self._told = folder, told
        self.factors: list[str] = list(told["factors"])
        self.refresh()

    @classmethod
    def open(cls, folder: str | Path) -> Results:
        """Raises `RunError` for a folder that holds no sweep, or one of a schema that this version cannot read."""
        path = Path(folder)
        told = read_sweep(path)
        if told["schema_version"] != SCHEMA_VERSION:
            raise RunError(
                f"{path}: recorded with schema {told['schema_version']}, this version reads {SCHEMA_VERSION}: columns differ; "
                "run the sweep again, or open it with the version that wrote it "
                f"({told.get('versions', {}).get('fedstake') or 'unknown'})"
            )
        if not (path / PLAN).is_file():
            raise RunError(f"{path}: incomplete, {PLAN} is missing")
        return cls(path, told)

    def refresh(self) -> None:
        """See what has been recorded since."""
        self._receipts = manifest.receipts(self.folder)
        self._compact = manifest.compacted(self.folder)
        for name in ("_plan", "_done"):
            self.__dict__.pop(name, None)

    @property
    def name(self) -> str:
        return str(self._told["spec"]["name"])

    @property
    def spec(self) -> dict[str, Any]:
        """The sweep's file, as plain values."""
        return dict(self._told["spec"])

    @property
    def versions(self) -> dict[str, str | None]:
        """Of the packages that planned it, and its git state."""
        return {**self._told.get("versions", {}), "git": self._told.get("git")}

    @cached_property
    def _plan(self) -> pd.DataFrame:
        try:
            return pq.read_table(self.folder / PLAN).to_pandas(types_mapper=nullable)
        except (pa.ArrowException, OSError) as error:
            raise RunError(
                f"{self.folder / PLAN}: damaged ({str(error).splitlines()[0]})"
            ) from error

    @cached_property
    def _done(self) -> list[str]:
        """Runs of the plan that ended well and have their data, sorted."""
        there = manifest.with_data(self.folder)
        return sorted(r for r in self._plan["run_id"] if r in there and self._status(r) == "done")

    def _status(self, run_id: str) -> str:
        receipt = self._receipts.get(run_id)
        return receipt.status if receipt else "missing"

    def has(self, needs: Mapping[str, Sequence[str]]) -> bool:
        """Whether some finished run has each of these tables with each of these columns."""
        return all(set(columns) <= set(COLUMNS.get(table, ())) for table, columns in needs.items())

    # --- frames -------------------------------------------------------------------------------------------------

    def runs(self) -> pd.DataFrame:
        """One row per planned run: keys, factors, `status` (done, failed, missing), `wall_s`, `cpu_s`, `bytes` of done ones."""
        frame = self._plan.drop(columns="scenario").copy()
        done = set(self._done)
        told = [self._receipts[run_id] if run_id in done else None for run_id in frame["run_id"]]
        # Done but without data: somebody took its folder away, the next call of the sweep runs it again.
        status = [self._status(run_id) for run_id in frame["run_id"]]
        frame["status"] = [
            "missing" if s == "done" and r is None else s for s, r in zip(status, told, strict=True)
        ]
        for column in ("wall_s", "cpu_s"):
            frame[column] = np.array(
                [getattr(r, column) if r else np.nan for r in told], dtype=float
            )
        frame["bytes"] = pd.array([r.bytes if r else None for r in told], dtype="Int64")
        return frame

    def failures(self) -> pd.DataFrame:
        """One row per run that failed: keys, factors, `stage`, `error`, `traceback`."""
        frame = self._plan.drop(columns="scenario")
        failed = [r for r in self._receipts.values() if r.status == "failed"]
        rows = [
            {
                "run_id": r.run_id,
                "stage": r.stage,
                "error": r.error,
                "traceback": self._traceback(r.run_id),
            }
            for r in failed
        ]
        return frame.merge(
            pd.DataFrame(rows, columns=["run_id", "stage", "error", "traceback"]), on="run_id"
        )

    def _traceback(self, run_id: str) -> str:
        try:
            return str(
                json.loads((self.folder / RUNS / "failures" / f"{run_id}.json").read_text())[
                    "traceback"
                ]
            )
        except (OSError, ValueError, KeyError):
            return ""

    def rounds(self, **options: Any) -> pd.DataFrame:
        """Table `rounds` of all runs; options as for `table`."""
        return self.table("rounds", **options)

    def participants(self, **options: Any) -> pd.DataFrame:
        """Table `participants` of all runs; options as for `table`."""
        return self.table("participants", **options)

    def votes(self, **options: Any) -> pd.DataFrame:
        """Table `votes` of all runs; options as for `table`."""
        return self.table("votes", **options)

    def blocks(self, **options: Any) -> pd.DataFrame:
        """Table `blocks` of all runs; options as for `table`."""
        return self.table("blocks", **options)

    def journal(self, **options: Any) -> pd.DataFrame:
        """Table `journal` of all runs; options as for `table`."""
        return self.table("journal", **options)

    def table(
        self, name: str, *, columns: Sequence[str] | None = None, where: str | None = None
    ) -> pd.DataFrame:
        """One table of all finished runs, sorted by run and row.

        Args:
            name: as in `docs/reference/tables.md`.
            columns: only these of its columns. A factor that is called like one of them becomes `factor.<name>`.
            where: an SQL condition over its columns, the keys and the factors, as `"round = 15 and not adversary"`.
        """
        if name not in COLUMNS:
            raise RunError(
                f"{self.folder}: there is no table {name!r}; there are {', '.join(COLUMNS)}"
            )
        wanted = list(columns or COLUMNS[name])
        if unknown := [c for c in wanted if c not in COLUMNS[name]]:
            raise RunError(
                f"{self.folder}: table {name} has no column {unknown[0]!r}; it has {', '.join(COLUMNS[name])}"
            )
        taken = {c.casefold() for c in COLUMNS[name]}
        factors = {f: f"factor.{f}" if f.casefold() in taken else f for f in self.factors}
        keys = ", ".join(_name(k) for k in (*KEYS, *factors.values()))
        plan = ", ".join(
            [
                *(_name(k) for k in KEYS),
                *(f"{_name(f)} as {_name(shown)}" for f, shown in factors.items()),
            ]
        )
        condition = f"where ({where})" if where else ""
        query = (
            f"select {keys}, {', '.join(f't.{_name(c)}' for c in wanted)} from t join (select {plan} from p) using (run_id) "
            f"{condition} order by cell, seed, row"
        )
        return self.sql(query, t=name)

    def sql(self, query: str, tables: Iterable[str] = (), **names: str) -> pd.DataFrame:
        """Any DuckDB query over the tables and `p`, the plan with its keys and factors.

        Args:
            query: reads tables by their names; each has a `run_id` and a `row` beside its own columns.
            tables: those it reads (default: rounds, participants, votes, blocks, journal).
            names: other names for tables, as `t="rounds"`.
        """
        used = names or {
            name: name
            for name in (tuple(tables) or ("rounds", "participants", "votes", "blocks", "journal"))
        }
        with duckdb.connect() as db:
            db.register("p", self._plan.drop(columns="scenario"))
            try:
                for alias, name in used.items():
                    db.execute(f"create view {_name(alias)} as {self._source(name)}")
                # By way of Arrow: whole numbers with gaps stay whole, and exact.
                return db.sql(query).to_arrow_table().to_pandas(types_mapper=nullable)
            except duckdb.Error as error:
                raise RunError(
                    f"{self.folder}: {str(error).splitlines()[0]}{self._damage()}"
                ) from None

    def _damage(self) -> str:
        """Which run's files are not what was recorded, and what to do about it; nothing when all are."""
        broken = manifest.damaged(self.folder, self._done)
        return (
            f"; run {broken[0]} is damaged, the same `fedstake sweep` plays it again"
            if broken
            else ""
        )

    def _source(self, name: str) -> str:
        """A select over the compact file, where there is one, and the parts of all other runs."""
        parts = []
        columns = ", ".join(_name(c) for c in COLUMNS[name])
        if self._compact.part:
            file = self.folder / COMPACT / self._compact.part / f"{name}.parquet"
            parts.append(f"select run_id, row, {columns} from read_parquet({_quoted(file)})")
        loose = [
            self.folder / RUNS / run_id / f"{name}.parquet"
            for run_id in self._done
            if run_id not in self._compact.runs
        ]
        if name in OPTIONAL:
            loose = [path for path in loose if path.is_file()]
        if loose:
            files = ", ".join(_quoted(p) for p in loose)
            parts.append(
                "select regexp_extract(filename, '([0-9a-f]{32})/[^/]*$', 1) as run_id, file_row_number as row, "
                f"{columns} from read_parquet([{files}], filename=true, file_row_number=true)"
            )
        if not parts:
            empty = ", ".join(
                f"null::{_sql_type(kind)} as {_name(c)}" for c, kind in COLUMNS[name].items()
            )
            return f"select ''::varchar as run_id, 0::bigint as row, {empty} where false"
        return " union all ".join(parts)

    # --- outcomes -----------------------------------------------------------------------------------------------

    def outcomes(self) -> pd.DataFrame:
        """One row per finished run: keys, factors, and what it came to (units in `docs/reference/results.md`)."""
        rounds = self.sql(
            """
            select run_id, arg_max(accuracy, round) as accuracy, max(accuracy) as best_accuracy, avg(accuracy) as mean_accuracy,
                   max(end_s) as simulated_s, sum(issued)::bigint as issued, sum(burned)::bigint as burned,
                   sum(accepted_honest)::bigint as accepted_honest, sum(rejected_honest)::bigint as rejected_honest,
                   sum(accepted_adversary)::bigint as accepted_adversary, sum(rejected_adversary)::bigint as rejected_adversary,
                   avg(forked::int) as forked, avg(block_time_s) as block_time_s, arg_max(attack_success, round) as attack_success
            from rounds group by run_id
            """,
            tables=("rounds",),
        )
        people = self.sql(
            """
            select run_id, adversary, sum(utility) / count(distinct device) as utility,
                   sum(income) / count(distinct device) as income
            from participants group by run_id, adversary
            """,
            tables=("participants",),
        )
        for who, flag in (("honest", False), ("adversary", True)):
            part = people[people["adversary"] == flag].set_index("run_id")
            for column in ("utility", "income"):
                rounds[f"{who}_{column}"] = rounds["run_id"].map(part[column]).astype(float)
        frame = self._plan.drop(columns="scenario").merge(rounds, on="run_id")
        return frame.sort_values(["cell", "seed"], ignore_index=True)

    def summary(
        self,
        by: str | Sequence[str] | None = None,
        of: str | Sequence[str] = ("accuracy", "honest_utility", "adversary_utility"),
        ci: str = "bootstrap",
        level: float = 0.95,
    ) -> pd.DataFrame:
        """Mean and interval of outcomes per group of runs; a run is the unit, never a device or a round.

        Args:
            by: factors (default: all of them).
            of: columns of `outcomes`.
            ci: "bootstrap" (percentiles of 2,000 resampled means), "t" (Student), or "none".
            level: of the intervals.
        """
        if ci not in ("bootstrap", "t", "none"):
            raise RunError(f"{self.folder}: ci = {ci!r}: must be bootstrap, t or none")
        if not 0 < level < 1:
            raise RunError(f"{self.folder}: level = {level}: must be between 0 and 1")
        frame = self.outcomes()
        keys = self.factors if by is None else [by] if isinstance(by, str) else list(by)
        wanted = [of] if isinstance(of, str) else list(of)
        if unknown := [c for c in (*keys, *wanted) if c not in frame.columns]:
            raise RunError(
                f"{self.folder}: no column {unknown[0]!r}; there are {', '.join(frame.columns)}"
            )
        rows = []
        for labels, group in (
            frame.groupby(keys, sort=False, dropna=False) if keys else [((), frame)]
        ):
            row: dict[str, Any] = dict(
                zip(keys, labels if isinstance(labels, tuple) else (labels,), strict=True)
            )
            row["runs"] = len(group)
            for column in wanted:
                values = group[column].dropna().to_numpy(dtype=float)
                row[column] = values.mean() if len(values) else np.nan
                if ci != "none":
                    row[f"{column}_low"], row[f"{column}_high"] = interval(values, ci, level)
            rows.append(row)
        return pd.DataFrame(rows)

    def run(self, run_id: str) -> RunResult:
        """One run's directory; `RunError` when it is not there (any more)."""
        if run_id in self._compact.runs and run_id not in manifest.with_directory(self.folder):
            raise RunError(
                f"{self.folder}: the directory of run {run_id} was removed when it was compacted; its tables are there"
            )
        return open_run(self.folder / RUNS / run_id)

    def scenarios(self) -> dict[int, dict[str, Any]]:
        """The scenario of each cell as plain values (seed 0)."""
        first = self._plan.drop_duplicates("cell")
        return {
            int(cell): json.loads(text)
            for cell, text in zip(first["cell"], first["scenario"], strict=True)
        }

    def compact(self, *, remove: bool = False) -> int:
        """Write all finished runs into one file per table, which opens and reads much faster; returns how many runs it holds.

        Runs that end later are read beside it, until it is called again. Killed at any moment it has happened, or it has not.

        Args:
            remove: delete their directories afterwards. Their tables and scenarios stay; their own manifests are gone.
        """
        self.refresh()
        runs = sorted({*self._done, *self._compact.runs})
        home = self.folder / COMPACT
        home.mkdir(exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix="part-", dir=home))
        try:
            part.chmod(0o755)
            for name, columns in COLUMNS.items():
                self._write_compact(name, columns, part / f"{name}.parquet")
            write_file(home / INDEX, json.dumps({"part": part.name, "runs": runs}))
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
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
        with duckdb.connect() as db, pq.ParquetWriter(file, schema, compression="zstd") as writer:
            try:
                for batch in db.sql(
                    f"select * from ({self._source(name)}) order by run_id, row"
                ).to_arrow_reader(100_000):
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
            except duckdb.Error as error:
                raise RunError(f"{self.folder}: {str(error).splitlines()[0]}") from None
        with file.open("rb") as written:
            os.fsync(written.fileno())


def interval(values: np.ndarray, how: str, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a mean; NaN for fewer than two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    if how == "t":
        half = (
            stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
        )
        return float(values.mean() - half), float(values.mean() + half)
    if how != "bootstrap":
        raise ValueError(f"ci = {how!r}: must be bootstrap, t or none")
    rng = np.random.default_rng(0)
    n = len(values)
    sizes = [
        min(RESAMPLES - start, BLOCK // n + 1) for start in range(0, RESAMPLES, BLOCK // n + 1)
    ]
    means = np.concatenate([values[rng.integers(n, size=(size, n))].mean(axis=1) for size in sizes])
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _quoted(path: Path) -> str:
    """A path as an SQL string; `[` and the like stand for themselves."""
    return "'" + glob.escape(str(path)).replace("'", "''") + "'"


def _name(column: str) -> str:
    """A column's or table's name in SQL."""
    return '"' + column.replace('"', '""') + '"'


def _sql_type(kind: pa.DataType) -> str:
    return {pa.int64(): "bigint", pa.float64(): "double", pa.bool_(): "boolean"}.get(
        kind, "varchar"
    )

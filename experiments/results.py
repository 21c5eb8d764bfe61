"""The results of a sweep as tidy pandas frames; DuckDB reads the Parquet files underneath."""

from __future__ import annotations

import json
import shutil
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

from experiments.rundir import RunError, RunResult, open_run, whole_folder
from experiments.sweeps import manifest
from experiments.sweeps.drive import PLAN, RUNS, read_sweep
from sim.scenario import SCHEMA_VERSION
from sim.tables import COLUMNS

COMPACT, INDEX = "compact", "index.json"
KEYS = ("run_id", "cell", "seed")


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
                f"({told.get('versions', {}).get('fedstake', 'unknown')})"
            )
        if not (path / PLAN).is_file():
            raise RunError(f"{path}: incomplete, {PLAN} is missing")
        return cls(path, told)

    def refresh(self) -> None:
        """Read the manifest again."""
        self._receipts = manifest.receipts(self.folder)
        self._compact = compacted(self.folder)
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
        return pq.read_table(self.folder / PLAN).to_pandas()

    @cached_property
    def _done(self) -> list[str]:
        """Runs of the plan with data, sorted."""
        planned = set(self._plan["run_id"])
        return sorted(r.run_id for r in self._receipts.values() if r.status == "done" and r.run_id in planned)

    # --- frames -------------------------------------------------------------------------------------------------

    def runs(self) -> pd.DataFrame:
        """One row per planned run: keys, factors, `status` (done, failed, missing), `wall_s`, `cpu_s`, `bytes`."""
        frame = self._plan.drop(columns="scenario").copy()
        told = [self._receipts.get(run_id) for run_id in frame["run_id"]]
        frame["status"] = [r.status if r else "missing" for r in told]
        for column in ("wall_s", "cpu_s", "bytes"):
            frame[column] = [getattr(r, column) if r else np.nan for r in told]
        return frame

    def failures(self) -> pd.DataFrame:
        """One row per run that failed: keys, factors, `stage`, `error`, `traceback`."""
        frame = self._plan.drop(columns="scenario")
        failed = [r for r in self._receipts.values() if r.status == "failed"]
        rows = [{"run_id": r.run_id, "stage": r.stage, "error": r.error, "traceback": self._traceback(r.run_id)} for r in failed]
        return frame.merge(pd.DataFrame(rows, columns=["run_id", "stage", "error", "traceback"]), on="run_id")

    def _traceback(self, run_id: str) -> str:
        try:
            return str(json.loads((self.folder / RUNS / "failures" / f"{run_id}.json").read_text())["traceback"])
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

    def table(self, name: str, *, columns: Sequence[str] | None = None, where: str | None = None) -> pd.DataFrame:
        """One table of all finished runs, sorted by run and row.

        Args:
            name: as in `docs/reference/tables.md`.
            columns: only these of its columns.
            where: an SQL condition over its columns, the keys and the factors, as `"round = 15 and not adversary"`.
        """
        if name not in COLUMNS:
            raise RunError(f"{self.folder}: there is no table {name!r}; there are {', '.join(COLUMNS)}")
        wanted = list(columns or COLUMNS[name])
        if unknown := [c for c in wanted if c not in COLUMNS[name]]:
            raise RunError(f"{self.folder}: table {name} has no column {unknown[0]!r}; it has {', '.join(COLUMNS[name])}")
        shown = ", ".join([*(f'p."{k}"' for k in (*KEYS, *self.factors)), *(f't."{c}"' for c in wanted)])
        condition = f"where {where}" if where else ""
        query = f"select {shown} from t join p using (run_id) {condition} order by p.cell, p.seed, t.row"
        return self.sql(query, tables=(name,), t=name)

    def sql(self, query: str, tables: Iterable[str] = (), **names: str) -> pd.DataFrame:
        """Any DuckDB query over the tables and `p`, the plan with its keys and factors.

        Args:
            query: reads tables by their names; each has a `run_id` and a `row` beside its own columns.
            tables: those it reads (default: rounds, participants, votes, blocks, journal).
            names: other names for tables, as `t="rounds"`.
        """
        used = names or {name: name for name in (tuple(tables) or ("rounds", "participants", "votes", "blocks", "journal"))}
        with duckdb.connect() as db:
            db.register("p", self._plan.drop(columns="scenario"))
            for alias, name in used.items():
                db.execute(f'create view "{alias}" as {self._source(name)}')
            try:
                return db.execute(query).df()
            except duckdb.Error as error:
                raise RunError(f"{self.folder}: {str(error).splitlines()[0]}") from None

    def _source(self, name: str) -> str:
        """A select over the compact file, where there is one, and the parts of all other runs."""
        parts = []
        file = self.folder / COMPACT / f"{name}.parquet"
        columns = ", ".join(f'"{c}"' for c in COLUMNS[name])
        if self._compact and file.is_file():
            parts.append(f"select run_id, row, {columns} from read_parquet('{_quoted(file)}')")
        loose = [self.folder / RUNS / run_id / f"{name}.parquet" for run_id in self._done if run_id not in self._compact]
        loose = [path for path in loose if path.is_file()]
        if loose:
            files = ", ".join(f"'{_quoted(p)}'" for p in loose)
            parts.append(
                "select regexp_extract(filename, '([0-9a-f]{32})/[^/]*$', 1) as run_id, file_row_number as row, "
                f"{columns} from read_parquet([{files}], filename=true, file_row_number=true)"
            )
        if not parts:
            empty = ", ".join(f'null::{_sql_type(kind)} as "{c}"' for c, kind in COLUMNS[name].items())
            return f"select ''::varchar as run_id, 0::bigint as row, {empty} where false"
        return " union all ".join(parts)

    # --- outcomes -----------------------------------------------------------------------------------------------

    def outcomes(self) -> pd.DataFrame:
        """One row per finished run: keys, factors, and what it came to (units in `docs/reference/results.md`)."""
        rounds = self.sql(
            """
            select run_id, arg_max(accuracy, round) as accuracy, max(accuracy) as best_accuracy, avg(accuracy) as mean_accuracy,
                   max(end_s) as simulated_s, sum(issued) as issued, sum(burned) as burned,
                   sum(accepted_honest) as accepted_honest, sum(rejected_honest) as rejected_honest,
                   sum(accepted_adversary) as accepted_adversary, sum(rejected_adversary) as rejected_adversary,
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
        frame = self.outcomes()
        keys = self.factors if by is None else [by] if isinstance(by, str) else list(by)
        wanted = [of] if isinstance(of, str) else list(of)
        if unknown := [c for c in (*keys, *wanted) if c not in frame.columns]:
            raise RunError(f"{self.folder}: no column {unknown[0]!r}; there are {', '.join(frame.columns)}")
        rows = []
        for labels, group in frame.groupby(keys, sort=False, dropna=False) if keys else [((), frame)]:
            row: dict[str, Any] = dict(zip(keys, labels if isinstance(labels, tuple) else (labels,), strict=True))
            row["runs"] = len(group)
            for column in wanted:
                values = group[column].dropna().to_numpy(dtype=float)
                row[column] = values.mean() if len(values) else np.nan
                if ci != "none":
                    row[f"{column}_low"], row[f"{column}_high"] = interval(values, ci, level)
            rows.append(row)
        return pd.DataFrame(rows)

    def run(self, run_id: str) -> RunResult:
        """One run's directory."""
        return open_run(self.folder / RUNS / run_id)

    def scenarios(self) -> dict[int, dict[str, Any]]:
        """The scenario of each cell as plain values (seed 0)."""
        first = self._plan.drop_duplicates("cell")
        return {int(cell): json.loads(text) for cell, text in zip(first["cell"], first["scenario"], strict=True)}

    def compact(self, *, remove: bool = False) -> int:
        """Write all finished runs into one file per table, which opens and reads much faster; returns how many runs it holds.

        `remove`: delete their directories afterwards. Runs that end later are read beside it, until it is called again.
        """
        everything = sorted({*self._done, *self._compact})
        with whole_folder(self.folder / COMPACT) as partial:
            for name, columns in COLUMNS.items():
                self._write_compact(name, columns, partial / f"{name}.parquet")
            (partial / INDEX).write_text(json.dumps(everything))
        if remove:
            for run_id in everything:
                shutil.rmtree(self.folder / RUNS / run_id, ignore_errors=True)
        self.refresh()
        return len(everything)

    def _write_compact(self, name: str, columns: Mapping[str, pa.DataType], file: Path) -> None:
        schema = pa.schema([("run_id", pa.string()), ("row", pa.int64()), *columns.items()])
        with duckdb.connect() as db, pq.ParquetWriter(file, schema, compression="zstd") as writer:
            for batch in db.sql(f"select * from ({self._source(name)}) order by run_id, row").to_arrow_reader(100_000):
                writer.write_table(pa.Table.from_batches([batch]).cast(schema))


def compacted(folder: Path) -> frozenset[str]:
    """Runs that are in the compact files."""
    try:
        return frozenset(json.loads((folder / COMPACT / INDEX).read_text()))
    except (OSError, ValueError):
        return frozenset()


def interval(values: np.ndarray, how: str, level: float = 0.95) -> tuple[float, float]:
    """Confidence interval of a mean; NaN for fewer than two values."""
    if len(values) < 2:
        return float("nan"), float("nan")
    if how == "t":
        half = stats.t.ppf((1 + level) / 2, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
        return float(values.mean() - half), float(values.mean() + half)
    if how != "bootstrap":
        raise ValueError(f"ci = {how!r}: must be bootstrap, t or none")
    rng = np.random.default_rng(0)
    means = values[rng.integers(len(values), size=(2_000, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _sql_type(kind: pa.DataType) -> str:
    return {pa.int64(): "bigint", pa.float64(): "double", pa.bool_(): "boolean"}.get(kind, "varchar")

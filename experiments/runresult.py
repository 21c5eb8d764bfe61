"""A recorded run as users have it: tables as pandas frames, a scenario, a summary."""

from __future__ import annotations

from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from experiments.loader import validate
from experiments.numerals import number
from experiments.recorded import MANIFEST, SCENARIO, RunError
from experiments.rundir import FAILED
from experiments.runfiles import RunFiles
from experiments.summary import Summary, summarised
from fedstake.folders import recorded_folder
from fedstake.outside import literal
from sim.scenario import Scenario

if TYPE_CHECKING:
    import pandas as pd


class RunResult(RunFiles):
    """A recorded run.

    Tables are pandas frames, read when first used; columns as in `docs/reference/tables.md`.
    """

    def __repr__(self) -> str:
        """Return name, seed, rounds and last accuracy beside the folder, as far as recorded."""
        try:
            known = self._facts()
        except (OSError, ValueError, LookupError, RunError):  # damaged: a repr says what it can
            known = ["cannot be read"]
        return f"RunResult({str(self.path)!r}: {', '.join(known)})"

    def _repr_html_(self) -> str:
        """Return the summary and the folder, as a notebook shows the run."""
        try:
            shown = self.summary()._repr_html_()
        except (OSError, ValueError, LookupError, RunError):
            shown = ""
        return f"{shown}<p>{escape(literal(repr(self)))}</p>"

    def _facts(self) -> list[str]:
        """Return what a repr says of the run beside its folder."""
        known = [str(self.settings.get("name", "")), f"seed {self.settings.get('seed')}"]
        if self.has({"rounds": ("accuracy",)}):
            accuracy = self.arrow("rounds", ["accuracy"])["accuracy"]
            known += [f"{len(accuracy)} rounds", f"accuracy {number(accuracy[-1].as_py(), 3)}"]
        return known

    @cached_property
    def scenario(self) -> Scenario:
        """The scenario, checked; plug-ins that it names by file must be there, and are imported."""
        return validate(self.settings, str(self.path / SCENARIO))

    def summary(self) -> Summary:
        """Return a few numbers of the run, as `fedstake run` prints them."""
        return summarised(self)

    @cached_property
    def rounds(self) -> pd.DataFrame:
        """The table `rounds`: one row per round."""
        return self.table("rounds")

    @cached_property
    def participants(self) -> pd.DataFrame:
        """The table `participants`: one row per round and device."""
        return self.table("participants")

    @cached_property
    def votes(self) -> pd.DataFrame:
        """The table `votes`, of protocols that have one."""
        return self.table("votes")

    @cached_property
    def blocks(self) -> pd.DataFrame:
        """The table `blocks`, of protocols that have one."""
        return self.table("blocks")

    @cached_property
    def journal(self) -> pd.DataFrame:
        """The table `journal`: one row per entry of the ledger."""
        return self.table("journal")

    @cached_property
    def incidents(self) -> pd.DataFrame:
        """The table `incidents`: one row per act that was refused."""
        return self.table("incidents")

    def table(self, name: str) -> pd.DataFrame:
        """Return a table by name; nullable columns keep their type."""
        table = self.arrow(name)
        try:
            return table.to_pandas(types_mapper=nullable)
        except (pa.ArrowException, ValueError) as error:
            message = f"{self.path}: table {name!r} is damaged ({str(error).splitlines()[0]})"
            raise RunError(message) from error


def nullable(kind: pa.DataType) -> Any:
    """Return the pandas type of a column with gaps: integers and booleans keep their type."""
    import pandas as pd

    return {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()}.get(kind)


def open_run(path: str | Path | RunResult) -> RunResult:
    """Open a complete run directory, or an opened run again.

    `RunError` names what is missing or of another version.
    """
    folder = recorded_folder(path, "path")
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise RunError(f"{folder}: {_why_no_run(folder)}")
    run = RunResult(folder)
    for file, listed in {**run.manifest["files"], SCENARIO: run.manifest["scenario"]}.items():
        if not (folder / file).is_file():
            raise RunError(f"{folder}: incomplete, {file} is missing")
        if (folder / file).stat().st_size != listed["bytes"]:
            raise RunError(
                f"{folder / file}: damaged, its size is not the recorded one; "
                "run again with --force"
            )
    return run


def open_failed(path: str | Path) -> RunResult:
    """Open what a run recorded until it failed; `RunError` when it is damaged or wrong."""
    run = RunResult(Path(path), FAILED)
    _ = run.manifest
    return run


def _why_no_run(folder: Path) -> str:
    """Return what is wrong with a folder that has no manifest."""
    if not folder.exists():
        return "no such folder"
    if not folder.is_dir():
        return "is a file, not a run directory"
    if (folder / FAILED).is_file():
        return "its run failed; `fedstake report` shows what it recorded until then"
    reason = f"no {MANIFEST}: not a complete run directory"
    # A run further in, or a run of a sweep: one or two folders down.
    for inside in (*folder.glob(f"*/{MANIFEST}"), *folder.glob(f"*/*/{MANIFEST}")):
        return f"{reason}; {inside.parent} is one"
    return reason

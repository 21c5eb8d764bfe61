"""`fedstake compare`: the scorecard of a sweep, or what each rule would have paid in a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.terminal import (
    EXIT_FAILED,
    DataOption,
    DebugOption,
    TrustOption,
    counted,
    err_console,
    one_line_errors,
    out_console,
    show,
)

if TYPE_CHECKING:
    import pandas as pd

OUTCOMES = (
    "runs",
    "accuracy",
    "honest_utility",
    "adversary_utility",
    "honest_rejected",
    "ir_violations",
    "spent",
)


def compare(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="SWEEP_OR_DIR", help="A sweep's folder or file, or a run directory with a tape."
        ),
    ],
    rule: Annotated[
        list[str] | None,
        typer.Option(
            "--rule", metavar="NAME", help="Of a run: a payout rule; repeatable [default: all]."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Of a run: also write a CSV file with the income of every device."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Of a sweep's file: processes [default: all cores].")
    ] = None,
    data: DataOption = None,
    trust: TrustOption = False,
    debug: DebugOption = False,
) -> None:
    """Print the scorecard of a sweep's mechanisms, or what each rule would have paid in a run.

    Of a sweep also the winner; a run needs a tape.

    Example: fedstake compare results/mechanisms
    """
    with one_line_errors(debug, str(source)):
        from experiments.rundir import RunError
        from experiments.sweeps.manifest import SWEEP

        if source.is_file():
            _compare_mechanisms(_play(source, workers, data), trust=True)
        elif (source / SWEEP).is_file():
            _compare_mechanisms(source, trust=trust)
        elif (source / "manifest.json").is_file():
            _compare_rules(source, rule, out, trust=trust)
        elif source.exists():
            raise RunError(
                f"{source}: neither a sweep (file or folder) nor a run directory with a tape"
            )
        else:
            raise RunError(f"{source}: no such folder or file")


def _play(source: Path, workers: int | None, data: Path | None) -> Path:
    """Run the missing runs of a sweep; return its folder."""
    from experiments.sweeps.drive import Sweep

    planned = Sweep(source)
    with counted(planned.spec.name, len(planned.todo), planned.forecast()) as on_receipt:
        return planned.play(workers=workers, data=data, on_receipt=on_receipt).folder


def _compare_mechanisms(folder: Path, *, trust: bool) -> None:
    """Print the scorecard of a sweep, the ranking and the winner.

    `trust`: import plug-in files that the sweep names.
    """
    from experiments.numerals import rounded
    from experiments.results import Results
    from experiments.scorecard.winner import compare as score
    from mechanisms.registry import reading

    with reading(trust=trust):
        results = Results.open(folder)
        verdict = score(results)
    table = verdict.table
    keys = [c for c in table.columns if c in results.factors]
    shown = [c for c in (*keys, *OUTCOMES) if c in table]
    show(
        rounded(table[shown], keys),
        f"{results.name}: what each mechanism comes to, under each attack",
    )
    _show_gains(table, keys)
    show(rounded(verdict.ranking, keys), "ranking by the stated objective")
    winner = verdict.winner or "none: every mechanism breaks a bound"
    files = "\n".join(f"        {file}" for file in verdict.files)
    out_console.print(f"\nwinner: {winner}{verdict.note}\n{files}", markup=False)
    if (table["runs"] < table["planned"]).any():
        err_console.print(
            f"fedstake: {folder}: some runs failed or are missing; "
            "fedstake sweep goes on with them",
            markup=False,
        )
        raise typer.Exit(EXIT_FAILED)


def _show_gains(table: pd.DataFrame, keys: list[str]) -> None:
    """Print what deviating and splitting gain, where the sweep measured it."""
    from experiments.numerals import with_interval

    measured = [c for c in table.columns if c.startswith(("ic_gap", "sybil_gain"))]
    gaps = [c for c in measured if not c.endswith(("_low", "_high"))]
    if not gaps:
        return
    rows = table[table[gaps].notna().any(axis=1)]
    gained = rows[[k for k in keys if rows[k].nunique() > 1 or k == keys[0]]].copy()
    for column in gaps:
        gained[column] = with_interval(rows, column)
    for column in ("best_deviation", "incentive_compatible"):
        if column in rows:
            gained[column.replace("_", " ")] = rows[column]
    show(gained, "what deviating and splitting gain, with simultaneous intervals")


def _compare_rules(
    directory: Path, rule: list[str] | None, out: Path | None, *, trust: bool
) -> None:
    """Print what each payout rule would have paid for the blocks of a run."""
    from experiments.numerals import number
    from experiments.offpolicy import by_mechanism, compare_rules
    from experiments.rundir import check_place, open_run, write_file

    result = open_run(directory)
    if out:
        check_place(out.parent)
    table = compare_rules(result, rule or None, trust=trust)
    shown = by_mechanism(table)
    for column in ("honest", "adversary", "spent"):
        shown[column] = [number(v, 0) for v in shown[column]]
    shown["cpu_s"] = shown["cpu_s"].map("{:.3f}".format)
    shown = shown.fillna("") if shown["error"].notna().any() else shown.drop(columns="error")
    settings = result.settings
    unit = f"{settings['payout']['asset']}, mean income per device"
    show(
        shown,
        f"payout rules on the blocks of {settings['name']}, seed {settings['seed']} ({unit})",
    )
    if out:
        write_file(out, table.to_csv(index=False))
        out_console.print(f"\nincome of every device: {out}", markup=False)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)

"""`fedstake compare`: the scorecard of a sweep, or what each rule would have paid in a run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import err_console, out_console
from experiments.progress import counted
from experiments.terminal import (
    EXIT_FAILED,
    DataOption,
    DebugOption,
    MemoryOption,
    TimeoutOption,
    TrustOption,
    one_line_errors,
    show,
    within,
)

if TYPE_CHECKING:
    from experiments.labels import Labels
    from experiments.runresult import RunResult
    from experiments.scorecard.winner import Verdict

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
        typer.Option(
            help="Of a sweep's file: its folder [default: results/NAME]. "
            "Of a sweep's folder: where the scorecard is written [default: there]. "
            "Of a run: a CSV file with the income of every device."
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Of a sweep's file: processes [default: all cores].")
    ] = None,
    data: DataOption = None,
    trust: TrustOption = False,
    timeout: TimeoutOption = None,
    memory: MemoryOption = None,
    debug: DebugOption = False,
) -> None:
    """Print the scorecard of a sweep's mechanisms, or what each rule would have paid in a run.

    Of a sweep also the winner; a run needs a tape.

    Example: fedstake compare results/mechanisms
    """
    with one_line_errors(debug, str(source)):
        within(
            timeout,
            memory,
            lambda note: _compare(source, rule, out, workers, data, trust),
            debug,
            str(source),
        )


def _compare(
    source: Path,
    rule: list[str] | None,
    out: Path | None,
    workers: int | None,
    data: Path | None,
    trust: bool,
) -> None:
    """Compare the mechanisms of a sweep, which may have to be played, or rules on a tape."""
    from experiments.recorded import RunError, sound
    from experiments.sweeps.manifest import SWEEP

    if source.is_file():
        _refuse("--rule", rule, f"{source} is a sweep; it is for a run with a tape")
        _compare_mechanisms(_play(source, out, workers, data), None, trust=True)
    elif (source / SWEEP).is_file():
        _refuse("--rule", rule, f"{source} is a sweep; it is for a run with a tape")
        with sound(source, "the scorecard"):
            _compare_mechanisms(source, out, trust=trust)
    elif (source / "manifest.json").is_file():
        with sound(source, "the comparison"):
            _compare_rules(source, rule, out, trust=trust)
    elif source.exists():
        raise RunError(
            f"{source}: neither a sweep (file or folder) nor a run directory with a tape"
        )
    else:
        raise RunError(f"{source}: no such folder or file")


def _refuse(option: str, given: object, why: str) -> None:
    """Raise `RunError` for an option that is given where it has no meaning."""
    from experiments.rundir import RunError

    if given:
        raise RunError(f"{option}: {why}")


def _play(source: Path, out: Path | None, workers: int | None, data: Path | None) -> Path:
    """Check all that is asked of a sweep, run its missing runs and return its folder."""
    from experiments.scorecard.before import check_before
    from experiments.sweeps.drive import Sweep

    planned = Sweep(source, out)
    check_before(planned.spec, planned.runs)
    with (
        planned.ready(),
        counted(planned.spec.name, len(planned.todo), planned.forecast()) as on_receipt,
    ):
        return planned.play(workers=workers, data=data, on_receipt=on_receipt).folder


def _compare_mechanisms(folder: Path, out: Path | None, *, trust: bool) -> None:
    """Print the scorecard of a sweep, the gains, the ranking and the winner.

    `trust`: import plug-in files that the sweep names.
    """
    from experiments.numerals import rounded
    from experiments.results import Results
    from experiments.scorecard.winner import compare as score
    from mechanisms.registry import reading

    with reading(trust=trust):
        results = Results.open(folder)
        verdict = score(results, out=out)
    table = verdict.table
    keys = [c for c in table.columns if c in results.factors]
    shown = [c for c in (*keys, *OUTCOMES) if c in table]
    labels = results.labels
    show(
        rounded(labels.applied(table[shown])),
        f"{results.name}: results by {labels.all_of(keys)}",
        keys=len(keys),
    )
    _show_gains(verdict, keys, labels)
    out_console.print()
    show(rounded(labels.applied(verdict.ranking)), verdict.title)
    files = "\n".join(f"        {file}" for file in verdict.files)
    out_console.print(f"\n{verdict.answer}\n{files}", markup=False)
    for warning in verdict.warnings:
        err_console.print(f"fedstake: {folder}: {warning}", markup=False)
    if (table["runs"] < table["planned"]).any():
        err_console.print(
            f"fedstake: {folder}: some runs failed or are missing; "
            "fedstake sweep goes on with them",
            markup=False,
        )
        raise typer.Exit(EXIT_FAILED)


def _show_gains(verdict: Verdict, keys: list[str], labels: Labels) -> None:
    """Print the gain of each deviation, what that says of honesty, and the gain of sybils."""
    from experiments.scorecard.showing import compatibility, gains_in_words, sybils

    level = f"{100 * verdict.level:.4g} %"
    gains = f"gain from deviating (per device, {level} simultaneous intervals; {verdict.method})"
    tables = {
        gains: gains_in_words(verdict),
        "incentive compatibility, of what was tried": compatibility(verdict, keys),
        f"gain from sybils (per operator, {level} intervals)": sybils(verdict, keys),
    }
    for heading, table in tables.items():
        if not table.empty:
            out_console.print()
            named = [c for c in table.columns if c in (*keys, "deviation")]
            show(labels.applied(table), heading, keys=len(named))


def _compare_rules(
    directory: Path, rule: list[str] | None, out: Path | None, *, trust: bool
) -> None:
    """Print what each payout rule would have paid for the blocks of a run."""
    from experiments.labels import rule_names
    from experiments.numerals import number
    from experiments.offpolicy import by_mechanism, compare_rules
    from experiments.rundir import check_file, write_file
    from experiments.runresult import open_run
    from experiments.spreadsheet import csv_text

    result = open_run(directory)
    if out:
        check_file(out)
        out.parent.mkdir(parents=True, exist_ok=True)
    table = compare_rules(result, rule or None, trust=trust)
    shown = by_mechanism(table)
    own = _own_name(result) | _own_names(rule or ())
    shown["mechanism"] = rule_names(shown["mechanism"], own)
    for column in ("honest", "adversary", "spent"):
        shown[column] = [number(v, 0) for v in shown[column]]
    shown["cpu_s"] = shown["cpu_s"].map("{:.3f}".format)
    failed = shown[shown["error"].notna()]
    settings = result.settings
    unit = f"mean income per device, base units of {settings['payout']['asset']}"
    show(
        shown.drop(columns="error"),
        f"what each rule would have paid in {settings['name']}, seed {settings['seed']} ({unit})",
    )
    for name, error in zip(failed["mechanism"], failed["error"], strict=True):
        out_console.print(f"{name}: {error}", markup=False)
    if out:
        write_file(out, csv_text(table))
        out_console.print(f"\nincome of every device: {out}", markup=False)


def _own_name(result: RunResult) -> dict[str, str]:
    """Return what the payout rule of a run calls itself, by the name that the scenario has."""
    recorded = result.manifest.get("plugins")
    own = recorded.get("payout.mechanism") if isinstance(recorded, dict) else None
    return {str(result.settings["payout"]["mechanism"]): own} if own else {}


def _own_names(rules: Iterable[str]) -> dict[str, str]:
    """Return what rules by path call themselves; the user named them, and they were played."""
    from mechanisms.registry import import_by_path

    return {rule: import_by_path(rule).name for rule in rules if ":" in rule}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(compare)

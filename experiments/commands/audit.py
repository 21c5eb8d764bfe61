"""`fedstake audit`: who profits from deviating under a rule, what stops it, how sure that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import out_console
from experiments.terminal import (
    EXIT_FAILED,
    DataOption,
    DebugOption,
    WorkersOption,
    one_line_errors,
    show,
)
from fedstake.errors import InputError

if TYPE_CHECKING:
    from experiments.audits.audit import Audit

SHOWN = 12
"""Rows of a table that are printed."""


RuleArgument = Annotated[
    str, typer.Argument(metavar="RULE", help="A rule of any kind by name, or path.py:Class.")
]
ScenarioOption = Annotated[
    str | None,
    typer.Option(help="Preset or file to play it in [default: its protocol's, for audits]."),
]
BudgetOption = Annotated[int, typer.Option(help="Runs at most.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a key of the scenario; repeatable."),
]
ClaimOption = Annotated[
    list[str] | None,
    typer.Option(
        help="What must not fail: deviations, sybils, coalitions, rationality, inclusion, "
        "settlement; repeatable [default: deviations]."
    ),
]
KindOption = Annotated[str, typer.Option(help="Kind of the rule, where several have its name.")]
LevelOption = Annotated[float, typer.Option(help="Level of all intervals together.")]
EpsilonOption = Annotated[
    float, typer.Option(help="Largest gain that counts as none, base units per run.")
]
ToleranceOption = Annotated[
    float, typer.Option(help="The same as a share of an honest device's payoff.")
]
MethodOption = Annotated[
    str, typer.Option(help="Of the intervals: t, or empirical-bernstein with --limits.")
]
LimitsOption = Annotated[
    str, typer.Option(metavar="LOW,HIGH", help="Least and largest possible gain of a run.")
]
SearchOption = Annotated[
    bool, typer.Option("--search/--no-search", help="Search for an attack, too.")
]
ReplayOption = Annotated[
    bool, typer.Option("--replay", help="Repeat the counterexample on a fresh dev chain, too.")
]
OutOption = Annotated[
    Path | None, typer.Option(help="Folder of runs and page [default: results/audit-RULE].")
]


def audit(
    rule: RuleArgument,
    scenario: ScenarioOption = None,
    budget: BudgetOption = 1_000,
    set_: SetOption = None,
    claim: ClaimOption = None,
    kind: KindOption = "",
    level: LevelOption = 0.95,
    epsilon: EpsilonOption = 0.0,
    tolerance: ToleranceOption = 0.05,
    method: MethodOption = "t",
    limits: LimitsOption = "",
    search: SearchOption = True,
    replay: ReplayOption = False,
    out: OutOption = None,
    workers: WorkersOption = None,
    data: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Red-team a rule: deviations, sybils, coalitions, a searched attack, what stops them.

    The same command goes on after a crash. Exit code 1 when a claim fails.

    Example: fedstake audit flat --budget 300
    """
    with one_line_errors(debug, rule):
        from experiments.audits.making import audit as made
        from experiments.audits.question import changes_of

        found = made(
            rule,
            scenario,
            out,
            set=changes_of(set_ or []),
            kind=kind,
            search=search,
            replay=replay,
            workers=workers,
            data=data,
            progress=True,
            budget=budget,
            level=level,
            epsilon=epsilon,
            tolerance=tolerance,
            method=method,
            limits=_limits(limits),
            claims=tuple(claim or ["deviations"]),
        )
        _show(found)
        if found.failed:
            out_console.print(f"claims that fail: {', '.join(found.failed)}", markup=False)
            raise typer.Exit(EXIT_FAILED)


def _show(found: Audit) -> None:
    """Print the answer, then the claims, then what gains most."""
    from experiments.audits.making import CERTIFICATE, PAGE
    from experiments.audits.page import answer, claims_frame

    for line in answer(found):
        out_console.print(line, markup=False)
    out_console.print()
    show(claims_frame(found), "claims")
    _show_findings(found)
    if found.replayed:
        out_console.print(f"\ncounterexample on a dev chain: {found.replayed}", markup=False)
    out_console.print(
        f"\npage: {found.folder / PAGE}; certificate: {found.folder / CERTIFICATE}", markup=False
    )


def _limits(text: str) -> tuple[float, float] | None:
    if not text:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise InputError(f"--limits {text}: must be two numbers, as -1000,1000") from None
    if not low < high:
        raise InputError(f"--limits {text}: the first must be below the second")
    return low, high


def _show_findings(found: Audit) -> None:
    """Print the variants that gain most."""
    from experiments.numerals import with_interval

    best = found.leading(SHOWN)
    if best.empty:
        return
    shown = best[["variant", "seeds", "verdict"]].copy()
    shown.insert(1, "gain", with_interval(best, "gain"))
    out_console.print()
    show(shown, "what gains most, base units per run")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(audit)

"""The `fedstake` command."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from experiments import chain_commands
from experiments.numerals import number, rounded, with_interval
from experiments.terminal import (
    EXIT_FAILED,
    DataOption,
    DebugOption,
    counted,
    duration,
    err_console,
    one_line_errors,
    out_console,
    progress,
    show,
)

app = typer.Typer(
    name="fedstake",
    help="Simulate decentralised federated learning with strategic devices, and see which rules survive.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        out_console.print(f"fedstake {version('fedstake')}", markup=False)
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Simulate decentralised federated learning with strategic devices, and see which rules survive."""


@app.command()
def run(
    scenario: Annotated[
        str, typer.Argument(help="A TOML file, or a preset (fedstake list scenarios).")
    ],
    seed: Annotated[
        int | None, typer.Option(help="Seed of the run [default: the scenario's].")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory [default: results/<name>-<run id>].")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Override a key; repeatable."),
    ] = None,
    data: DataOption = None,
    checkpoint_every: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="ROUNDS",
            help="Keep a checkpoint every so many rounds; an interrupted run resumes.",
        ),
    ] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Run again and replace a run that is there.")
    ] = False,
    debug: DebugOption = False,
) -> None:
    """Run one scenario and record it.

    Example: fedstake run digits-quick --seed 1 --set adversaries.0.count=6
    """
    with one_line_errors(debug, scenario):
        from experiments.loader import load_scenario, parse_override
        from experiments.reports.run import incomes, summary
        from experiments.runner import run as run_scenario

        overrides = dict(parse_override(text) for text in set_ or [])
        if seed is not None:
            overrides["seed"] = seed
        loaded = load_scenario(scenario, overrides)
        with progress(loaded.name, loaded.rounds) as tell:
            played = []

            def on_round(world: Any) -> None:
                played.append(world.round_index)
                tell(world.round_index)

            result = run_scenario(
                loaded,
                out,
                data=data,
                on_round=on_round,
                checkpoint_every=checkpoint_every,
                force=force,
            )
        if not played:
            out_console.print("this very run was recorded before; --force runs it again")
        show(summary(result), f"{loaded.name}, seed {loaded.seed}")
        show(rounded(incomes(result)))
        out_console.print(
            f"\nrecorded in {result.path}\nfigures:    fedstake report {result.path}", markup=False
        )


@app.command()
def sweep(
    source: Annotated[
        str,
        typer.Argument(metavar="SWEEP.toml", help="What to vary: see docs/how-to/run-a-sweep.md."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder of the sweep [default: results/<name>].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes [default: all cores].")
    ] = None,
    dask: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="A Dask scheduler to run on, as tcp://host:8786."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say how many runs there are and what they would cost."),
    ] = False,
    compact: Annotated[
        bool,
        typer.Option("--compact", help="Afterwards write one file per table, which opens faster."),
    ] = False,
    data: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Run every combination of a sweep. The same command goes on after a crash; finished runs are never run again.

    Example: fedstake sweep sweep.toml --workers 4
    """
    with one_line_errors(debug, source):
        from experiments.results import Results
        from experiments.sweeps.drive import Sweep

        planned = Sweep(source, out)
        if dry_run:
            cost = planned.estimate(workers=workers, data=data)
            out_console.print(
                f"{cost.runs} runs, {cost.todo} to do; from {cost.pilots} pilots: {duration(cost.cpu_s)} of CPU time, "
                f"{duration(cost.wall_s)} on {workers or os.cpu_count()} processes, {cost.bytes / 1e6:,.1f} MB of disk",
                markup=False,
            )
            return
        with counted(planned.spec.name, len(planned.todo), planned.forecast()) as on_receipt:
            outcome = planned.play(workers=workers, dask=dask, data=data, on_receipt=on_receipt)
        results = Results.open(outcome.folder)
        if compact:
            results.compact()
        if results.factors and not results.outcomes().empty:
            show(
                rounded(results.summary(ci="none"), results.factors),
                f"{results.name}: means over runs",
            )
        size = results.runs()["bytes"].sum()
        out_console.print(
            f"\n{outcome.planned} runs: {outcome.found} found, {outcome.done} done, {outcome.failed} failed, "
            f"{duration(outcome.wall_s)}, {size / 1e6:,.1f} MB of tables in {outcome.folder}",
            markup=False,
        )
        if outcome.failed:
            first = results.failures().iloc[0]
            err_console.print(
                f"fedstake: {outcome.failed} runs failed; the first in {first['stage']}: {first['error']} "
                "(Results.open(...).failures() has all)",
                markup=False,
            )
            raise typer.Exit(EXIT_FAILED)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="A run directory, or the folder of a sweep.")],
    out: Annotated[
        Path | None, typer.Option(help="Where to write [default: DIRECTORY/report].")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Draw the figures of a run or a sweep (PNG, SVG, CSV) and one self-contained report.html.

    Example: fedstake report results/digits-quick-548d72b99108
    """
    with one_line_errors(debug):
        from experiments.figures import SWEEP_FIGURES
        from experiments.reports import open_recorded
        from experiments.reports import report as write_report
        from experiments.rundir import RunResult

        recorded = open_recorded(directory)
        if isinstance(recorded, RunResult):
            page = write_report(recorded, out)
        else:
            with progress("report", len(SWEEP_FIGURES)) as tell:
                page = write_report(recorded, out, on_figure=tell)
        out_console.print(f"{page}", markup=False)


@app.command()
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
    debug: DebugOption = False,
) -> None:
    """The scorecard of a sweep's mechanisms and its winner; or, of one run with a tape, what each rule would have paid.

    Example: fedstake compare results/mechanisms
    """
    with one_line_errors(debug, str(source)):
        from experiments.rundir import RunError
        from experiments.sweeps.manifest import SWEEP

        if source.is_file():
            _compare_mechanisms(_play(source, workers, data))
        elif (source / SWEEP).is_file():
            _compare_mechanisms(source)
        elif (source / "manifest.json").is_file():
            _compare_rules(source, rule, out)
        else:
            told = (
                "neither a sweep (file or folder) nor a run directory with a tape"
                if source.exists()
                else "no such folder or file"
            )
            raise RunError(f"{source}: {told}")


def _play(source: Path, workers: int | None, data: Path | None) -> Path:
    """Run what of a sweep is not there yet."""
    from experiments.sweeps.drive import Sweep

    planned = Sweep(source)
    with counted(planned.spec.name, len(planned.todo), planned.forecast()) as on_receipt:
        return planned.play(workers=workers, data=data, on_receipt=on_receipt).folder


def _compare_mechanisms(folder: Path) -> None:
    from experiments.results import Results
    from experiments.scorecard.winner import compare as score

    results = Results.open(folder)
    verdict = score(results)
    table = verdict.table
    keys = [c for c in table.columns if c in results.factors]
    outcomes = [
        "runs",
        "accuracy",
        "honest_utility",
        "adversary_utility",
        "honest_rejected",
        "ir_violations",
        "spent",
    ]
    show(
        rounded(table[[c for c in (*keys, *outcomes) if c in table]], keys),
        f"{results.name}: what each mechanism comes to, under each attack",
    )
    gaps = [
        c
        for c in table.columns
        if c.startswith(("ic_gap", "sybil_gain")) and not c.endswith(("_low", "_high"))
    ]
    if gaps:
        told = table[table[gaps].notna().any(axis=1)]
        gained = told[[k for k in keys if told[k].nunique() > 1 or k == keys[0]]].copy()
        for column in gaps:
            gained[column] = with_interval(told, column)
        for column in ("best_deviation", "incentive_compatible"):
            if column in told:
                gained[column.replace("_", " ")] = told[column]
        show(gained, "what deviating and splitting gain, with simultaneous intervals")
    show(rounded(verdict.ranking, keys), "ranking by the stated objective")
    winner = verdict.winner or "none: every mechanism breaks a bound"
    out_console.print(
        f"\nwinner: {winner}{verdict.note}\n" + "\n".join(f"        {f}" for f in verdict.files),
        markup=False,
    )
    if (table["runs"] < table["planned"]).any():
        err_console.print(
            f"fedstake: {folder}: some runs failed or are missing; fedstake sweep goes on with them",
            markup=False,
        )
        raise typer.Exit(EXIT_FAILED)


def _compare_rules(directory: Path, rule: list[str] | None, out: Path | None) -> None:
    from experiments.offpolicy import by_mechanism, compare_payouts
    from experiments.rundir import check_place, open_run, write_file
    from mechanisms import registries

    result = open_run(directory)
    for name in rule or ():
        registries.payouts.get(name)
    if out:
        check_place(out.parent)
    table = compare_payouts(result, rule or None)
    shown = by_mechanism(table)
    for column in ("honest", "adversary", "spent"):
        shown[column] = [number(v, 0) for v in shown[column]]
    shown["cpu_s"] = shown["cpu_s"].map("{:.3f}".format)
    shown = shown.fillna("") if shown["error"].notna().any() else shown.drop(columns="error")
    unit = f"{result.settings['payout']['asset']}, mean income per device"
    show(
        shown,
        f"payout rules on the blocks of {result.settings['name']}, seed {result.settings['seed']} ({unit})",
    )
    if out:
        write_file(out, table.to_csv(index=False))
        out_console.print(f"\nincome of every device: {out}", markup=False)


@app.command(name="list")
def list_(
    kind: Annotated[
        str,
        typer.Argument(
            help="A kind of plug-ins; kinds: the names and meanings of all kinds; scenarios."
        ),
    ],
    debug: DebugOption = False,
) -> None:
    """List plug-ins of a kind with their parameters, or the shipped scenarios.

    Example: fedstake list behaviours
    """
    with one_line_errors(debug):
        from experiments.kinds import described, listed
        from experiments.loader import ScenarioError, load_scenario, preset_names
        from mechanisms.plugin import nearest

        if kind == "scenarios":
            for name in preset_names():
                s = load_scenario(name)
                bad = sum(g.size for g in s.adversaries)
                what = f"{s.protocol}, {s.rounds} rounds, {s.devices} devices ({bad} adversaries), {s.data.dataset}, {s.model.name}"
                out_console.print(f"{name:18} {what}", markup=False)
            return
        if kind == "kinds":
            for name, about in described():
                out_console.print(f"{name:22} {about}", markup=False)
            return
        kinds = listed()
        if kind not in kinds:
            raise ScenarioError("list", "kind", kind, nearest(kind, [*kinds, "kinds", "scenarios"]))
        for role, registry in kinds[kind]:
            for plugin in registry.all():
                _describe(plugin, f"{role} " if role else "")


def _describe(plugin: Any, prefix: str) -> None:
    meta = plugin.metadata()
    out_console.print(f"{prefix}{meta['name']}: {meta['summary']}", markup=False)
    for label, names in (
        ("observes", getattr(plugin, "observes", None)),
        ("knows", getattr(plugin, "knows", None)),
    ):
        if names is not None:
            out_console.print(
                f"    {label}: {', '.join(sorted(names)) or 'nothing beside its own'}", markup=False
            )
    for p in meta["params"]:
        signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
        bounds = ", ".join(f"{signs[k]} {v:g}" for k, v in (p["bounds"] or {}).items())
        extra = "; ".join(x for x in (p["unit"], bounds, ", ".join(p["choices"] or ())) if x)
        out_console.print(
            f"    {p['name']} = {p['default']!r}  {p['help']}" + (f" [{extra}]" if extra else ""),
            markup=False,
        )
    out_console.print(
        f"    source: {meta['reference']}" + (" (stochastic)" if meta["stochastic"] else ""),
        markup=False,
    )


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(help="Folder of the sweep, its tables and its report.")
    ] = Path("results/demo"),
    seeds: Annotated[int, typer.Option(min=1, help="Seeds per cell.")] = 3,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes [default: all cores].")
    ] = None,
    replay: Annotated[
        bool,
        typer.Option("--replay/--no-replay", help="Repeat the winner on the bundled dev chain."),
    ] = True,
    debug: DebugOption = False,
) -> None:
    """The main job, small: mechanisms under attack on real digits, scorecard, report, and the winner repeated on a chain.

    Example: fedstake demo --seeds 5
    """
    with one_line_errors(debug):
        from experiments.demo import play, prepare

        prepared = prepare(out, seeds)
        with counted("demo", len(prepared.todo), prepared.forecast()) as on_receipt:
            outcome = play(prepared, workers=workers, on_receipt=on_receipt)
        show(
            rounded(outcome.table),
            f"mechanisms under attack on real digits, {seeds} seeds, base units per device",
        )
        show(
            rounded(outcome.ranking),
            "ranking by the stated objective (experiments/sweeps/demo.toml)",
        )
        out_console.print(
            f"\n{outcome.reading}\n\n"
            f"report:     {outcome.page}\n"
            f"scorecard:  {out / 'scorecard.csv'}\n"
            + (f"winner:     fedstake run {outcome.winner}\n" if outcome.winner else "")
            + f"one run:    fedstake report {outcome.example}\n"
            "next:       fedstake run digits-quick --set adversaries.0.count=6\n"
            "            fedstake list behaviours",
            markup=False,
        )
        if replay and outcome.worst:
            _replay_winner(*outcome.worst, out / "replay")


def _replay_winner(attack: str, winner: Path, folder: Path) -> None:
    from chain_bridge import replay_run

    out_console.print(
        f"\nThe winner under its worst attack ({attack}), repeated on a real Substrate runtime:\n",
        markup=False,
    )
    with progress("replay", 1) as tell:
        done = replay_run(winner, out=folder, on_batch=tell.of)
    chain_commands.show_replay(done)
    if not done.books.agrees:
        raise typer.Exit(EXIT_FAILED)


@app.command()
def reproduce(
    paper: Annotated[str, typer.Argument(help="Which paper; an unknown one says which there are.")],
    size: Annotated[
        str,
        typer.Option(
            help="smoke (seconds), reduced (the MNIST files at hand) or paper (as published)."
        ),
    ] = "smoke",
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with", metavar="GROUP", help="An optional group of runs as well; repeatable."
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder [default: results/reproduce-<paper>-<size>].")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes [default: all cores].")
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say how many runs there are and what they would cost."),
    ] = False,
    data: DataOption = None,
    debug: DebugOption = False,
) -> None:
    """Play a paper's experiments, draw its figures, and say of every published value whether it holds.

    Example: fedstake reproduce vbfl --size smoke
    """
    with one_line_errors(debug):
        from experiments.reproduce.driver import Reproduction, tally

        wanted = Reproduction(paper, size, out, with_ or ())
        cost = wanted.estimate()
        if dry_run:
            cpu_s = cost["cpu_s"].sum()
            show(
                cost.assign(cpu_s=[duration(s) for s in cost["cpu_s"]]).rename(
                    columns={"cpu_s": "CPU time"}
                )
            )
            processes = workers or os.cpu_count() or 1
            out_console.print(
                f"\n{duration(cpu_s)} of CPU time, {duration(cpu_s / processes)} on {processes} processes",
                markup=False,
            )
            return
        todo = sum(len(sweep.todo) for sweep in wanted.sweeps.values())
        with counted(f"{paper} {size}", todo) as on_receipt:
            evidence = wanted.play(workers=workers, data=data, on_receipt=on_receipt)
        outcome = wanted.write(evidence)
        show(outcome.verdicts[["id", "published", "measured", "verdict"]])
        show(outcome.cost, "\nCPU time against the authors' code")
        out_console.print(f"\n{tally(outcome.verdicts)}\nreport: {outcome.page}", markup=False)


chain_commands.register(app)


def main() -> None:
    """Entry point. Usage errors of the command line itself exit with 2 as well."""
    app()


if __name__ == "__main__":
    main()

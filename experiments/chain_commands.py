"""`fedstake replay` and `fedstake devchain`: the command line of the chain bridge."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pandas as pd
import typer

from experiments.terminal import (
    EXIT_FAILED,
    DebugOption,
    duration,
    one_line_errors,
    out_console,
    progress,
    show,
)

if TYPE_CHECKING:
    from chain_bridge import Witnessed
    from chain_bridge.script import Script

SHOWN = 20  # rows of a long table
UNITS = 10**12


def replay(
    run_dir: Annotated[Path, typer.Argument(help="A run directory.")],
    endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="ws://HOST:PORT",
            help="A Substrate dev node [default: starts the bundled dev chain].",
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the plan, its calls and its fees; sign nothing."),
    ] = False,
    token: Annotated[
        str, typer.Option(help="What holds the run's money: asset, native, or auto.")
    ] = "auto",
    asset: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Number of the asset.")] = 1,
    scale: Annotated[
        int, typer.Option(min=1, help="Units on the chain for one base unit of the run.")
    ] = 1,
    batch: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="At most so many calls in a batch [default: what the chain's weights allow]; one never spans rounds.",
        ),
    ] = None,
    allow_endpoint: Annotated[
        bool,
        typer.Option(
            "--allow-endpoint",
            help="Sign on a chain that is not the bundled one (a dev node all the same).",
        ),
    ] = False,
    genesis: Annotated[
        str | None, typer.Option(metavar="HASH", help="What the hash of block 0 must be.")
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            help="The operator's key, readable by its owner alone [default: FEDSTAKE_KEY]."
        ),
    ] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="For each answer of the chain.")
    ] = 60.0,
    out: Annotated[
        Path | None, typer.Option(help="Where to write [default: RUN_DIR/replay].")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Repeat a recorded run on a real dev chain, batch by batch exactly once, and reconcile it to the last unit.

    Example: fedstake replay results/digits-quick-548d72b99108
    """
    with one_line_errors(debug):
        from chain_bridge import Options, replay_run
        from chain_bridge import dry_run as plan_of
        from experiments.rundir import check_place, open_run

        open_run(run_dir)
        options = Options(
            endpoint, token, asset, scale, batch, allow_endpoint, genesis, key_file, timeout
        )  # type: ignore[arg-type]
        folder = out or run_dir / ("replay-plan" if dry_run else "replay")
        check_place(folder)
        if dry_run:
            _show_plan(plan_of(run_dir, options), folder)
            return
        with progress("replay", 1) as tell:
            done = replay_run(run_dir, options, out=folder, on_batch=tell.of)
        show_replay(done)
        if not done.books.agrees:
            raise typer.Exit(EXIT_FAILED)


def _show_plan(script: Script, folder: Path) -> None:
    """What would be sent."""
    kinds = []
    for kind, count in sorted(Counter(a.kind for a in script.actions).items()):
        price = script.prices[kind]
        kinds.append(
            {
                "call": kind,
                "calls": f"{count:,}",
                "weight of one": f"{price.weight.ref_time:,}",
                "bytes of one": price.length,
                "fee of one": f"{price.fee:,}",
            }
        )
    run = script.plan.run
    show(
        pd.DataFrame(kinds),
        f"{run.name} ({run.mechanism}) on {script.runtime.spec_name}: {script.money.unit}, fees in native units",
    )
    batches = pd.DataFrame(
        [
            {
                "batch": b.index,
                "round": b.round,
                "calls": b.stop - b.start,
                "estimated fee": f"{script.estimate_of(b):,}",
            }
            for b in script.batches
        ]
    )
    show(
        batches.head(SHOWN),
        "\nbatches" + (f", the first {SHOWN} of {len(batches)}" if len(batches) > SHOWN else ""),
    )
    for told in script.skipped:
        out_console.print(f"skipped: {told}", markup=False)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.csv"
    script.frame().to_csv(path, index=False)
    out_console.print(
        f"\n{len(script.actions):,} calls in {len(script.batches):,} batches, at most about {script.estimate():,} native units "
        f"of fees; nothing was signed\nall calls: {path}",
        markup=False,
    )


def show_replay(done: Witnessed) -> None:
    """The books of a replay, for reading."""
    script, replayed = done.script, done.replayed
    rows: list[dict[str, Any]] = []
    for check, part in done.books.frame().groupby("check", sort=False):
        rows.append(
            {
                "check": check,
                "comparisons": f"{len(part):,}",
                "differences": int((part["difference"] != 0).sum()),
            }
        )
    run = script.plan.run
    where = f"{done.chain.chain} ({done.chain.spec_name} {script.runtime.spec_version})"
    show(pd.DataFrame(rows), f"{run.name} ({run.mechanism}) on {where}, {script.money.unit}")
    show(_fees(done), "\nfees, native units")
    for told in done.books.skipped:
        out_console.print(f"skipped: {told}", markup=False)
    sent = f"{replayed.sent} of {len(script.batches)} batches sent in {duration(replayed.wall_s)}"
    found = f", {replayed.found} were there before" if replayed.found else ""
    repaired = f", {replayed.repaired} rollbacks repaired" if replayed.repaired else ""
    restarts = f", the chain was started again {done.restarts} times" if done.restarts else ""
    number, head = done.books.head
    out_console.print(
        f"\n{sent}{found}{repaired}{restarts}; {len(script.actions):,} calls\n"
        f"head:    block {number}, {head}\ntables:  {done.folder}\n{done.books.verdict}",
        markup=False,
    )


def _fees(done: Witnessed) -> pd.DataFrame:
    """The first rounds and the total."""
    table = done.books.fees.by_round()
    total = {"round": "all", "calls": table["calls"].sum(), "fee": table["fee"].sum()}
    shown = table.head(5).astype(object)
    for column in shown.columns[3:]:
        shown[column] = [f"{v:,.0f}" if v == v else "" for v in shown[column]]
    full = pd.concat([shown, pd.DataFrame([total], dtype=object)], ignore_index=True).fillna("")
    full["fee"] = [f"{v:,}" for v in full["fee"]]
    if len(table) > len(shown):
        full.loc[len(shown) - 0.5] = ["…"] + [""] * (len(full.columns) - 1)
        full = full.sort_index()
    return full.rename(columns={c: c.replace("_", " ") for c in full.columns})


devchain = typer.Typer(
    help="The bundled dev chain: the real Asset Hub runtime, executed locally.",
    no_args_is_help=True,
)


@devchain.command()
def up(
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="On 127.0.0.1 [default: a free one].")
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Start the dev chain in the background; installs its programs the first time.

    Example: fedstake devchain up --port 9944
    """
    with one_line_errors(debug):
        from chain_bridge.devchain import server

        chain, started = server.up(port)
        told = "started" if started else "was up already"
        out_console.print(
            f"{told}: {chain.url} (process {chain.pid})\nreplay:  fedstake replay RUN_DIR --endpoint {chain.url}",
            markup=False,
        )


@devchain.command()
def down(debug: DebugOption = False) -> None:
    """End the dev chain; what is on it is lost.

    Example: fedstake devchain down
    """
    with one_line_errors(debug):
        from chain_bridge.devchain import server

        ended = server.down()
        out_console.print(f"ended: {ended.url}" if ended else "no dev chain is up", markup=False)


@devchain.command()
def status(debug: DebugOption = False) -> None:
    """Say where the dev chain is and what it says of itself; exit code 1 when none is up.

    Example: fedstake devchain status
    """
    with one_line_errors(debug):
        from chain_bridge.client import Chain
        from chain_bridge.devchain import server
        from chain_bridge.safety import identify

        running = server.status()
        if running is None:
            out_console.print("no dev chain is up", markup=False)
            raise typer.Exit(EXIT_FAILED)
        if not running.url:
            out_console.print(f"starting (process {running.pid})", markup=False)
            raise typer.Exit(EXIT_FAILED)
        server.verify(running.url, running.digest)
        with Chain(running.url) as chain:
            who, head, version = identify(chain), chain.head(), chain.runtime.spec_version
        out_console.print(
            f"{running.url} (process {running.pid}): {who.chain}, {who.spec_name} {version}, type {who.kind}\n"
            f"head:    block {head.number}, {head.hash}\ngenesis: {who.genesis}\n"
            f"state:   {running.digest} (SHA-256 of its first state)",
            markup=False,
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(replay)
    app.add_typer(devchain, name="devchain")

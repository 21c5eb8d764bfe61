"""`fedstake replay`: repeat a recorded run on a real chain and reconcile it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.console import out_console
from experiments.evm_replay import check_substrate_options, checks, options_of, replay_on_evm
from experiments.numerals import duration, whole
from experiments.progress import progress
from experiments.terminal import EXIT_FAILED, DebugOption, one_line_errors, show

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from chain_bridge import Options, Witnessed
    from chain_bridge.coin import Coin
    from chain_bridge.script import Script

SHOWN = 20
"""Rows of a long table that are printed."""
COMPARED = {
    "calls": "calls of a batch, with what was asked for",
    "call": "calls that did something else, one by one",
    "signature": "batches, with their signer's own signature",
    "fee": "fees of a signer in a block, with its balance",
    "balance": "account after a round, with the journal",
    "recorded balance": "account after a round, with table participants",
    "moved": "change of an account in a round, by reason",
    "signer": "account of each signer, with all that it paid",
    "issuance": "total on the chain, with the sum of all accounts",
    "supply": "change of the supply, with issued less burned",
    "order": "batches, with the order that was asked for",
}
"""What each check compares, in words."""


ChainOption = Annotated[
    str,
    typer.Option(
        metavar="substrate|evm",
        help="substrate: the journal is booked; evm: contracts play the run and compute what is "
        "paid.",
    ),
]
EndpointOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="A dev node: ws://HOST:PORT of Substrate, http://HOST:PORT of an EVM "
        "[default: starts a bundled one].",
    ),
]
DryRunOption = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the plan, its calls and its fees; sign nothing."),
]
TokenOption = Annotated[
    str, typer.Option(help="What holds the run's money: asset, native, or auto.")
]
AssetOption = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Number of the asset.")]
ScaleOption = Annotated[
    int, typer.Option(min=1, help="Units on the chain for one base unit of the run.")
]
CustodyOption = Annotated[
    str,
    typer.Option(
        metavar="operator|devices",
        help="Who signs: devices, each what it does itself, or one operator everything "
        "[default: devices where the chain allows it].",
        show_default=False,
    ),
]
BatchOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="At most so many calls in a batch [default: what the chain's weights allow]; "
        "one never spans rounds.",
    ),
]
ForeignOption = Annotated[
    bool,
    typer.Option(
        "--allow-endpoint",
        help="Sign on a chain that is not the bundled one (a dev node all the same).",
    ),
]
GenesisOption = Annotated[
    str | None, typer.Option(metavar="HASH", help="What the hash of block 0 must be.")
]
KeyOption = Annotated[
    Path | None,
    typer.Option(help="The operator's key, readable by its owner alone [default: FEDSTAKE_KEY]."),
]
TimeoutOption = Annotated[
    float, typer.Option(min=0.1, metavar="SECONDS", help="For each answer of the chain.")
]


def replay(
    run_dir: Annotated[Path, typer.Argument(metavar="RUN_DIR", help="A run directory.")],
    chain: ChainOption = "substrate",
    endpoint: EndpointOption = None,
    dry_run: DryRunOption = False,
    token: TokenOption = "auto",  # noqa: S107 - not a secret
    asset: AssetOption = 1,
    scale: ScaleOption = 1,
    custody: CustodyOption = "auto",
    batch: BatchOption = None,
    allow_endpoint: ForeignOption = False,
    genesis: GenesisOption = None,
    key_file: KeyOption = None,
    timeout: TimeoutOption = 60.0,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write [default: RUN_DIR/replay, of an EVM replay-evm]."),
    ] = None,
    debug: DebugOption = False,
) -> None:
    """Repeat a recorded run on a real dev chain and reconcile it to the last unit.

    On Substrate each batch is sent exactly once, also after an interruption. On an EVM the
    participants' own calls are played on contracts that enforce the rules.

    Example: fedstake replay results/digits-quick-548d72b99108
    """
    with one_line_errors(debug):
        from chain_bridge import Options, PlanError
        from experiments.rundir import check_place
        from experiments.runresult import open_run
        from mechanisms.registry import reading

        with reading():
            open_run(run_dir)
            if chain == "evm":
                given = (token, asset, scale, batch, genesis, key_file, custody)
                check_substrate_options(given)
                evm = options_of(endpoint, timeout, allow_endpoint=allow_endpoint)
                folder = out or run_dir / ("replay-evm-plan" if dry_run else "replay-evm")
                check_place(folder)
                replay_on_evm(run_dir, evm, folder, dry_run=dry_run)
                return
            if chain != "substrate":
                raise PlanError(f"--chain {chain}: must be substrate or evm")
            options = Options(
                endpoint=endpoint,
                token=token,  # type: ignore[arg-type]
                asset=asset,
                scale=scale,
                batch=batch,
                allow_endpoint=allow_endpoint,
                genesis=genesis,
                key_file=key_file,
                timeout_s=timeout,
                custody=custody,  # type: ignore[arg-type]
            )
            folder = out or run_dir / ("replay-plan" if dry_run else "replay")
            check_place(folder)
            _replay(run_dir, options, folder, dry_run=dry_run)


def _replay(run_dir: Path, options: Options, folder: Path, *, dry_run: bool) -> None:
    """Show the plan of a replay, or do it; exit with a failure when the books differ."""
    from chain_bridge import dry_run as plan_of
    from chain_bridge import replay_run
    from experiments.recorded import sound

    if dry_run:
        with sound(run_dir, "the plan"):
            script = plan_of(run_dir, options)
        _show_plan(script, folder)
        return
    with progress("replay", 1) as report_done:
        done = replay_run(run_dir, options, out=folder, on_batch=report_done.of)
    show_replay(done)
    if not done.books.agrees:
        raise typer.Exit(EXIT_FAILED)


def _show_plan(script: Script, folder: Path) -> None:
    """Print the plan of a replay, and write all of its calls to a CSV file."""
    from experiments.rundir import write_file
    from experiments.spreadsheet import csv_text

    run = script.plan.run
    show(
        _prices(script),
        f"{run.name} ({run.mechanism}) on {script.runtime.spec_name}: "
        f"{script.money.unit}, custody: {script.custody}, fees in {_unit(script.coin)}",
    )
    batches = _batches(script)
    first = f", the first {SHOWN} of {len(batches)}" if len(batches) > SHOWN else ""
    show(batches.head(SHOWN), f"\nbatches{first}")
    _show_skipped(script.skipped)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "plan.csv"
    write_file(path, csv_text(script.frame()))
    out_console.print(
        f"\n{len(script.actions):,} calls in {len(script.batches):,} batches, "
        f"fees at most about {script.coin.amount(script.estimate())}; nothing was sent\n"
        f"all calls: {path}",
        markup=False,
    )


def _prices(script: Script) -> pd.DataFrame:
    """Return one row per kind of call: how many, and what one of them costs."""
    import pandas as pd

    rows = []
    for kind, count in sorted(Counter(map(script.sort, script.actions)).items()):
        price = script.prices[kind]
        rows.append(
            {
                "call": kind,
                "calls": f"{count:,}",
                "weight of one": f"{price.weight.ref_time:,}",
                "bytes of one": price.length,
                "fee of one": f"{price.fee:,}",
                _in_tokens(script.coin): script.coin.tokens(price.fee),
            }
        )
    return _known(pd.DataFrame(rows))


def _batches(script: Script) -> pd.DataFrame:
    """Return one row per batch."""
    import pandas as pd

    from chain_bridge.script import signer_name

    rows = [
        {
            "batch": batch.index,
            "signer": signer_name(batch.signer),
            "round": _round_name(batch.round, script),
            "calls": batch.stop - batch.start,
            "estimated fee": f"{script.estimate_of(batch):,}",
            _in_tokens(script.coin): script.coin.tokens(script.estimate_of(batch)),
        }
        for batch in script.batches
    ]
    return _known(pd.DataFrame(rows))


def _round_name(r: int, script: Script) -> str:
    """Return what a round is called: what is booked before the first and after the last is none."""
    if r == 0:
        return "opening"
    played = script.plan.run.participants("round")
    return "closing" if played is not None and r > played["round"].max() else str(r)


def _in_tokens(coin: Coin) -> str:
    """Return the heading of a column of fees in tokens."""
    return f"in {coin.symbol or 'tokens'}"


def _known(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without its fees in tokens where the decimals of the token are unknown."""
    return table.loc[:, (table != "").any()]


def _unit(coin: Coin) -> str:
    """Return what fees are counted in, in words."""
    if coin.decimals is None:
        return "base units of the chain's native token"
    return f"base units (10^-{coin.decimals} {coin.symbol or 'token'})"


def _show_skipped(reasons: Iterable[str]) -> None:
    for reason in reasons:
        out_console.print(f"skipped: {reason}", markup=False)


def show_replay(done: Witnessed) -> None:
    """Print the books of a replay."""
    script, replayed = done.script, done.replayed
    run = script.plan.run
    where = f"{done.chain.chain} ({done.chain.spec_name} {script.runtime.spec_version})"
    held = f"{script.money.unit}, custody: {script.custody}"
    show(checks(done.books, COMPARED), f"{run.name} ({run.mechanism}) on {where}, {held}")
    show(
        _fees(done),
        f"\nfees in {_unit(script.coin)}: {script.coin.amount(done.books.fees.total)} in all",
    )
    if script.custody == "devices":
        paid = done.books.participants
        first = f", the first {SHOWN} of {len(paid)}" if len(paid) > SHOWN else ""
        show(_grouped(paid.head(SHOWN)), f"\nfees by who paid them{first}")
    _show_skipped(done.books.skipped)
    parts = [
        f"{replayed.sent} of {len(script.batches)} batches sent in {duration(replayed.wall_s)}"
    ]
    if replayed.found:
        parts.append(f"{replayed.found} were there before")
    if replayed.repaired:
        parts.append(f"{replayed.repaired} rollbacks repaired")
    if done.restarts:
        parts.append(f"the chain was started again {done.restarts} times")
    number, head = done.books.head
    out_console.print(
        f"\n{', '.join(parts)}; {len(script.actions):,} calls\n"
        f"head:    block {number}, {head}\ntables:  {done.folder}\n{done.books.verdict}",
        markup=False,
    )


def _grouped(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with its integers as text, in groups of three digits."""
    return table.map(lambda value: value if isinstance(value, str) else whole(value))


def _fees(done: Witnessed) -> pd.DataFrame:
    """Return the fees of the first rounds and their total, as text."""
    import pandas as pd

    table = done.books.fees.by_round()
    total = {"round": "all", "calls": table["calls"].sum(), "fee": table["fee"].sum()}
    shown = table.head(5).astype(object)
    shown["round"] = [_round_name(int(r), done.script) for r in shown["round"]]
    for column in shown.columns[3:]:
        shown[column] = [f"{v:,.0f}" if v == v else "" for v in shown[column]]
    full = pd.concat([shown, pd.DataFrame([total], dtype=object)], ignore_index=True).fillna("")
    coin = done.script.coin
    if coin.decimals is not None:
        tokens = [coin.tokens(int(v)) for v in full["fee"]]
        full.insert(list(full.columns).index("fee") + 1, _in_tokens(coin), tokens)
    full["fee"] = [f"{v:,}" for v in full["fee"]]
    if len(table) > len(shown):  # a row of dots between the first rounds and the total
        full.loc[len(shown) - 0.5] = ["…"] + [""] * (len(full.columns) - 1)
        full = full.sort_index()
    return full.rename(columns={c: c.replace("_", " ") for c in full.columns})


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(replay)

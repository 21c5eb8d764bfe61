"""`fedstake devchain`: start, end and ask the bundled dev chain."""

from __future__ import annotations

from typing import Annotated

import typer

from experiments.console import out_console
from experiments.terminal import EXIT_FAILED, DebugOption, one_line_errors

devchain = typer.Typer(
    help="Start, look at or end the bundled dev chain: the real Asset Hub runtime, run locally.",
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
        state = "started" if started else "was up already"
        out_console.print(
            f"{state}: {chain.url} (process {chain.pid})\n"
            f"replay:  fedstake replay RUN_DIR --endpoint {chain.url}",
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
    """Print the dev chain's address and version; exit code 1 when none is up.

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
            f"{running.url} (process {running.pid}): "
            f"{who.chain}, {who.spec_name} {version}, type {who.kind}\n"
            f"head:    block {head.number}, {head.hash}\ngenesis: {who.genesis}\n"
            f"state:   {running.digest} (SHA-256 of its first state)",
            markup=False,
        )


def register(app: typer.Typer) -> None:
    """Add the command and its own commands."""
    app.add_typer(devchain, name="devchain")

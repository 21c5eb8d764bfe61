"""The `fedstake` command: its commands are the files of `experiments/commands/`."""

from __future__ import annotations

from typing import Annotated

import typer

from experiments import usage
from experiments.commands import register_all
from experiments.console import out_console

ABOUT = (
    "Simulate decentralised federated learning with strategic devices, and see which rules survive."
)

app = typer.Typer(
    name="fedstake",
    help=ABOUT,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        out_console.print(f"fedstake {version('fedstake')}", markup=False)
        raise typer.Exit


@app.callback(help=ABOUT)
def common(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Hold the options of the program itself."""


register_all(app)
usage.apply(app)


def main() -> None:
    """Run the command line. Its own usage errors exit with 2, as all bad input does."""
    app()


if __name__ == "__main__":
    main()

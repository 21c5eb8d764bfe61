"""The command line as a whole: help of which nothing is cut, and words that are text.

Usage has no braces; a path that is not UTF-8 is refused here, where all paths enter.
"""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from experiments.console import err_console
from fedstake.errors import InputError
from fedstake.outside import is_utf8, shown


class Command(TyperCommand):
    """A command whose usage names its arguments as the text below it does."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return the words of the usage line after the command."""
        return [piece.strip("{}") for piece in super().collect_usage_pieces(ctx)]


class Commands(TyperGroup):
    """Commands, each with the whole first sentence of its help."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse a word that is not UTF-8 before any command acts on it: it can only be a path."""
        wrong = next((word for word in args if not is_utf8(word)), None)
        if wrong is not None:
            reason = "is not UTF-8, and no record could hold it; rename that file or folder"
            err_console.print(f"fedstake: {shown(wrong)}: {reason}", markup=False)
            raise typer.Exit(InputError.exit_code)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of commands."""
        rows = []
        for name in self.list_commands(ctx):
            command = self.get_command(ctx, name)
            assert command is not None
            rows.append((name, command.get_short_help_str(limit=1_000)))
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def apply(app: typer.Typer) -> None:
    """Let an application and the groups in it be helped in this way."""
    app.info.cls = Commands
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        assert group.typer_instance is not None
        apply(group.typer_instance)

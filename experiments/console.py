"""The two consoles, on which names from outside steer nothing."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from experiments.fitting import wrapped
from fedstake.outside import literal


class _Literal(Console):
    """A console on which names from outside steer nothing."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does, text without characters that steer a terminal.

        Lines of text end between words at a terminal; in a file or a pipe they stay whole.
        """
        super().print(*map(self._laid_out, objects), **options)

    def _laid_out(self, item: Any) -> Any:
        text = shown(item)
        return wrapped(text, self.width) if self.is_terminal and isinstance(text, str) else text


def shown(item: Any) -> Any:
    """Return a text with its line breaks, each line literal; anything else as it is."""
    return "\n".join(map(literal, item.split("\n"))) if isinstance(item, str) else item


class _Console(_Literal):
    """A console that lets `BrokenPipeError` through, so that `fedstake ... | head` ends quietly."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


out_console = _Console(soft_wrap=True, highlight=False, emoji=False)
err_console = _Literal(stderr=True, soft_wrap=True, highlight=False, emoji=False)

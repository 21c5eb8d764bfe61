"""What a certificate or a claim from somebody else may name without being trusted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fedstake.errors import InputError
from fedstake.outside import shown


def check_names(tables: Iterable[Mapping[str, Any]], source: str) -> None:
    """Raise `InputError` for a plug-in file that tables name, and for what they would download.

    Nothing of them has been looked at yet: a name of a file in any place counts.

    Args:
        tables: plain values, as read from a file.
        source: that file; errors name it.
    """
    for key, value in (leaf for table in tables for leaf in leaves(table)):
        if isinstance(value, str) and (".py:" in value or value.endswith(".py")):
            raise InputError(
                f"{source}: {key} = {shown(value)}: a plug-in file, imported only with --trust"
            )
        if key == "download" and value:
            raise InputError(f"{source}: download = true: data are fetched only with --trust")


def leaves(values: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every value inside tables and lists, with its own key."""
    if isinstance(values, Mapping):
        for name, inner in values.items():
            yield from leaves(inner, str(name))
    elif isinstance(values, list | tuple):
        for inner in values:
            yield from leaves(inner, key)
    else:
        yield key, values

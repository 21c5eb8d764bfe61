"""What a certificate, a row or a claim says of plug-in files, and what a stranger's may name."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from fedstake.errors import InputError
from fedstake.outside import leads_out, shown

FILES = ("file", "replay_of")
"""Keys that name files in the folder of data files."""


def check_names(tables: Iterable[Mapping[str, Any]], source: str) -> None:
    """Raise `InputError` for what tables name that a stranger's may not.

    A plug-in file, what would be downloaded, a data file outside of the folder of data files.

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
        last = key.rpartition(".")[2]
        if last == "download" and value:
            raise InputError(f"{source}: download = true: data are fetched only with --trust")
        if last in FILES and leads_out(value):
            raise InputError(
                f"{source}: {key} = {shown(value)}: leads out of the folder of data files; it is "
                "read only with --trust"
            )


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


def bare(values: Any) -> Any:
    """Return plain values in which plug-ins by path have the bare name of their file.

    They are looked for beside the file that names them; where they lay is nobody's business.
    """
    if isinstance(values, Mapping):
        return {key: bare(value) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [bare(value) for value in values]
    if isinstance(values, str) and ".py:" in values:
        return os.path.basename(values)
    return values


def file_hash(rule: str) -> str:
    """Return the SHA-256 of the file of a rule by path, "" for any other."""
    if ":" not in rule:
        return ""
    return hashlib.sha256(Path(rule.rpartition(":")[0]).read_bytes()).hexdigest()

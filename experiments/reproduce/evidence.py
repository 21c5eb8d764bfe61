"""The recorded runs of a reproduction, as tables for measures and figures."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import pandas as pd

from experiments.results import Results


class Evidence:
    """Results of each group that was played, by the name of the group.

    Frames are read once and shared: callers must not change them.
    """

    def __init__(self, results: Mapping[str, Results]) -> None:
        self.results = results
        self._read: dict[tuple[object, ...], pd.DataFrame] = {}

    def table(
        self,
        group: str,
        name: str,
        *,
        columns: Sequence[str] | None = None,
        where: str | None = None,
    ) -> pd.DataFrame:
        """Return a table of a group's runs with its factors and seeds, as `Results.table` does.

        Empty when the group was not played.
        """
        if group not in self.results:
            return pd.DataFrame()
        key = (group, name, tuple(columns or ()), where)
        if key not in self._read:
            self._read[key] = self.results[group].table(name, columns=columns, where=where)
        return self._read[key]

    def of(
        self,
        arms: Collection[str],
        name: str,
        group: str = "arms",
        *,
        columns: Sequence[str] | None = None,
        where: str | None = None,
    ) -> pd.DataFrame:
        """Return a table of those runs of a group whose factor `arm` is one of `arms`.

        Empty when there are none.
        """
        table = self.table(group, name, columns=columns, where=where)
        return table[table["arm"].isin(arms)] if len(table) else pd.DataFrame()

    def rounds(self, arm: str, group: str = "arms") -> pd.DataFrame:
        """Return table `rounds` of one arm; empty when it was not played."""
        return self.of([arm], "rounds", group)

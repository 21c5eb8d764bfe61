"""What a reproduction has recorded, for those who measure and draw."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from experiments.results import Results


@dataclass(frozen=True)
class Evidence:
    """Results of each group that was played, by the group's name."""

    results: Mapping[str, Results]

    def table(self, group: str, name: str, **options: Any) -> pd.DataFrame:
        """A table of a group's runs with its factors and seeds (`Results.table`); empty when the group was not played."""
        return self.results[group].table(name, **options) if group in self.results else pd.DataFrame()

    def rounds(self, arm: str, group: str = "arms") -> pd.DataFrame:
        """Table `rounds` of one arm; empty when it was not played."""
        table = self.table(group, "rounds")
        return table[table["arm"] == arm] if len(table) else table

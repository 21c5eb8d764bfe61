"""Comparisons of a chain's books with the journal: one row each, and the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import pandas as pd

COLUMNS = ("check", "round", "account", "reason", "journal", "chain", "difference", "call")


class Row(NamedTuple):
    """One comparison. Amounts are units on the chain; `call` names the batch and call compared."""

    check: str
    round: int
    account: str
    reason: str
    journal: int
    chain: int
    call: str = ""

    @property
    def difference(self) -> int:
        return self.chain - self.journal


@dataclass
class Comparison:
    """All comparisons of a replay."""

    rows: list[Row]

    @property
    def differences(self) -> list[Row]:
        return [r for r in self.rows if r.difference]

    @property
    def agrees(self) -> bool:
        """Whether there was something to compare and nothing differs."""
        return bool(self.rows) and not self.differences

    @property
    def verdict(self) -> str:
        """The verdict in one line."""
        if self.agrees:
            return f"reconciled: {len(self.rows):,} comparisons, no difference"
        if not self.rows:
            return "not reconciled: nothing to compare"
        first = self.differences[0]
        where = f" ({first.call})" if first.call else ""
        return (
            f"NOT reconciled: {len(self.differences):,} of {len(self.rows):,} comparisons differ, "
            f"first {first.check} of {first.account}, round {first.round}{where}: "
            f"journal {first.journal:,}, chain {first.chain:,}"
        )

    def frame(self) -> pd.DataFrame:
        """Return table `reconciliation`; amounts are Python integers, they may exceed 64 bits."""
        lines = [(*r[:6], r.difference, r.call) for r in self.rows]
        table = pd.DataFrame(lines, columns=list(COLUMNS))
        return table.astype({"journal": object, "chain": object, "difference": object})

"""The tables of a run directory: their columns, and the recorder that fills them."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import pyarrow as pa

_I, _F, _B, _S = pa.int64(), pa.float64(), pa.bool_(), pa.dictionary(pa.int32(), pa.string())
_IS, _BYTES = pa.list_(pa.int64()), pa.large_binary()

OPTIONAL = frozenset({"epochs", "versions", "tape", "opening"})
"""Tables that a run has only when its scenario asks for them."""

COLUMNS: dict[str, dict[str, pa.DataType]] = {
    "rounds": {
        "round": _I, "start_s": _F, "end_s": _F, "duration_s": _F, "block_time_s": _F,
        "accuracy": _F, "loss": _F, "attack_success": _F, "accuracy_mean": _F, "accuracy_max": _F, "accuracy_min": _F,
        "online": _I, "workers": _I, "validators": _I, "miners": _I,
        "updates": _I, "accepted_honest": _I, "accepted_adversary": _I, "rejected_honest": _I, "rejected_adversary": _I,
        "votes_positive": _I, "votes_negative": _I,
        "blocks": _I, "heads": _I, "forked": _B, "winner": _I, "winner_stake": _I,
        "issued": _I, "burned": _I, "blocked": _I,
    },
    "participants": {
        "round": _I, "device": _I, "group": _S, "adversary": _B, "role": _S, "strategy": _S, "online": _B,
        "miner": _I, "validator": _I, "samples": _I, "epochs": _I,
        "commitment": _S, "opening": _S, "conduct": _S, "accepted": _B, "votes_positive": _I, "votes_negative": _I,
        "local_accuracy": _F,
        "accuracy": _F, "income": _I, "compute_s": _F, "utility": _F, "balance": _I, "locked": _I, "penalty": _I,
        "height": _I, "head": _S, "blocked": _B, "resynced": _B, "epsilon": _F, "storage_cost": _F,
    },
    "votes": {
        "round": _I, "validator": _I, "worker": _I, "validator_adversary": _B, "worker_adversary": _B,
        "baseline_accuracy": _F, "update_accuracy": _F, "vad": _F, "verdict": _B, "vote": _B, "time_s": _F, "status": _S,
    },
    "blocks": {
        "round": _I, "height": _I, "hash": _S, "previous": _S, "miner": _I, "miner_adversary": _B, "stake": _I,
        "generated_s": _F, "size_bytes": _I, "updates": _I, "votes": _I, "adopters": _I, "status": _S,
    },
    "journal": {
        "index": _I, "time_s": _F, "round": _I, "debit": _S, "credit": _S, "asset": _S, "amount": _I, "reason": _S,
    },
    "incidents": {"round": _I, "time_s": _F, "device": _I, "witness": _I, "kind": _S},
    "versions": {
        "round": _I, "height": _I, "version": _S, "parent": _S, "weights": _S, "block": _S, "author": _I,
        "status": _S, "restores": _S, "held_out_accuracy": _F,
    },
    "epochs": {"round": _I, "device": _I, "epoch": _I, "accuracy": _F},
    "tape": {
        "round": _I, "head": _S, "parent": _I, "miner": _I, "worker": _IS,
        "claimed_samples": _IS, "claimed_epochs": _IS, "accepted": pa.list_(_B),
        "positive": pa.list_(_IS), "negative": pa.list_(_IS), "verified_samples": _IS, "verified_epochs": _IS,
        "reports": pa.list_(pa.list_(pa.list_(_F))),
        "stakes": _IS, "updates": _BYTES, "start": _BYTES, "result": _BYTES,
        "conducted": _B, "aggregator": _I, "unrevealed": _IS, "malformed": _IS, "fault": _S,
        "challenger": _I, "false_challengers": _IS,
        "previous": _I, "canonical": _B, "holders": _IS,
    },
    "opening": {"balances": _IS, "shape": _IS, "classes": _I, "x": _BYTES, "y": _IS},
}  # fmt: skip
"""Times are simulated seconds, amounts base units, accuracies fractions of 1. Null: does not apply.

`status` of a vote: counted (in the adopted block), unused, late, lost, forged, replayed, malformed, blocked, censored,
unavailable. Of a block: adopted, orphaned, withheld. `conduct` of a worker under a coordinator: verified, rejected, malformed,
late, unrevealed, mismatched, absent, duplicate, forged, replayed, unsettled. Incidents are what somebody did that somebody else
(`witness`; null: the contract or server) refused: forged, replayed, duplicate, malformed, tampered-block, late, unrevealed,
mismatched, absent-aggregator, wrong-aggregate, false-challenge. "whitewashed": `device` left and returned as `witness`.
"""


class Recorder:
    """Columns in memory until the run ends; tables named in `left_out` are not written."""

    def __init__(self, left_out: Collection[str] = ()) -> None:
        self._left_out = frozenset(left_out)
        self._columns: dict[str, dict[str, list[Any]]] = {
            t: {c: [] for c in cols} for t, cols in COLUMNS.items()
        }

    def add(self, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append rows; every row names every column (None where it does not apply)."""
        columns = self._columns[table]
        for row in rows:
            if row.keys() != columns.keys():
                raise KeyError(
                    f"{table}: columns {sorted(row.keys() ^ columns.keys())} do not match"
                )
            for name, value in row.items():
                columns[name].append(value)

    def tail(self, table: str, column: str, n: int) -> list[Any]:
        """The newest n values of a column."""
        return self._columns[table][column][-n:]

    def columns(self, table: str) -> dict[str, list[Any]]:
        """The columns of a table, to be read or filled in."""
        return self._columns[table]

    def last(self, table: str, column: str) -> Any:
        """The newest value of a column."""
        return self._columns[table][column][-1]

    def tables(self) -> dict[str, pa.Table]:
        """All tables that are to be written, with their fixed types."""
        return {
            name: pa.table(
                {c: pa.array(values, type=COLUMNS[name][c]) for c, values in columns.items()}
            )
            for name, columns in self._columns.items()
            if name not in self._left_out
        }

    def to_state(self) -> dict[str, Any]:
        """JSON-able; bytes as base64."""
        return self._recoded(lambda raw: b64encode(raw).decode())

    def from_state(self, state: dict[str, Any]) -> None:
        """Take over what `to_state` gave."""
        self._columns = state
        self._columns = self._recoded(b64decode)

    def _recoded(self, code: Callable[[Any], Any]) -> dict[str, Any]:
        return {
            table: {
                c: list(map(code, v)) if COLUMNS[table][c] == _BYTES else v
                for c, v in columns.items()
            }
            for table, columns in self._columns.items()
        }

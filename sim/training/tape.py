"""The tape of a run: what a payout rule could observe of every block, as table `tape`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy as np
import pyarrow as pa

from mechanisms.vocabulary import BlockObservation, Conduct, FloatMatrix, UpdateRecord
from sim.chain.forks import Forks
from sim.chain.state import ChainState
from sim.data.sources.base import Dataset
from sim.recording import Recorder
from sim.training.samples import Samples

PER_RECORD = tuple(f.name for f in fields(UpdateRecord))
"""A column of lists for each field of a record, in its order."""


def taped_block(seen: BlockObservation, parent: int, head: bytes) -> dict[str, Any]:
    """Return the row of a block with hash `head` on top of the chain state `parent`.

    `mark_tape` fills in the last three columns.
    """
    records: dict[str, Any] = {}
    for name in PER_RECORD:
        values = (getattr(record, name) for record in seen.records)
        records[name] = [list(v) if isinstance(v, tuple) else v for v in values]
    # Parquet lists have one type: the validator's number becomes a float beside its score.
    records["reports"] = []
    for record in seen.records:
        records["reports"].append(
            [[float(validator), score] for validator, score in record.reports]
        )
    return {
        "round": seen.round,
        "head": head.hex(),
        "parent": parent,
        "miner": seen.miner,
        **records,
        "stakes": list(seen.stakes),
        "updates": seen.updates.tobytes(),
        "start": seen.start.tobytes(),
        "result": seen.result.tobytes(),
        "conducted": seen.conduct is not None,
        **_taped_conduct(seen.conduct or Conduct()),
        "previous": None,
        "canonical": False,
        "holders": [],
    }


def _taped_conduct(conduct: Conduct) -> dict[str, Any]:
    values = {f.name: getattr(conduct, f.name) for f in fields(Conduct)}
    return {name: sorted(v) if isinstance(v, frozenset) else v for name, v in values.items()}


def mark_tape(recorder: Recorder, forks: Forks) -> None:
    """Mark at the run's end each block's predecessor, its holders, and the canonical chain."""
    tape = recorder.columns("tape")
    keys = zip(tape["parent"], tape["head"], strict=True)
    number = {key: i for i, key in enumerate(keys)}
    # A state that was copied under a new id keeps its parent and head, which is why blocks are
    # known by these.
    heads: list[tuple[int | None, ChainState]] = [
        (device, holding.state) for device, holding in enumerate(forks)
    ]
    for device, head in [*heads, (None, forks.settled)]:
        at: int | None = None
        for state in head.lineage():
            above = at
            at = None if state.parent is None else number[state.parent.id, state.head.hex()]
            if above is not None:
                tape["previous"][above] = at
            if at is None:
                continue
            if device is None:
                tape["canonical"][at] = True
            else:
                tape["holders"][at].append(device)


def opening_row(balances: Mapping[int, int], data: Dataset, samples: Samples) -> dict[str, Any]:
    """Return the row of the table `opening`: balances, and the samples that measure utility."""
    x, y = samples
    return {
        "balances": [balances[device] for device in range(len(balances))],
        "shape": list(data.shape),
        "classes": data.classes,
        "x": x.tobytes(),
        "y": y.tolist(),
    }


def read_block(table: pa.Table, i: int, parameters: int) -> BlockObservation:
    """Return the observation of row `i` without memory and utility, which the replayer adds."""
    names = ("round", "miner", "stakes", *PER_RECORD)
    row: dict[str, Any] = {name: table[name][i].as_py() for name in names}
    # Parquet gives lists where records have tuples, and floats for the validators of reports.
    reports = []
    for pairs in row["reports"]:
        reports.append(tuple((int(validator), score) for validator, score in pairs))  # noqa: PERF401
    row["reports"] = reports
    columns = [[_hashable(v) for v in row[name]] for name in PER_RECORD]
    records = []
    for values in zip(*columns, strict=True):
        records.append(UpdateRecord(**dict(zip(PER_RECORD, values, strict=True))))  # noqa: PERF401
    updates = _floats(table["updates"][i]).reshape(-1, parameters)
    start = _floats(table["start"][i])
    result = _floats(table["result"][i])
    conduct = _read_conduct(table, i)
    known: dict[str, Any] = {} if conduct is None else {"conduct": conduct}
    return BlockObservation(
        round=row["round"],
        miner=row["miner"],
        records=tuple(records),
        memory={},
        stakes=tuple(row["stakes"]),
        updates=updates,
        start=start,
        result=result,
        **known,
    )


def _read_conduct(table: pa.Table, i: int) -> Conduct | None:
    """Return what a contract knew of a block; None where there was none."""
    if not table["conducted"][i].as_py():
        return None
    row = {f.name: table[f.name][i].as_py() for f in fields(Conduct)}
    values: dict[str, Any] = {
        name: frozenset(v) if isinstance(v, list) else v for name, v in row.items()
    }
    return Conduct(**values)


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _floats(value: pa.LargeBinaryScalar) -> FloatMatrix:
    """Return an array's values without a copy: models are most of a tape."""
    return np.frombuffer(value.as_buffer(), dtype=np.float32)

"""The tape of a run: everything that a payout rule could have observed of every block, as rows of the table `tape`."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from mechanisms.vocabulary import BlockObservation, Conduct, FloatMatrix, UpdateRecord

if TYPE_CHECKING:
    from sim.world import World

PER_RECORD = tuple(f.name for f in fields(UpdateRecord))
"""A column of lists for each field of a record, in its order."""


def taped_block(seen: BlockObservation, parent: int, head: bytes) -> dict[str, Any]:
    """The row of a block with hash `head` on top of the chain state `parent`. `mark_tape` fills in the last three columns."""
    assert seen.updates is not None
    assert seen.start is not None
    assert seen.result is not None
    records = {name: [getattr(r, name) for r in seen.records] for name in PER_RECORD}
    return {
        "round": seen.round,
        "head": head.hex(),
        "parent": parent,
        "miner": seen.miner,
        **{
            name: [list(v) if isinstance(v, tuple) else v for v in values]
            for name, values in records.items()
        },
        "reports": [[[float(v), score] for v, score in r.reports] for r in seen.records],
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


def mark_tape(world: World) -> None:
    """At the run's end: which block came before, which are on the chain that most devices hold, and who holds each."""
    tape = world.recorder.columns("tape")
    number = {key: i for i, key in enumerate(zip(tape["parent"], tape["head"], strict=True))}
    # A state that was copied under a new id keeps its parent and head, which is why blocks are known by these.
    for device, head in [*((p.device, p.state) for p in world.participants), (None, world.settled)]:
        at: int | None = None
        for s in head.lineage():
            above, at = at, None if s.parent is None else number[s.parent.id, s.head.hex()]
            if above is not None:
                tape["previous"][above] = at
            if at is None:
                continue
            if device is None:
                tape["canonical"][at] = True
            else:
                tape["holders"][at].append(device)


def read_block(table: pa.Table, i: int, parameters: int) -> BlockObservation:
    """The full observation of row `i`, without a memory and a utility: those are not the run's but of whoever replays it."""
    row: dict[str, Any] = {
        name: table[name][i].as_py() for name in ("round", "miner", "stakes", *PER_RECORD)
    }
    row["reports"] = [tuple((int(v), score) for v, score in told) for told in row["reports"]]
    columns = [[tuple(v) if isinstance(v, list) else v for v in row[name]] for name in PER_RECORD]
    records = tuple(
        UpdateRecord(**dict(zip(PER_RECORD, values, strict=True)))
        for values in zip(*columns, strict=True)
    )
    updates, start, result = (
        _floats(table[name][i]).reshape(-1, parameters) for name in ("updates", "start", "result")
    )
    conduct = None
    if table["conducted"][i].as_py():
        told = {f.name: table[f.name][i].as_py() for f in fields(Conduct)}
        values: dict[str, Any] = {
            name: frozenset(v) if isinstance(v, list) else v for name, v in told.items()
        }
        conduct = Conduct(**values)
    return BlockObservation(
        round=row["round"],
        miner=row["miner"],
        records=records,
        memory={},
        stakes=tuple(row["stakes"]),
        updates=updates,
        start=start.reshape(-1),
        result=result.reshape(-1),
        conduct=conduct,
    )


def _floats(value: pa.LargeBinaryScalar) -> FloatMatrix:
    """No copy: models are most of a tape."""
    return np.frombuffer(value.as_buffer(), dtype=np.float32)

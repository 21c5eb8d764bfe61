"""Filling batches: as many calls as the chain takes in one transaction, with something to spare."""

from __future__ import annotations

import hashlib

from chain_bridge.errors import PlanError
from chain_bridge.plan import MONEY
from chain_bridge.runtime import Limits, Weight
from chain_bridge.script import Batch, Script

FILL = 0.85  # of what an extrinsic may weigh: weights are estimates until they are executed


def pack(script: Script, limits: Limits, most: int | None = None) -> list[Batch]:
    """Greedy and in order: one round per batch, an approval never in the batch of its proposal, `FILL` of what fits at most."""
    room = Weight(int(limits.weight.ref_time * FILL), int(limits.weight.proof_size * FILL))
    calls = min(x for x in (most, (limits.calls or 2**31) - 1, 2**31) if x is not None)
    _check_most(script, limits, most)
    batches: list[Batch] = []
    start, weight, length = 0, script.base.weight, script.base.length
    for i, a in enumerate(script.actions):
        price = script.prices[a.kind]
        full = (
            weight.ref_time + price.weight.ref_time > room.ref_time
            or (room.proof_size and weight.proof_size + price.weight.proof_size > room.proof_size)
            or length + price.length > limits.length * FILL
            or i - start >= calls
        )
        waits = a.kind == "approve" and any(
            x.kind == "propose" for x in script.actions[max(start, i - 1) : i]
        )
        if i > start and (full or waits or a.round != script.actions[start].round):
            batches.append(_batch(script, len(batches), start, i))
            start, weight, length = i, script.base.weight, script.base.length
        weight, length = weight + price.weight, length + price.length
    if script.actions[start:]:
        batches.append(_batch(script, len(batches), start, len(script.actions)))
    return batches


def _check_most(script: Script, limits: Limits, most: int | None) -> None:
    """A batch size that the chain would refuse is refused here."""
    if most is None:
        return
    for kind in dict.fromkeys(a.kind for a in script.actions if a.kind in MONEY):
        price = script.prices[kind]
        fits = (limits.weight.ref_time - script.base.weight.ref_time) // max(
            1, price.weight.ref_time
        )
        if limits.weight.proof_size:
            fits = min(
                fits,
                (limits.weight.proof_size - script.base.weight.proof_size)
                // max(1, price.weight.proof_size),
            )
        planned = sum(1 for a in script.actions if a.kind == kind)
        if min(most, planned) > fits:
            raise PlanError(
                f"--batch {most}: so many calls of kind {kind} weigh {most * price.weight.ref_time:,}, the chain takes "
                f"{limits.weight.ref_time:,} in one extrinsic: at most {fits} (the bridge would choose {int(fits * FILL)})"
            )


def _batch(script: Script, index: int, start: int, stop: int) -> Batch:
    lines = b"\n".join(a.line() for a in script.actions[start:stop])
    return Batch(index, script.actions[start].round, start, stop, hashlib.sha256(lines).digest())

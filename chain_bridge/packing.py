"""Filling of batches: as many calls as one transaction may hold, with something to spare."""

from __future__ import annotations

import hashlib
from collections import Counter

from chain_bridge.errors import PlanError
from chain_bridge.plan import MONEY
from chain_bridge.runtime import Limits, Weight
from chain_bridge.script import Batch, Script

FILL = 0.85  # of what an extrinsic may weigh: weights are estimates until it is executed


def pack(script: Script, limits: Limits, most: int | None = None) -> list[Batch]:
    """Return the batches: greedy and in order, each filled up to `FILL` of what fits.

    `most`: calls in a batch at most. A batch never spans rounds, and an approval is never in the
    batch of its proposal.
    """
    room = Weight(int(limits.weight.ref_time * FILL), int(limits.weight.proof_size * FILL))
    calls = min(x for x in (most, (limits.calls or 2**31) - 1, 2**31) if x is not None)
    _check_most(script, limits, most)
    batches: list[Batch] = []
    start, weight, length = 0, script.base.weight, script.base.length
    for i, a in enumerate(script.actions):
        # Does this action still belong into the batch that began at `start`?
        price = script.prices[a.kind]
        more = weight + price.weight
        # Runtimes before weights V2 count no proofs: their limit of them is 0.
        full = (
            more.ref_time > room.ref_time
            or (room.proof_size and more.proof_size > room.proof_size)
            or length + price.length > limits.length * FILL
            or i - start >= calls
        )
        # An approval names the block of its proposal, which is known only once that is made.
        proposed = i > start and script.actions[i - 1].kind == "propose"
        waits = a.kind == "approve" and proposed
        if i > start and (full or waits or a.round != script.actions[start].round):
            batches.append(_batch(script, len(batches), start, i))
            start, weight, length = i, script.base.weight, script.base.length
        weight, length = weight + price.weight, length + price.length
    if script.actions[start:]:
        batches.append(_batch(script, len(batches), start, len(script.actions)))
    return batches


def _check_most(script: Script, limits: Limits, most: int | None) -> None:
    """Raise `PlanError` for a batch size that the chain would refuse."""
    if most is None:
        return
    planned = Counter(a.kind for a in script.actions if a.kind in MONEY)
    limit, base = limits.weight, script.base.weight
    for kind, count in planned.items():
        each = script.prices[kind].weight
        fits = (limit.ref_time - base.ref_time) // max(1, each.ref_time)
        if limit.proof_size:
            proofs = (limit.proof_size - base.proof_size) // max(1, each.proof_size)
            fits = min(fits, proofs)
        if min(most, count) > fits:
            raise PlanError(
                f"--batch {most}: so many calls of kind {kind} weigh {most * each.ref_time:,}, "
                f"the chain takes {limit.ref_time:,} in one extrinsic: at most {fits} "
                f"(the bridge would choose {int(fits * FILL)})"
            )


def _batch(script: Script, index: int, start: int, stop: int) -> Batch:
    lines = b"\n".join(a.line() for a in script.actions[start:stop])
    return Batch(index, script.actions[start].round, start, stop, hashlib.sha256(lines).digest())

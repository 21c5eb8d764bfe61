"""Filling of batches: as many calls as one transaction may hold, with something to spare.

And of blocks, where each device signs for itself: as many batches as one block may hold.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence

from chain_bridge.errors import PlanError
from chain_bridge.money import OPERATOR
from chain_bridge.plan import MONEY, Action
from chain_bridge.runtime import Limits, Weight
from chain_bridge.script import Batch, Script
from chain_bridge.turns import take_turns

FILL = 0.85  # of what an extrinsic may weigh: weights are estimates until it is executed
MOST_IN_BLOCK = 100  # batches: Chopsticks takes 0.1 s for each, and the block has one deadline


def pack(script: Script, limits: Limits, most: int | None = None) -> list[Batch]:
    """Return the batches, each filled up to `FILL` of what fits.

    `most`: calls in a batch at most. A batch never spans rounds, and an approval is never in the
    batch of its proposal. In custody `operator` the actions keep their order, and every batch has a
    block of its own; in custody `devices` the script's actions are put into the order of the
    signers' turns.
    """
    _check_most(script, limits, most)
    if script.custody == "operator":
        cuts = enumerate(_cut(script, script.actions, limits, most))
        return _batches(script, [(part, OPERATOR, i, i) for i, part in cuts])
    blocks = _Blocks(script, limits)
    parts = [
        (part, turn.signer, blocks.place(part), turn.phase)
        for turn in take_turns(script)
        for part in _cut(script, turn.actions, limits, most)
    ]
    script.actions = [a for part, *_ in parts for a in part]
    return _batches(script, parts)


def _cut(
    script: Script, actions: Sequence[Action], limits: Limits, most: int | None
) -> Iterator[Sequence[Action]]:
    """Yield actions in parts, greedy and in order, each for one batch."""
    room = _room(limits.weight)
    calls = min(x for x in (most, (limits.calls or 2**31) - 1, 2**31) if x is not None)
    start, weight, length = 0, script.base.weight, script.base.length
    for i, a in enumerate(actions):
        # Does this action still belong into the batch that began at `start`?
        price = script.price(a)
        more = weight + price.weight
        full = (
            _over(more, room) or length + price.length > limits.length * FILL or i - start >= calls
        )
        # An approval names the block of its proposal, which is known only once that is made.
        proposed = i > start and actions[i - 1].kind == "propose"
        waits = a.kind == "approve" and proposed
        if i > start and (full or waits or a.round != actions[start].round):
            yield actions[start:i]
            start, weight, length = i, script.base.weight, script.base.length
        weight, length = weight + price.weight, length + price.length
    if actions[start:]:
        yield actions[start:]


def _room(weight: Weight) -> Weight:
    """Return how much of a limit is used."""
    return Weight(int(weight.ref_time * FILL), int(weight.proof_size * FILL))


def _over(weight: Weight, room: Weight) -> bool:
    """Return whether a weight is more than fits."""
    # Runtimes before weights V2 count no proofs: their limit of them is 0.
    proofs = bool(room.proof_size) and weight.proof_size > room.proof_size
    return weight.ref_time > room.ref_time or proofs


class _Blocks:
    """Numbers of blocks, filled greedily and in order.

    A block never spans rounds, and never holds an approval together with its proposal.
    """

    def __init__(self, script: Script, limits: Limits) -> None:
        self._script, self._limits = script, limits
        self._room = _room(limits.block)
        self._number = -1
        self._round: int | None = None
        self._begin()

    def _begin(self) -> None:
        self._weight, self._length, self._count = Weight(0), 0, 0
        self._proposed = False

    def place(self, actions: Sequence[Action]) -> int:
        """Return the block of the next batch."""
        script, limits = self._script, self._limits
        weight, length = script.base.weight + limits.extrinsic, script.base.length
        for a in actions:
            price = script.price(a)
            weight, length = weight + price.weight, length + price.length
        kinds = {a.kind for a in actions}
        full = (
            _over(self._weight + weight, self._room)
            or self._length + length > limits.length * FILL
            or self._count >= MOST_IN_BLOCK
        )
        waits = "approve" in kinds and self._proposed
        if full or waits or actions[0].round != self._round:
            self._begin()
            self._number += 1
            self._round = actions[0].round
        self._weight, self._length = self._weight + weight, self._length + length
        self._count += 1
        self._proposed |= "propose" in kinds
        return self._number


def _check_most(script: Script, limits: Limits, most: int | None) -> None:
    """Raise `PlanError` for a batch size that the chain would refuse."""
    if most is None:
        return
    planned = Counter(script.sort(a) for a in script.actions if a.kind in MONEY)
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


def _batches(
    script: Script, parts: Sequence[tuple[Sequence[Action], int, int, int]]
) -> list[Batch]:
    """Return the batches of parts with their signers, blocks and phases."""
    batches, start = [], 0
    for index, (actions, signer, block, phase) in enumerate(parts):
        stop = start + len(actions)
        digest = hashlib.sha256(b"\n".join(a.line() for a in actions)).digest()
        batch = Batch(index, actions[0].round, start, stop, digest, signer, block, phase)
        batches.append(batch)
        start = stop
    return batches

"""Sending the batches of a script, each exactly once, whatever dies in between."""

from __future__ import annotations

import time
from bisect import insort
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

from chain_bridge.client import Chain
from chain_bridge.custody import FEES
from chain_bridge.errors import ChainSilentError, PlanError, ReplayError
from chain_bridge.keys import Signer
from chain_bridge.landed import Landed, scan
from chain_bridge.money import OPERATOR
from chain_bridge.script import Batch, Script, signer_name
from chain_bridge.sending import BLOCK_S, Sender

OnBatch = Callable[[Landed], None]

TRIES = 5  # without progress


@dataclass(frozen=True)
class Replayed:
    """The outcome of a replay.

    `found`: batches that had landed before; `repaired`: rollbacks that took batches away.
    """

    landed: list[Landed]
    found: int
    sent: int
    repaired: int
    wall_s: float


class _Replayer:
    """Sends one block of batches after another.

    A signer's nonce is that of the head that was scanned, plus one for each of its batches sent
    since. A batch that landed unseen, or was taken away by a rollback, makes the next transaction's
    nonce wrong: it cannot be included, and the chain is read again. A batch is sent only when what
    was sent before has landed, so that nothing on its way can land twice.
    """

    def __init__(self, chain: Chain, script: Script, signer: Signer) -> None:
        self.chain, self.script = chain, script
        self.sender = Sender(chain, script, signer)
        self.sent = self.repaired = self.stuck = 0
        self.state = scan(chain, script)

    @property
    def landed(self) -> list[Landed]:
        return self.state.landed

    def missing(self) -> list[Batch]:
        """Return the batches of the first block that have not landed; none when all have."""
        there = {x.batch for x in self.landed[-self._most :]}
        count = len(self.landed)
        near = self.script.batches[max(0, count - self._most) : count + self._most]
        left = (b for b in near if b.index not in there)
        first = next(left, None)
        if first is None:
            return []
        return [first, *takewhile(lambda b: b.block == first.block, left)]

    @cached_property
    def _most(self) -> int:
        """Batches of the fullest block: only these may be there with gaps."""
        return max(Counter(b.block for b in self.script.batches).values(), default=1)

    def stands(self) -> bool:
        """Return whether the last block is still on the best chain."""
        last = self.last()
        return last is None or self.chain.block_hash(last.number) == last.block

    def last(self) -> Landed | None:
        """Return the batch in the last block; None where nothing has landed."""
        return max(self.landed[-self._most :], key=lambda x: x.number, default=None)

    def rescan(self) -> None:
        """Read again what landed; `ReplayError` when this repeats without progress."""
        before, used = len(self.landed), sum(self.state.nonces.values())
        self.state = scan(self.chain, self.script)
        if len(self.landed) < before:
            self.repaired += 1
        # A nonce that moved belongs to another replay with the same key: it ends, then this one
        # goes on.
        progress = len(self.landed) > before or sum(self.state.nonces.values()) > used
        self.stuck = 0 if progress else self.stuck + 1
        if self.stuck >= TRIES:
            waiting = self.missing()[0].index
            raise ReplayError(
                f"{self.chain.url} took batch {waiting} {TRIES} times and put it into no block"
            )

    def step(self) -> list[Landed]:
        """Send the next batches; return those that landed, fewer where the chain had moved on.

        Raises `ReplayError` when the chain refused the content of one.
        """
        batches = self.missing()
        if not self.stands():
            self.rescan()
            return []
        sent = self.sender.send(batches, self.state.nonces, self.landed)
        for landed in sent.landed:
            insort(self.state.landed, landed)
            self.state.nonces[landed.signer] += 1
        self.sent += len(sent.landed)
        if sent.failures:
            batch, reason = sent.failures[0]
            raise self.sender.explain(batch, reason, self.landed)
        if sent.landed:
            self.stuck = 0
        else:
            self.rescan()
        return sent.landed


def replay(
    chain: Chain, script: Script, signer: Signer, *, on_batch: OnBatch | None = None
) -> Replayed:
    """Send the batches that are not on the chain yet, in order, and wait until they are final.

    Raises `ReplayError` when the chain refuses a batch (nothing of it is applied, the ones before
    stand), `ChainSilentError` when the chain stops answering: calling again goes on.
    """
    start = time.monotonic()

    # What is there already.
    _clear_pool(chain)
    replayer = _Replayer(chain, script, signer)
    found = len(replayer.landed)
    check_means(chain, script, signer, replayer.landed)
    if on_batch:
        for landed_before in replayer.landed:
            on_batch(landed_before)

    # Batch after batch, until all are final and still there.
    while True:
        if len(replayer.landed) < len(script.batches):
            for landed in replayer.step():
                if on_batch:
                    on_batch(landed)
            continue
        _finalise(replayer)
        if replayer.stands():
            break
        replayer.rescan()
    wall_s = time.monotonic() - start
    return Replayed(replayer.landed, found, replayer.sent, replayer.repaired, wall_s)


def _clear_pool(chain: Chain) -> None:
    """Seal what an earlier client left, where blocks are made on demand; else make no block."""
    if chain.sealing == "on demand":
        chain.rpc("dev_setBlockBuildMode", "Manual")
        if chain.rpc("author_pendingExtrinsics"):
            chain.rpc("dev_newBlock", {"count": 1})


def check_means(chain: Chain, script: Script, signer: Signer, landed: list[Landed]) -> None:
    """Raise an error unless everybody who signs can pay for what is left.

    Where nothing has landed, the run's accounts must also be empty.
    """
    there = {x.batch for x in landed}
    left = [b for b in script.batches if b.index not in there]
    if not left:
        return
    head = chain.head().hash
    if not landed:
        held = script.money.balances(chain, script.plan.accounts, head)
        full = [name for name, amount in zip(script.plan.accounts, held, strict=True) if amount > 0]
        if full:
            raise PlanError(
                f"{chain.url}: {full[0]} of this run holds {script.money.unit} before anything was "
                "sent; use a fresh chain"
            )
    free = chain.read("System", "Account", signer.public, at=head)["data"]["free"]
    actions, count = script.signed_by(OPERATOR, left)
    needed = script.needs(actions, count)
    if free < needed:
        raise ReplayError(
            f"the operator (0x{signer.public.hex()}) holds {chain.coin.amount(free)} of the native "
            f"token, the replay needs about {chain.coin.amount(needed)}"
        )
    _check_devices(chain, script, left, head)


def _check_devices(chain: Chain, script: Script, left: Iterable[Batch], head: str) -> None:
    """Raise `ReplayError` unless every device that has been funded can pay its fees."""
    unfunded: set[int] = set()
    by_signer: dict[int, list[Batch]] = {}
    for batch in left:
        by_signer.setdefault(batch.signer, []).append(batch)
        actions = script.actions[batch.start : batch.stop]
        unfunded |= {a.device for a in actions if a.kind == "fund" and a.reason == FEES}
    devices = sorted(by_signer.keys() - unfunded - {OPERATOR})
    keys = [(script.money.public(d),) for d in devices]
    for device, account in zip(
        devices, chain.read_many("System", "Account", keys, at=head), strict=True
    ):
        free = 0 if account is None else int(account["data"]["free"])
        actions, count = script.signed_by(device, by_signer[device])
        needed = script.needs_of_device(actions, count)
        if free < needed:
            raise ReplayError(
                f"{signer_name(device)} holds {chain.coin.amount(free)} of the native token, its "
                f"transactions need about {chain.coin.amount(needed)}"
            )


def _finalise(replayer: _Replayer) -> None:
    """Wait until the last block cannot be undone, where the node has finality, or is gone."""
    chain, last = replayer.chain, replayer.last()
    if last is None or "chain_getFinalizedHead" not in chain.runtime.methods:
        return
    until = time.monotonic() + BLOCK_S
    while replayer.stands() and chain.finalized().number < last.number:
        if time.monotonic() > until:
            raise ChainSilentError(
                f"{chain.url} finalised nothing up to block {last.number} within {BLOCK_S:g} s"
            )
        time.sleep(0.5)

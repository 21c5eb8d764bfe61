"""Sending the batches of a script, each exactly once, whatever dies in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from chain_bridge.client import Chain
from chain_bridge.errors import ChainSilentError, PlanError, ReplayError, RpcError
from chain_bridge.extrinsic import IMMORTAL, Era, sign
from chain_bridge.header import DRY_RUN
from chain_bridge.keys import Signer
from chain_bridge.landed import Landed, failure, nonce, scan, succeeded, timepoint
from chain_bridge.plan import MONEY, Action
from chain_bridge.script import Batch, Script

OnBatch = Callable[[Landed], None]

ERA = 64  # blocks that a transaction is valid for where the node makes blocks by itself
TRIES = 5  # without progress
BLOCK_S = 120.0  # deadline for a block that the node is to make

# What a node answers when a transaction's nonce is used already or not due yet.
NONCE_WORDS = ("stale", "future", "outdated")
# What it answers when its pool holds such a transaction or held it a moment ago: temporarily
# banned, already imported, priority too low.
POOL_CODES = (1012, 1013, 1014)
POOL_WORDS = ("already imported", "temporarily banned", "priority is too low")


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
    """Sends one batch after another.

    The operator's nonce is that of the head that was scanned, plus one for each batch sent since. A
    batch that landed unseen, or was taken away by a rollback, makes the next transaction's nonce
    wrong: it cannot be included, and the chain is read again.
    """

    def __init__(self, chain: Chain, script: Script, signer: Signer) -> None:
        self.chain, self.script, self.signer = chain, script, signer
        self.sent = self.repaired = self.stuck = 0
        self.state = scan(chain, script, signer.public)
        self.nonce = self.state.nonce

    @property
    def landed(self) -> list[Landed]:
        return self.state.landed

    def stands(self) -> bool:
        """Return whether the last batch is still on the best chain."""
        if not self.landed:
            return True
        last = self.landed[-1]
        return self.chain.block_hash(last.number) == last.block

    def rescan(self) -> None:
        """Read again what landed; `ReplayError` when this repeats without progress."""
        before, used = len(self.landed), self.nonce
        self.state = scan(self.chain, self.script, self.signer.public)
        self.nonce = self.state.nonce
        if len(self.landed) < before:
            self.repaired += 1
        # A nonce that moved belongs to another replay with the same key: it ends, then this one
        # goes on.
        progress = len(self.landed) > before or self.nonce > used
        self.stuck = 0 if progress else self.stuck + 1
        if self.stuck >= TRIES:
            raise ReplayError(
                f"{self.chain.url} took batch {len(self.landed)} {TRIES} times and put it into "
                "no block"
            )

    def step(self) -> Landed | None:
        """Send the next batch; None when the chain did not hold what was expected."""
        landed = None
        if self.stands():
            landed = self._send(self.script.batches[len(self.landed)])
        if landed is None:
            self.rescan()
            return None
        self.landed.append(landed)
        self.nonce += 1
        self.sent += 1
        self.stuck = 0
        return landed

    def _send(self, batch: Batch) -> Landed | None:
        """Submit a batch and find it in a block.

        Returns None when its nonce was used by another; raises `ReplayError` when the chain refused
        its content.
        """
        chain, script = self.chain, self.script

        # Sign. Where the node makes blocks by itself, the signature is valid for some blocks from a
        # final one: from any other, a reorganisation would spoil it.
        call = script.batch_call(batch, timepoint(script, batch, self.landed))
        head = chain.head()
        era = IMMORTAL
        if chain.sealing == "by itself":
            final = chain.finalized()
            era = Era(ERA, final.number, final.hash)
        extrinsic = sign(script.runtime, chain.genesis, call, self.signer, self.nonce, era)

        # Submit. A transaction that the pool holds already is waited for like a new one.
        try:
            chain.rpc("author_submitExtrinsic", "0x" + extrinsic.hex())
        except RpcError as error:
            message = error.message.lower()
            if any(word in message for word in NONCE_WORDS):
                return None
            if error.code not in POOL_CODES and not any(w in message for w in POOL_WORDS):
                raise ReplayError(_refused(script, batch, error.message)) from error

        # Find it in a block.
        if chain.sealing == "on demand":
            chain.rpc("dev_newBlock", {"count": 1})
            return self._find(batch, extrinsic, head.number + 1)
        return self._await(batch, extrinsic, head.number + 1, era)

    def _await(self, batch: Batch, extrinsic: bytes, number: int, era: Era) -> Landed | None:
        """Look into every new block until the transaction is there or cannot come any more."""
        while number <= era.number + ERA:
            head = self.chain.wait_for(number, BLOCK_S)
            landed = self._find(batch, extrinsic, number)
            block = self.chain.block_hash(number) or head.hash
            used = nonce(self.chain, self.signer.public, block) > self.nonce
            if landed is not None or used:
                return landed
            number += 1
        return None

    def _find(self, batch: Batch, extrinsic: bytes, number: int) -> Landed | None:
        """Return the batch's place if it is in the block of this number.

        Raises `ReplayError` when it is there and failed.
        """
        chain, script = self.chain, self.script
        block = chain.block_hash(number)
        if block is None or chain.head().number < number:
            return None
        bodies = chain.extrinsics(block)
        if extrinsic not in bodies:
            return None
        place = bodies.index(extrinsic)
        events = chain.events(block)
        if succeeded(events, place):
            return Landed(batch.index, number, block, place)
        failed = failure(events, place)
        reason = script.runtime.error(failed.fields[0]) if failed else "no event tells why"
        call = _failing_call(chain, script, self.signer, batch)
        raise ReplayError(_refused(script, batch, reason, call))


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
            landed = replayer.step()
            if landed and on_batch:
                on_batch(landed)
            continue
        _finalise(chain, replayer.landed)
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
    """Raise an error unless the operator can pay for what is left.

    Where nothing has landed, the run's accounts must also be empty.
    """
    if len(landed) >= len(script.batches):
        return
    left = script.actions[script.batches[len(landed)].start :]
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
    needed = script.needs(left, len(script.batches) - len(landed))
    if free < needed:
        raise ReplayError(
            f"the operator (0x{signer.public.hex()}) holds {chain.coin.amount(free)} of the native "
            f"token, the replay needs about {chain.coin.amount(needed)}"
        )


def _finalise(chain: Chain, landed: list[Landed]) -> None:
    """Wait until the last batch cannot be undone, where the node has finality."""
    if not landed or "chain_getFinalizedHead" not in chain.runtime.methods:
        return
    until = time.monotonic() + BLOCK_S
    while chain.finalized().number < landed[-1].number:
        if time.monotonic() > until:
            raise ChainSilentError(
                f"{chain.url} finalised nothing up to block {landed[-1].number} within "
                f"{BLOCK_S:g} s"
            )
        time.sleep(0.5)


# --- refusals -------------------------------------------------------------------------------------


def _refused(script: Script, batch: Batch, reason: str, failing: int | None = None) -> str:
    """Return the message for a batch that the chain refused; `failing`: the call that failed."""
    stand = f"batches 0 to {batch.index - 1} stand" if batch.index else "nothing before it was sent"
    where = ""
    if failing is not None:
        place = f"call {failing + 1} of {batch.stop - batch.start}"
        where = f" at {place}, {_description(script, script.actions[batch.start + failing])}"
    return (
        f"the chain refused batch {batch.index} (round {batch.round}): {reason}{where}; "
        f"nothing of it was applied, {stand}"
    )


def _description(script: Script, action: Action) -> str:
    """Return an action in words."""
    a = action
    if a.kind in MONEY:
        move = f"{a.amount:,} {script.plan.asset} from {a.debit} to {a.credit}"
        return f"{a.reason} of {move} (journal entry {a.number})"
    return f"{a.kind} {a.reason}" + (f" of device {a.device}" if a.device >= 0 else "")


def _failing_call(chain: Chain, script: Script, signer: Signer, batch: Batch) -> int | None:
    """Return the index of the call that fails; None where the chain has no dry runs.

    It ends the shortest part of the batch that a dry run refuses. What is signed for a dry run
    bears a header that no replay accepts, should the node include it.
    """
    if "system_dryRun" not in script.runtime.methods:
        return None
    actions = script.actions[batch.start : batch.stop]
    when = timepoint(script, batch, scan(chain, script, signer.public).landed)
    header = script.header(batch.index)
    assert header is not None
    remark = header._replace(batch=DRY_RUN).encode(script.identity)
    head = script.runtime.call("System.remark_with_event", remark)
    calls = [script.call(a, when) for a in actions]
    number = nonce(chain, signer.public)

    def fails(size: int) -> bool:
        call = script.runtime.call("Utility.batch_all", [head, *calls[:size]])
        extrinsic = sign(script.runtime, chain.genesis, call, signer, number)
        return not chain.rpc("system_dryRun", "0x" + extrinsic.hex()).startswith("0x0000")

    # Bisection: `low` calls pass, `high` calls fail.
    low, high = 0, len(calls)
    try:
        if not fails(high):
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if fails(middle):
                high = middle
            else:
                low = middle
    except RpcError:
        return None
    return high - 1

"""The batches that are on the chain: read from the chain, never from memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from chain_bridge.client import Chain, Event, Head
from chain_bridge.errors import BridgeError, PlanError, ReplayError
from chain_bridge.extrinsic import signed_by, well_signed
from chain_bridge.header import DRY_RUN, Header, parse
from chain_bridge.money import OPERATOR

if TYPE_CHECKING:
    from chain_bridge.script import Batch, Script


class Landed(NamedTuple):
    """The place of a batch: block number and hash, and the extrinsic's index in the block.

    `signer`: who signed it, a device or `OPERATOR`.
    """

    batch: int
    number: int
    block: str
    extrinsic: int
    signer: int = OPERATOR


class State(NamedTuple):
    """A run on a chain as of one head.

    `landed`: by the index of the batch; `refused`: attempts that are in a block and failed;
    `nonces`: of every signer at this head.
    """

    landed: list[Landed]
    refused: list[Landed]
    nonces: dict[int, int]


def nonce(chain: Chain, account: bytes, at: str | None = None) -> int:
    """Return how many transactions an account has made, at a block or at the head."""
    return int(chain.read("System", "Account", account, at=at)["nonce"])


def nonces(chain: Chain, signers: Mapping[int, bytes], at: str) -> dict[int, int]:
    """Return how many transactions each signer has made, at a block."""
    found = chain.read_many("System", "Account", [(k,) for k in signers.values()], at=at)
    counts = (0 if account is None else int(account["nonce"]) for account in found)
    return dict(zip(signers, counts, strict=True))


def walk(
    chain: Chain, identity: bytes, signers: Mapping[int, bytes], head: Head
) -> Iterator[tuple[Header, Landed, bool]]:
    """Yield every batch of a run, newest first, with its place and whether it succeeded.

    Goes back from the head until every transaction that the signers ever made has been seen.
    """
    names = {public: signer for signer, public in signers.items()}
    left = sum(nonces(chain, signers, head.hash).values())
    number, block = head
    while left > 0 and number > 0:
        for place, extrinsic in enumerate(chain.extrinsics(block)):
            signer = names.get(signed_by(extrinsic) or b"")
            if signer is None:
                continue
            left -= 1
            header = parse(extrinsic, identity)
            if header is not None:
                landed = Landed(header.batch, number, block, place, signer)
                yield header, landed, succeeded(chain.events(block), place)
        number, block = number - 1, chain.parent(block)


def scan(chain: Chain, script: Script) -> State:
    """Return the batches of a script that landed, all as of one head.

    A batch counts when the script's signer of it signed it; a device's signature is checked here
    too, whatever the chain says. Raises `PlanError` when the same run was replayed here in another
    form, `ReplayError` when a batch is there twice or one is missing before a later block's.
    """
    head, signers = chain.head(), script.signers()
    found: dict[int, Landed] = {}
    refused: list[Landed] = []
    for header, place, succeeded_ in walk(chain, script.identity, signers, head):
        if not _is_ours(chain, script, header, place):
            continue
        if not succeeded_:
            refused.append(place)
        elif header != script.header(header.batch):
            raise PlanError(
                f"{chain.url}: this run has been replayed here in another form "
                f"(block {place.number}, batch {header.batch} of {header.batches}): use the same "
                "--custody, --token, --asset, --scale and --batch, or a fresh chain"
            )
        elif header.batch in found:
            other = found[header.batch].number
            raise ReplayError(
                f"{chain.url}: batch {header.batch} is there twice, "
                f"in blocks {place.number} and {other}"
            )
        else:
            found[header.batch] = place
    _check_gaps(chain, script, found)
    landed = [found[i] for i in sorted(found)]
    return State(landed, refused, nonces(chain, signers, head.hash))


def _is_ours(chain: Chain, script: Script, header: Header, place: Landed) -> bool:
    """Return whether the batch's own signer signed it."""
    known = header.batch < len(script.batches) and header == script.header(header.batch)
    if known and script.batches[header.batch].signer != place.signer:
        return False
    if place.signer == OPERATOR:
        return True
    return (known or header.batch == DRY_RUN) and signature_holds(chain, script, place)


def signature_holds(chain: Chain, script: Script, place: Landed) -> bool:
    """Return whether the signature of an extrinsic is the signer's, of what the block holds."""
    extrinsic = chain.extrinsics(place.block)[place.extrinsic]
    if signed_by(extrinsic) != script.money.public(place.signer):
        return False

    def hash_of(number: int) -> str:
        found = chain.block_hash(number)
        if found is None:
            raise BridgeError(f"{chain.url} has no block {number}")
        return found

    return well_signed(script.runtime, chain.genesis, extrinsic, place.number, hash_of)


def _check_gaps(chain: Chain, script: Script, found: Mapping[int, Landed]) -> None:
    """Raise `ReplayError` unless only batches of the last block that was sent are missing."""
    if not found:
        return
    last = script.batches[max(found)].block
    for batch in script.batches[: max(found)]:
        if batch.index not in found and batch.block < last:
            raise ReplayError(
                f"{chain.url}: batch {batch.index} is missing though later ones are there"
            )


def timepoint(script: Script, batch: Batch, landed: Sequence[Landed]) -> tuple[int, int] | None:
    """Return where the approval was proposed that a batch continues: block and index in it.

    None for a batch without approvals.
    """
    if not _holds(script, batch, "approve"):
        return None
    before = reversed(script.batches[: batch.index])
    proposed = next(b for b in before if _holds(script, b, "propose"))
    place = landed[bisect_left(landed, proposed.index, key=lambda x: x.batch)]
    assert place.batch == proposed.index
    return place.number, place.extrinsic


def _holds(script: Script, batch: Batch, kind: str) -> bool:
    """Return whether a batch holds an action of a kind."""
    return any(a.kind == kind for a in script.actions[batch.start : batch.stop])


def succeeded(events: list[Event], extrinsic: int) -> bool:
    """Return whether an extrinsic succeeded; batches are atomic, so all of its calls did."""
    return any(e.extrinsic == extrinsic and e.name == "System.ExtrinsicSuccess" for e in events)


def failure(events: list[Event], extrinsic: int) -> Event | None:
    """Return the event that says why an extrinsic failed; None without one."""
    for e in events:
        if e.extrinsic == extrinsic and e.name == "System.ExtrinsicFailed":
            return e
    return None

"""Which batches are on the chain: read from the chain, never from memory."""

from __future__ import annotations

from typing import NamedTuple

from chain_bridge.client import Chain, Event
from chain_bridge.errors import PlanError, ReplayError
from chain_bridge.extrinsic import signed_by
from chain_bridge.script import Script, parse_header


class Landed(NamedTuple):
    """Where a batch is: block number and hash, and the extrinsic's place in it."""

    batch: int
    number: int
    block: str
    extrinsic: int


def nonce(chain: Chain, account: bytes, at: str | None = None) -> int:
    """How many transactions an account has made, at a block or at the head."""
    return int(chain.read("System", "Account", account, at=at)["nonce"])


def scan(chain: Chain, script: Script, operator: bytes) -> list[Landed]:
    """The batches of a script that landed, in order; walks back until it has seen all that the operator ever signed.

    Raises `PlanError` when the same run was replayed here in another form, `ReplayError` when a batch is there twice or one is
    missing between others.
    """
    head = chain.head()
    left = nonce(chain, operator, head.hash)
    number, block = head
    found: dict[int, Landed] = {}
    while left > 0 and number > 0:
        for place, extrinsic in enumerate(chain.extrinsics(block)):
            if signed_by(extrinsic) != operator:
                continue
            left -= 1
            told = parse_header(extrinsic, script.identity)
            if told is None or not succeeded(chain.events(block), place):
                continue
            form, index, count, digest = told
            if form != script.digest[:8] or count != len(script.batches) or digest != script.batches[index].digest:
                raise PlanError(
                    f"{chain.url}: this run has been replayed here in another form (block {number}, batch {index} of {count}): "
                    "use the same --token, --asset, --scale and --batch, or a fresh chain"
                )
            if index in found:
                raise ReplayError(f"{chain.url}: batch {index} is there twice, in blocks {number} and {found[index].number}")
            found[index] = Landed(index, number, block, place)
        number, block = number - 1, chain.parent(block)
    if sorted(found) != list(range(len(found))):
        gap = next(i for i in range(len(script.batches)) if i not in found)
        raise ReplayError(f"{chain.url}: batch {gap} is missing though later ones are there")
    return [found[i] for i in range(len(found))]


def succeeded(events: list[Event], extrinsic: int) -> bool:
    """Whether an extrinsic succeeded; a batch that is atomic then happened whole."""
    return any(e.extrinsic == extrinsic and e.name == "System.ExtrinsicSuccess" for e in events)


def failure(events: list[Event], extrinsic: int) -> Event | None:
    """The event that says why an extrinsic failed."""
    return next((e for e in events if e.extrinsic == extrinsic and e.name == "System.ExtrinsicFailed"), None)

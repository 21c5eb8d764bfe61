"""The batches that are on the chain: read from the chain, never from memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from chain_bridge.client import Chain, Event, Head
from chain_bridge.errors import PlanError, ReplayError
from chain_bridge.extrinsic import signed_by
from chain_bridge.header import Header, parse

if TYPE_CHECKING:
    from chain_bridge.script import Batch, Script


class Landed(NamedTuple):
    """The place of a batch: block number and hash, and the extrinsic's index in the block."""

    batch: int
    number: int
    block: str
    extrinsic: int


class State(NamedTuple):
    """A run on a chain as of one head.

    `refused`: attempts that are in a block and failed; `nonce`: of the operator at this head.
    """

    landed: list[Landed]
    refused: list[Landed]
    nonce: int


def nonce(chain: Chain, account: bytes, at: str | None = None) -> int:
    """Return how many transactions an account has made, at a block or at the head."""
    return int(chain.read("System", "Account", account, at=at)["nonce"])


def walk(
    chain: Chain, identity: bytes, operator: bytes, head: Head
) -> Iterator[tuple[Header, Landed, bool]]:
    """Yield every batch of a run, newest first, with its place and whether it succeeded.

    Goes back from the head until every transaction that the operator ever signed has been seen.
    """
    left = nonce(chain, operator, head.hash)
    number, block = head
    while left > 0 and number > 0:
        for place, extrinsic in enumerate(chain.extrinsics(block)):
            if signed_by(extrinsic) != operator:
                continue
            left -= 1
            header = parse(extrinsic, identity)
            if header is not None:
                landed = Landed(header.batch, number, block, place)
                yield header, landed, succeeded(chain.events(block), place)
        number, block = number - 1, chain.parent(block)


def scan(chain: Chain, script: Script, operator: bytes) -> State:
    """Return the batches of a script that landed, in order, all as of one head.

    Raises `PlanError` when the same run was replayed here in another form, `ReplayError` when a
    batch is there twice or one is missing between others.
    """
    head = chain.head()
    found: dict[int, Landed] = {}
    refused: list[Landed] = []
    for header, place, succeeded_ in walk(chain, script.identity, operator, head):
        if not succeeded_:
            refused.append(place)
        elif header != script.header(header.batch):
            raise PlanError(
                f"{chain.url}: this run has been replayed here in another form "
                f"(block {place.number}, batch {header.batch} of {header.batches}): "
                "use the same --token, --asset, --scale and --batch, or a fresh chain"
            )
        elif header.batch in found:
            other = found[header.batch].number
            raise ReplayError(
                f"{chain.url}: batch {header.batch} is there twice, "
                f"in blocks {place.number} and {other}"
            )
        else:
            found[header.batch] = place
    if sorted(found) != list(range(len(found))):
        gap = next(i for i in range(len(script.batches)) if i not in found)
        raise ReplayError(f"{chain.url}: batch {gap} is missing though later ones are there")
    return State([found[i] for i in range(len(found))], refused, nonce(chain, operator, head.hash))


def timepoint(script: Script, batch: Batch, landed: Sequence[Landed]) -> tuple[int, int] | None:
    """Return where the approval was proposed that a batch continues: block and index in it.

    None for a batch without approvals.
    """
    if not _holds(script, batch, "approve"):
        return None
    before = reversed(script.batches[: batch.index])
    proposed = next(b for b in before if _holds(script, b, "propose"))
    return landed[proposed.index].number, landed[proposed.index].extrinsic


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

"""What the landed batches did, read from the chain's own events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chain_bridge.client import Chain, Event
from chain_bridge.extrinsic import signed_by
from chain_bridge.landed import Landed, signature_holds, timepoint
from chain_bridge.money import OPERATOR, Move
from chain_bridge.plan import MONEY, Action
from chain_bridge.runtime import blake2
from chain_bridge.script import Batch, Script, majority

ITEM = "Utility.ItemCompleted"


class Effect(NamedTuple):
    """One action and what the chain's events say of it; `fault` is empty when it did as asked."""

    action: Action
    moves: list[Move]
    fault: str


class BatchEffect(NamedTuple):
    """One landed batch and its effects.

    `fee`: the signer's by the events, withdrawn less paid back; `faithful`: whether the transaction
    holds exactly the bytes that the script asks for; `signed`: whether its signer's own key signed
    it.
    """

    batch: Batch
    landed: Landed
    effects: list[Effect]
    fee: int
    faithful: bool
    signed: bool


def audit(chain: Chain, script: Script, landed: Sequence[Landed]) -> Iterator[BatchEffect]:
    """Yield the effects batch by batch, so that memory does not grow with the run."""
    for place in landed:
        batch = script.batches[place.batch]
        events = own_events(chain, place)
        asked = script.batch_call(batch, timepoint(script, batch, landed))
        extrinsic = chain.extrinsics(place.block)[place.extrinsic]
        payer = script.money.public(batch.signer)
        signed = signed_by(extrinsic) == payer
        if batch.signer != OPERATOR:
            signed = signed and signature_holds(chain, script, place)
        effects = list(_effects(script, batch, events))
        fee = fee_of(payer, events)
        yield BatchEffect(batch, place, effects, fee, extrinsic.endswith(asked), signed)


def own_events(chain: Chain, place: Landed) -> list[Event]:
    """Return the events of one transaction."""
    return [e for e in chain.events(place.block) if e.extrinsic == place.extrinsic]


def _effects(script: Script, batch: Batch, events: list[Event]) -> Iterator[Effect]:
    """Yield the effect of each action.

    The events between two `ItemCompleted` belong to one call; the first call is the batch's header.
    """
    # Cut the events into calls; what follows the last item is the end of the batch.
    items: list[list[Event]] = [[]]
    for e in events:
        if e.name == ITEM:
            items.append([])
        else:
            items[-1].append(e)
    calls = items[1:-1]

    # Compare each with its action.
    actions = script.actions[batch.start : batch.stop]
    if len(calls) != len(actions):
        for action in actions:
            fault = f"{len(calls)} calls completed, {len(actions)} were asked for"
            yield Effect(action, [], fault)
        return
    for action, caused in zip(actions, calls, strict=True):
        moves = script.money.moves(caused)
        fault = _fault(script, action, caused, moves)
        yield Effect(action, moves if action.kind in MONEY else [], fault)


def _fault(script: Script, action: Action, events: list[Event], moves: list[Move]) -> str:
    """Return what is wrong with a call's events; empty when nothing is."""
    names = [e.name for e in events]
    if action.kind in MONEY:
        wanted = script.money.expected(action)
        if moves == wanted:
            return ""
        return f"moved {_shown(moves)} where {_shown(wanted)} was asked for"
    if action.kind == "note":
        return _remarked(script.money.public(script.signer(action)), events, action.data)
    if action.kind == "fund":
        paid = [e.fields[1:3] for e in events if e.name == "Balances.Transfer"]
        if paid == [(script.funded(action), action.amount)]:
            return ""
        return f"no transfer of {action.amount} native units among {names}"
    if action.kind == "approve" and action.number == majority(action.members):
        results = [e.fields[-1][0] for e in events if e.name == "Multisig.MultisigExecuted"]
        if results == ["Ok"]:
            return ""
        return f"the approved call was not executed: {results or names}"
    if action.kind == "licence":
        issued = [e.fields[1:] for e in events if e.name == "Uniques.Issued"]
        if issued == [(action.number, script.money.seat(action.device))]:
            return ""
        return f"device {action.device} did not get item {action.number}: {issued or names}"
    expected = {
        "licences": "Uniques.Created",
        "attribute": "Uniques.AttributeSet",
        "approve": "Multisig.MultisigApproval",
        "propose": "Multisig.NewMultisig",
        "create": "Assets.Created",
        "collection": "Uniques.Created",
        "version": "Uniques.Issued",
        "metadata": "Uniques.MetadataSet",
    }[action.kind]
    return "" if expected in names else f"no {expected} among {names}"


def _remarked(author: bytes, events: list[Event], text: bytes) -> str:
    """Return a fault unless the events hold one remark of its author, of exactly these bytes."""
    remarks = [e for e in events if e.name == "System.Remarked"]
    hashes = [e.fields[1] for e in remarks if e.fields[0] == author]
    return "" if hashes == [blake2(text)] else "the note's hash is another"


def _shown(moves: Sequence[Move]) -> str:
    """Return moves in words."""
    words = [
        f"{m.amount} from {_end(m.debit, 'issuance')} to {_end(m.credit, 'burn')}" for m in moves
    ]
    return " and ".join(words) or "nothing"


def _end(address: bytes | None, absent: str) -> str:
    return absent if address is None else f"0x{address.hex()[:8]}…"


def fee_of(payer: bytes, events: list[Event]) -> int:
    """Return what a signer paid: withdrawn before the call, less what came back after it."""
    fee = 0
    for e in events:
        if e.name == "Balances.Withdraw" and e.fields[0] == payer:
            fee += int(e.fields[1])
        elif e.name == "Balances.Deposit" and e.fields[0] == payer:
            fee -= int(e.fields[1])
    return fee

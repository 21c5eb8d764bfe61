"""What the landed batches did, read back from the chain's own events."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from chain_bridge.client import Chain, Event
from chain_bridge.landed import Landed, timepoint
from chain_bridge.money import Move
from chain_bridge.plan import MONEY, Action
from chain_bridge.runtime import blake2
from chain_bridge.script import Batch, Script, majority

ITEM = "Utility.ItemCompleted"


class Effect(NamedTuple):
    """One action and what the chain says became of it; `fault` is empty when it is what was asked for."""

    action: Action
    moves: list[Move]
    fault: str


class BatchEffect(NamedTuple):
    """One landed batch: its effects, the operator's fee as the events tell it (withdrawn minus paid back), and whether the
    transaction holds exactly the bytes that the script asks for, call by call.
    """

    batch: Batch
    landed: Landed
    effects: list[Effect]
    fee: int
    faithful: bool


def audit(chain: Chain, script: Script, landed: Sequence[Landed]) -> Iterator[BatchEffect]:
    """Batch by batch, so that memory does not grow with the run."""
    for place in landed:
        batch = script.batches[place.batch]
        mine = own_events(chain, place)
        asked = script.batch_call(batch, timepoint(script, batch, landed))
        faithful = chain.extrinsics(place.block)[place.extrinsic].endswith(asked)
        yield BatchEffect(
            batch, place, list(_effects(script, batch, mine)), fee_of(script, mine), faithful
        )


def own_events(chain: Chain, place: Landed) -> list[Event]:
    """The events of one transaction."""
    return [e for e in chain.events(place.block) if e.extrinsic == place.extrinsic]


def _effects(script: Script, batch: Batch, events: list[Event]) -> Iterator[Effect]:
    """The events between two `ItemCompleted` are one call's; the first call is the batch's header."""
    items: list[list[Event]] = [[]]
    for e in events:
        if e.name == ITEM:
            items.append([])
        else:
            items[-1].append(e)
    items = [
        _without_dues(items[0]),
        *items[1:-1],
    ]  # what follows the last item is the end of the batch
    actions = script.actions[batch.start : batch.stop]
    if len(items) != len(actions) + 1:
        for a in actions:
            yield Effect(a, [], f"{len(items) - 1} calls completed, {len(actions)} were asked for")
        return
    for action, told in zip(actions, items[1:], strict=True):
        moves = script.money.moves(told)
        yield Effect(
            action, moves if action.kind in MONEY else [], _fault(script, action, told, moves)
        )


def _without_dues(events: list[Event]) -> list[Event]:
    """Fees are withdrawn before the first call."""
    return [
        e
        for e in events
        if e.name not in ("Balances.Withdraw", "TransactionPayment.TransactionFeePaid")
    ]


def _fault(script: Script, action: Action, events: list[Event], moves: list[Move]) -> str:
    """What is wrong with a call's events; empty when nothing is."""
    names = [e.name for e in events]
    if action.kind in MONEY:
        wanted = script.money.expected(action)
        return (
            "" if moves == wanted else f"moved {_shown(moves)} where {_shown(wanted)} was asked for"
        )
    if action.kind == "note":
        return _remarked(script, events, action.data)
    if action.kind == "fund":
        paid = [e for e in events if e.name == "Balances.Transfer"]
        right = len(paid) == 1 and paid[0].fields[1:3] == (script.funded(action), action.amount)
        return "" if right else f"no transfer of {action.amount} native units among {names}"
    if action.kind == "approve" and action.number == majority(action.members):
        results = [e.fields[-1][0] for e in events if e.name == "Multisig.MultisigExecuted"]
        return (
            "" if results == ["Ok"] else f"the approved call was not executed: {results or names}"
        )
    expected = {
        "approve": "Multisig.MultisigApproval",
        "propose": "Multisig.NewMultisig",
        "create": "Assets.Created",
        "collection": "Uniques.Created",
        "version": "Uniques.Issued",
        "metadata": "Uniques.MetadataSet",
    }[action.kind]
    return "" if expected in names else f"no {expected} among {names}"


def _remarked(script: Script, events: list[Event], text: bytes) -> str:
    """Whether the operator's remark of exactly these bytes is what happened."""
    hashes = [
        e.fields[1]
        for e in events
        if e.name == "System.Remarked" and e.fields[0] == script.money.operator
    ]
    return "" if hashes == [blake2(text)] else "the note's hash is another"


def _shown(moves: Sequence[Move]) -> str:
    """A few words for moves."""
    told = [
        f"{m.amount} from {_end(m.debit, 'issuance')} to {_end(m.credit, 'burn')}" for m in moves
    ]
    return " and ".join(told) or "nothing"


def _end(address: bytes | None, absent: str) -> str:
    return absent if address is None else f"0x{address.hex()[:8]}…"


def fee_of(script: Script, events: list[Event]) -> int:
    """What the operator paid: withdrawn before the call, minus what came back after it."""
    mine = script.money.operator
    taken = sum(
        e.fields[1] for e in events if e.name == "Balances.Withdraw" and e.fields[0] == mine
    )
    back = sum(e.fields[1] for e in events if e.name == "Balances.Deposit" and e.fields[0] == mine)
    return int(taken - back)

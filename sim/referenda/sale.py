"""The sale of votes on one proposal, before it is decided."""

from __future__ import annotations

from collections.abc import Sequence

from agents.voters.capture import cheapest, price_of
from mechanisms import answers
from mechanisms.vocabulary import Ask, CaptureObservation, Payment
from sim.referenda.booth import Booth
from sim.referenda.proposals import Proposal, Sale


def hold_sale(booth: Booth, proposal: Proposal, present: Sequence[int]) -> None:
    """Let those that are present sell their ballots to those that buy, one buyer after another.

    Each buyer sees what the one before has turned. A ballot is sold once. The price of capture is
    measured before the first sale, whether anybody buys or not.
    """
    sellers = [d for d in present if booth.voter(d).sells and booth.can_pay(d)]
    if proposal.round == booth.clock.round:
        _measure(booth, proposal, sellers)
    for buyer in present:
        if booth.voter(buyer).buys:
            _buy(booth, proposal, buyer, [d for d in sellers if d != buyer])


def _measure(booth: Booth, proposal: Proposal, sellers: Sequence[int]) -> None:
    """Write down what it would cost to turn the outcome as it stands."""
    tally = booth.tally(proposal)
    asks = _asks(booth, proposal, sellers, not booth.rule.passes(tally))
    needs = booth.rule.needs(tally)
    whole = cheapest(asks, needs, parts=False)
    proposal.vote_price = whole and whole[0]
    leased = cheapest(asks, needs, parts=True) if booth.rule.stakes else None
    proposal.stake_price = leased and leased[0]


def _asks(booth: Booth, proposal: Proposal, sellers: Sequence[int], approves: bool) -> list[Ask]:
    """Return the ballots for sale, as they would be cast for or against."""
    sold, asks = proposal.sellers, []
    for device in sellers:
        if device in sold:
            continue
        behaviour, seen = booth.voter(device), booth.seen(proposal, device)
        told = booth.checked(behaviour, "told", behaviour.told(seen, approves), seen)
        own = proposal.own.get(device)
        if told is None:
            continue
        if own is not None:
            # What stands behind its ballot already is what it sells.
            told = own._replace(approves=approves)
        price = answers.whole(behaviour, "price", behaviour.price(seen, told), who=seen.who)
        asks.append(Ask(device, told, price, booth.rule.gains(told, own)))
    return asks


def _buy(booth: Booth, proposal: Proposal, buyer: int, sellers: Sequence[int]) -> None:
    """Let a buyer buy; purchases that it cannot pay are refused, all of them."""
    tally = booth.tally(proposal)
    passes = booth.rule.passes(tally)
    behaviour = booth.voter(buyer)
    seen = CaptureObservation(
        device=buyer,
        round=booth.clock.round,
        time_s=booth.clock.time_s,
        proposal=proposal.index,
        worth=proposal.worth.get(buyer, 0.0),
        passes=passes,
        needs=booth.rule.needs(tally),
        asks=_asks(booth, proposal, sellers, not passes),
        parts=booth.rule.stakes,
        balance=booth.treasury.balance(buyer),
        rng=booth.streams.rng("referendum purchase", proposal.index, buyer, booth.clock.round),
        coalition=booth.people.coalitions[buyer],
    )
    asks = {ask.voter: ask for ask in seen.asks}
    sales = []
    for voter, stake in answers.purchases(behaviour, behaviour.buy(seen), seen):
        ballot = asks[voter].ballot._replace(stake=stake)
        sales.append(Sale(voter, buyer, ballot, price_of(asks[voter], stake)))
    if sum(sale.price for sale in sales) > seen.balance:
        booth.incidents.note(booth.clock.time_s, buyer, None, "cannot pay for the votes it buys")
        return
    booth.treasury.post(
        [Payment(sale.voter, sale.price, "vote.bought", buyer) for sale in sales if sale.price],
        time_s=booth.clock.time_s,
    )
    for sale in sales:
        if sale.voter not in proposal.own:
            booth.charge(sale.voter, booth.fee, "fee.ballot")
    proposal.sold += sales

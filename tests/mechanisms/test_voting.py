"""Voting rules against closed forms, and the price of capture against every set of ballots."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.voters.capture import cheapest, price_of
from mechanisms import registries as rules
from mechanisms.plugin import PluginError
from mechanisms.vocabulary import Ask, Ballot, Tally
from mechanisms.voting.venues import DAY, VENUES

FOR, AGAINST = True, False


def rule(name, **params):
    return rules.voting.create(name, params)


def count(name, cast, stakes=None, **params):
    made = rule(name, **params)
    return made.tally([Ballot(*b) for b in cast], stakes or {})


# --- what ballots weigh -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conviction", "votes", "periods"),
    [*zip(range(7), [100, *range(1_000, 7_000, 1_000)], [0, 1, 2, 4, 8, 16, 32], strict=True)],
)
def test_conviction_multiplies_as_on_substrate(conviction, votes, periods):
    made = rule("conviction", lock_period_s=7 * DAY)
    ballot = Ballot(FOR, 1_000, conviction)
    assert made.votes(ballot) == votes
    assert made.lock_s(ballot) == periods * 7 * DAY
    assert made.support(ballot) == 1_000, "the quorum counts stakes without multipliers"


def test_a_tenth_is_rounded_down():
    made = rule("conviction")
    assert [made.votes(Ballot(FOR, stake)) for stake in (9, 10, 19)] == [0, 1, 1]


def test_the_three_rules_count_the_same_ballots_differently():
    cast = [(FOR, 10, 6), (AGAINST, 50, 1), (AGAINST, 20, 0)]
    stakes = {0: 10, 1: 50, 2: 20, 3: 120}
    assert count("one-member-one-vote", cast, stakes) == Tally(1, 2, 1, 4)
    assert count("stake-weighted", cast, stakes) == Tally(10, 70, 10, 200)
    assert count("conviction", cast, stakes) == Tally(60, 52, 10, 200)


@given(stake=st.integers(1, 10**6), parts=st.integers(1, 5))
def test_splitting_a_stake_gains_nothing_but_splitting_a_member_does(stake, parts):
    """Sybils: k identities have k votes under one, and the votes of one under the other."""
    whole = [Ballot(FOR, stake * parts, 1)]
    split = [Ballot(FOR, stake, 1)] * parts
    for name in ("stake-weighted", "conviction"):
        made = rule(name)
        assert made.tally(whole, {}).ayes == made.tally(split, {}).ayes
    member = rule("one-member-one-vote")
    assert member.tally(split, {}).ayes == parts * member.tally(whole, {}).ayes


# --- when a proposal passes -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ayes", "nays", "threshold", "passes"),
    [
        (2, 2, 0.5, False),
        (3, 2, 0.5, True),
        (0, 0, 0.5, False),
        (6, 4, 0.6, False),
        (7, 4, 0.6, True),
        (1, 0, 0.99, True),
    ],
)
def test_a_proposal_needs_more_than_the_threshold(ayes, nays, threshold, passes):
    made = rule("one-member-one-vote", threshold=threshold)
    assert made.passes(Tally(ayes, nays, ayes, 20)) == passes


def test_a_quorum_of_those_in_favour_or_of_all():
    cast = [(FOR,), (FOR,), (AGAINST,)]
    stakes = dict.fromkeys(range(10), 0)
    for counted, quorum, passes in [
        ("ayes", 0.2, True),
        ("ayes", 0.3, False),
        ("all", 0.3, True),
        ("all", 0.31, False),
    ]:
        made = rule("one-member-one-vote", quorum=quorum, counted=counted)
        assert made.passes(made.tally([Ballot(*b) for b in cast], stakes)) == passes


def test_a_vote_against_can_carry_a_proposal_where_the_quorum_counts_all():
    """The no-show paradox: staying at home would have stopped it."""
    made = rule("one-member-one-vote", quorum=0.3, counted="all")
    stakes = dict.fromkeys(range(10), 0)
    two = [Ballot(FOR), Ballot(FOR)]
    assert not made.passes(made.tally(two, stakes))
    assert made.passes(made.tally([*two, Ballot(AGAINST)], stakes))


def test_thresholds_are_exact():
    """0.1 of 10 is 1, whatever binary fractions make of it."""
    made = rule("stake-weighted", threshold=0.1)
    assert not made.passes(Tally(10**17, 9 * 10**17, 0, 0))
    assert made.passes(Tally(10**17 + 1, 9 * 10**17, 0, 0))


def test_a_threshold_of_everybody_is_refused():
    with pytest.raises(PluginError, match="< 1"):
        rule("one-member-one-vote", threshold=1.0)


# --- the price of capture -----------------------------------------------------------------------


def for_sale(made, owners, passes):
    """Asks of voters (own ballot or None, stake, price), as told the other outcome."""
    asks = []
    for i, (own, stake, price) in enumerate(owners):
        told = Ballot(not passes, stake, 1)
        cast = None if own is None else Ballot(own, stake, 1)
        asks.append(Ask(i, told, price, made.gains(told, cast)))
    return asks


def standing(made, owners):
    ballots = [Ballot(own, stake, 1) for own, stake, _ in owners if own is not None]
    return made.tally(ballots, {i: stake for i, (_, stake, _) in enumerate(owners)})


def brute_force(made, owners, passes):
    """The cheapest of all sets of voters that turn the outcome when they vote as told."""
    found = []
    for bought in product([False, True], repeat=len(owners)):
        turned = [
            (not passes if taken else own, stake, price)
            for (own, stake, price), taken in zip(owners, bought, strict=True)
        ]
        if made.passes(standing(made, turned)) != passes:
            found.append(sum(o[2] for o, taken in zip(owners, bought, strict=True) if taken))
    return min(found, default=None)


def test_capture_of_members_costs_the_cheapest_reservation_prices():
    """Seven against three: three opponents, of whom the three cheapest ask 1 + 2 + 3."""
    owners = [(FOR, 1, 9)] * 3 + [(AGAINST, 1, price) for price in (5, 1, 4, 2, 7, 3, 6)]
    made = rule("one-member-one-vote")
    passes = made.passes(standing(made, owners))
    price, bought = cheapest(
        for_sale(made, owners, passes), made.needs(standing(made, owners)), parts=False
    )
    assert price == 1 + 2 + 3
    assert sorted(purchase.voter for purchase in bought) == [4, 6, 8]


def test_abstainers_turn_half_as_much_as_opponents():
    """Four against two: two opponents at 3, or three abstainers at 1, whichever is cheaper."""
    against, absent = [(AGAINST, 1, 3)] * 4, [(None, 1, 1)] * 4
    owners = [(FOR, 1, 0)] * 2 + against + absent
    made = rule("one-member-one-vote")
    price, _ = cheapest(
        for_sale(made, owners, False), made.needs(standing(made, owners)), parts=False
    )
    assert price == brute_force(made, owners, False) == 3


owners = st.lists(
    st.tuples(st.sampled_from((FOR, AGAINST, None)), st.integers(1, 40), st.integers(0, 30)),
    min_size=1,
    max_size=7,
)


@given(
    owners=owners,
    name=st.sampled_from(("one-member-one-vote", "stake-weighted", "conviction")),
    quorum=st.sampled_from((0.0, 0.3, 0.5)),
    threshold=st.sampled_from((0.5, 0.6)),
)
def test_the_price_of_capture_is_that_of_the_cheapest_set(owners, name, quorum, threshold):
    made = rule(name, quorum=quorum, threshold=threshold)
    tally = standing(made, owners)
    passes = made.passes(tally)
    asks = for_sale(made, owners, passes)
    found = cheapest(asks, made.needs(tally), parts=False)
    assert (found and found[0]) == brute_force(made, owners, passes)
    if found:
        bought = {purchase.voter for purchase in found[1]}
        turned = [
            (not passes if i in bought else own, stake, price)
            for i, (own, stake, price) in enumerate(owners)
        ]
        assert made.passes(standing(made, turned)) != passes


@given(stakes=st.lists(st.integers(1, 10**12), min_size=1, max_size=8), own=st.integers(0, 10**12))
def test_leased_stake_costs_what_is_needed_at_its_price(stakes, own):
    """Opponents sell at a tenth per base unit: half of the lead and a unit more turns it."""
    made = rule("stake-weighted")
    owners = [(AGAINST, stake, -(-stake // 10)) for stake in stakes]
    tally = made.tally([Ballot(FOR, own), *(Ballot(AGAINST, s) for s in stakes)], {})
    lead = sum(stakes) - own
    if lead < 0:
        return
    asks = for_sale(made, owners, False)
    price, bought = cheapest(asks, made.needs(tally), parts=True)
    needed = lead // 2 + 1
    assert sum(purchase.stake for purchase in bought) == needed
    assert needed / 10 <= price <= needed / 10 + 2 * len(stakes)


def test_a_part_of_a_stake_costs_its_part_of_the_price_rounded_up():
    ask = Ask(0, Ballot(FOR, 3), 10, (6, 3))
    assert [price_of(ask, stake) for stake in (1, 2, 3)] == [4, 7, 10]


def test_no_price_is_enough_where_too_few_sell():
    made = rule("one-member-one-vote")
    asks = for_sale(made, [(AGAINST, 1, 0)], False)
    assert cheapest(asks, made.needs(Tally(0, 5, 0, 9)), parts=False) is None


# --- venues ---------------------------------------------------------------------------------------


def test_venues_are_those_of_the_guide():
    assert {name: (*venue.usd, venue.delay_s) for name, venue in VENUES.items()} == {
        "custom-contract": (50, 200, 12),
        "governor": (100, 500, 3 * DAY),
        "safe": (20, 80, DAY),
        "substrate": (0, 0, 6),
    }

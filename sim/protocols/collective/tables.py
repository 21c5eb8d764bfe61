"""What a collective economy records beside the columns of every game that trains."""

from __future__ import annotations

from sim.charts import Chart
from sim.labelling import tables as labelling
from sim.notes import Approval, Licences, Note
from sim.protocol import Outcome
from sim.protocols.collective.settings import ANNOTATOR, CLIENT, CONTRIBUTOR, CREATOR, ENGINEER
from sim.recording import INTEGER, NUMBER, TEXT, TRUTH, Column, Table
from sim.referenda import declared as referenda
from sim.training import declared

PARTIES = (CONTRIBUTOR, ENGINEER, ANNOTATOR, CLIENT, CREATOR)

ROUNDS = {
    "submitted": Column(INTEGER, "versions that engineers submitted"),
    "approved": Column(INTEGER, "of these, versions that replaced the master model"),
    "members": Column(INTEGER, "members of the collective"),
    **labelling.ROUNDS,
}

PARTICIPANTS = {
    "party": Column(TEXT, "`contributor`, `engineer`, `annotator`, `client` or `creator`"),
    "member": Column(TRUTH, "whether it is a member of the collective"),
    **labelling.PARTICIPANTS,
}

POOLS = Table(
    "round and pool",
    {
        "round": Column(INTEGER, "which round"),
        "pool": Column(TEXT, "whose: `contributors`, `engineers` or `annotators`"),
        "remaining": Column(
            INTEGER, "base units at the round's end, before what is left of it goes back"
        ),
        "spent": Column(INTEGER, "base units that it lost in the round; negative: that it gained"),
    },
)

SUBMISSIONS = Table(
    "version that an engineer submitted",
    {
        "round": Column(INTEGER, "which round"),
        "submission": Column(TEXT, "SHA-256 of master model, round, author and weights"),
        "author": Column(INTEGER, "the engineer"),
        "adversary": Column(TRUTH, "whether it is an adversary"),
        "parent": Column(TEXT, "version of the master model that it would replace"),
        "weights": Column(TEXT, "SHA-256 of the model"),
        "held_out_accuracy": Column(NUMBER, "on all samples that members test with"),
        "accuracy": Column(NUMBER, "on the reported test set, which nobody tests with"),
        "members": Column(INTEGER, "members of the collective"),
        "approving": Column(INTEGER, "of these, members that approve"),
        "approved": Column(TRUTH, "whether it replaced the master model"),
        "reward": Column(INTEGER, "base units for its author; null: not approved"),
    },
)

MEMBER_VOTES = Table(
    "version and member that judged it",
    {
        "round": Column(INTEGER, "which round"),
        "submission": Column(TEXT, "the version, as in `submissions`"),
        "author": Column(INTEGER, "the engineer"),
        "member": Column(INTEGER, "who judged"),
        "approves": Column(TRUTH, "whether it may replace the master model"),
        "share": Column(NUMBER, "part of the engineers' pool that the member proposes"),
        "accuracy": Column(NUMBER, "of the version on the member's test samples"),
        "master_accuracy": Column(NUMBER, "of the master model on the same"),
    },
)

LICENCES = Table(
    "offer for a licence",
    {
        "round": Column(INTEGER, "which round"),
        "client": Column(INTEGER, "who asked"),
        "adversary": Column(TRUTH, "whether it is an adversary"),
        "usage": Column(TEXT, "what the licence allows"),
        "jurisdiction": Column(TEXT, "where the client is; null: nowhere in particular"),
        "fee": Column(INTEGER, "price of the licence, base units"),
        "offer": Column(INTEGER, "what the client pays, base units; nothing is paid if refused"),
        "granted": Column(TRUTH, "whether it got the licence"),
        "until": Column(INTEGER, "last round of the licence; null: refused"),
        "audited": Column(TRUTH, "whether it was audited"),
        "fine": Column(INTEGER, "base units that it paid for having paid less than the fee"),
        "version": Column(TEXT, "version of the master model that it is for"),
    },
)

OWN = {
    "pools": POOLS,
    "submissions": SUBMISSIONS,
    "member_votes": MEMBER_VOTES,
    "licences": LICENCES,
    **labelling.OWN,
    **referenda.TABLES,
}


def _utility(party: str) -> Outcome:
    honest = f"party = '{party}' and not adversary"
    return Outcome(
        "participants",
        f"sum(utility) filter (where {honest}) / count(distinct device) filter (where {honest})",
        f"utility of an honest {party} in the whole run, base units; null: there is none",
        "max",
        headline=True,
    )


def _left(party: str) -> Outcome:
    return Outcome(
        "pools",
        f"arg_max(remaining, round) filter (where pool = '{party}')",
        f"base units left of the pool of the {party} at the end, before they go back",
    )


OUTCOMES = {
    **declared.OUTCOMES,
    **referenda.OUTCOMES,
    **{f"{party}_pool_left": _left(party) for party in ("contributors", "engineers", "annotators")},
    **{f"{party}_utility": _utility(party) for party in PARTIES},
    "versions_approved": Outcome(
        "submissions",
        "count(*) filter (where approved)",
        "versions of engineers that replaced the master model",
    ),
    "adversary_versions": Outcome(
        "submissions",
        "count(*) filter (where approved and adversary)",
        "of these, versions of adversaries",
        "min",
    ),
    "engineer_rewards": Outcome(
        "submissions", "coalesce(sum(reward), 0)::bigint", "base units paid for versions"
    ),
    "stolen_rewards": Outcome(
        "submissions",
        "coalesce(sum(reward) filter (where adversary), 0)::bigint",
        "of these, base units paid to adversaries",
        "min",
    ),
    "licences_sold": Outcome(
        "licences", "count(*) filter (where granted)", "licences given", "max"
    ),
    "licence_income": Outcome(
        "licences",
        "coalesce(sum(offer) filter (where granted), 0)::bigint + coalesce(sum(fine), 0)::bigint",
        "base units that clients paid: offers that got a licence, and fines",
        "max",
    ),
    "underpaid_licences": Outcome(
        "licences", "count(*) filter (where granted and offer < fee)", "given below the fee", "min"
    ),
    "creator_income": Outcome(
        "participants",
        "sum(income) filter (where party = 'creator')::bigint",
        "income of the creator in the whole run, base units: what it staked and did not get back "
        "counts against it",
    ),
}

SUBMISSION = Note(
    "version",
    "submissions",
    {"author": "author", "version": "submission", "parent": "parent"},
    per="row",
    device="author",
)
APPROVED = Note(
    "approved",
    "submissions",
    {"version": "submission", "reward": "reward"},
    equal={"approved": True},
)
VOTED = Note(
    "votes",
    "member_votes",
    {"member": "member", "version": "submission", "approves": "approves"},
    order=("member", "submission"),
)
SOLD = Licences(
    "licences",
    "client",
    {"usage": "usage", "fee": "fee", "paid": "offer", "until": "until", "version": "version"},
    equal={"granted": True},
)
NOTES = (
    declared.ROLES,
    declared.VERSIONS,
    SUBMISSION,
    *labelling.NOTES,
    *referenda.NOTES,
    SOLD,
    Approval("approval", "member_votes", "member", {"approved": APPROVED, "votes": VOTED}),
)

CHARTS = (
    Chart(
        "pools",
        "What is left of the pools",
        "Base units of each party's pool at the end of each round.",
        "pools",
        "round",
        "remaining",
        by="pool",
        y_label="base units",
    ),
)

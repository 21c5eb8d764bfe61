"""What referenda record: tables, outcomes, notes, for every protocol that holds them."""

from __future__ import annotations

from sim.notes import Note
from sim.protocol import Outcome
from sim.recording import INTEGER, NUMBER, TEXT, TRUTH, Column, Table

REFERENDA = Table(
    "referendum that was decided",
    {
        "round": Column(INTEGER, "in which it was decided"),
        "referendum": Column(INTEGER, "its number, 0, 1, ..."),
        "proposer": Column(INTEGER, "the device that proposed it"),
        "changes": Column(TEXT, "new values by name of the parameter"),
        "before": Column(TEXT, "the values before it was decided"),
        "proposed": Column(INTEGER, "round in which it was proposed"),
        "opened_s": Column(NUMBER, "when it was proposed"),
        "decided_s": Column(NUMBER, "when it was decided, and in force if it passed"),
        "status": Column(
            TEXT,
            "`passed`, `rejected`, `void` (passed, and not possible any more), `lapsed` (the run "
            "ended first)",
        ),
        "ayes": Column(INTEGER, "votes for it"),
        "nays": Column(INTEGER, "votes against it"),
        "support": Column(INTEGER, "votes that count towards the quorum, before multipliers"),
        "electorate": Column(INTEGER, "all that could have been, in the same unit"),
        "cost": Column(INTEGER, "base units that it cost the proposer"),
        "bought": Column(INTEGER, "ballots that were bought"),
        "paid": Column(INTEGER, "base units that were paid for them"),
        "captured": Column(TRUTH, "whether it would have ended otherwise without them"),
        "vote_price": Column(
            INTEGER,
            "price of capture: base units for the cheapest ballots that would have turned it when "
            "it was put to the vote; null: no price is enough",
        ),
        "stake_price": Column(
            INTEGER, "the same for leased stake; null: no price is enough, or stakes do not count"
        ),
    },
)
BALLOTS = Table(
    "ballot that counted in a referendum",
    {
        "round": Column(INTEGER, "in which the referendum was decided"),
        "referendum": Column(INTEGER, "its number"),
        "device": Column(INTEGER, "the voter"),
        "approves": Column(TRUTH, "whether it is for the proposal"),
        "stake": Column(INTEGER, "base units that were locked for it"),
        "conviction": Column(INTEGER, "0 to 6: how long they stay locked if it won"),
        "votes": Column(INTEGER, "what it weighed"),
        "buyer": Column(INTEGER, "who bought it; null: nobody"),
        "price": Column(INTEGER, "base units that the voter was paid"),
    },
)
TABLES = {"referenda": REFERENDA, "ballots": BALLOTS}

OUTCOMES = {
    "referenda_passed": Outcome(
        "referenda", "count(*) filter (where status = 'passed')", "proposals that passed"
    ),
    "referenda_captured": Outcome(
        "referenda",
        "count(*) filter (where captured)",
        "proposals that ended otherwise than without bought ballots",
        "min",
    ),
    "paid_for_votes": Outcome(
        "referenda", "sum(paid)::bigint", "base units that were paid for ballots"
    ),
    "price_of_capture": Outcome(
        "referenda",
        "min(vote_price)",
        "base units for the cheapest ballots that would have turned the cheapest proposal",
        "max",
    ),
}

PROPOSALS = Note(
    "referendum",
    "referenda",
    {
        "referendum": "referendum",
        "changes": "changes",
        "status": "status",
        "ayes": "ayes",
        "nays": "nays",
    },
    per="row",
    order=("referendum",),
    device="proposer",
)
CAST = Note(
    "ballots",
    "ballots",
    {
        "referendum": "referendum",
        "device": "device",
        "approves": "approves",
        "stake": "stake",
        "conviction": "conviction",
    },
    order=("referendum", "device", "approves"),
)
NOTES = (PROPOSALS, CAST)

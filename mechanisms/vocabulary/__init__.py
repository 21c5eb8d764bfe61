"""The words that rules, behaviours and the world share: frozen observations in, decisions out.

Amounts are integers of base units. Devices are integers 0..n-1. `float32[K, P]` arrays hold one
update per row. Import all of them from here.
"""

from mechanisms.vocabulary.behaviours import (
    ChoiceObservation,
    DataObservation,
    MiningDecision,
    MiningObservation,
    RowEvaluator,
    Submission,
    VoteObservation,
    WorkerObservation,
)
from mechanisms.vocabulary.coordinator import (
    Conduct,
    DisputeObservation,
    VerificationObservation,
)
from mechanisms.vocabulary.market import (
    TOKEN,
    Act,
    Claim,
    ContributorObservation,
    Datum,
    Evaluator,
    MarketMemory,
    Offer,
    Offering,
    ProviderObservation,
    Query,
    Refused,
    Stage,
    TimingObservation,
)
from mechanisms.vocabulary.observation import ABSENT, HiddenError, Observation
from mechanisms.vocabulary.records import (
    FloatMatrix,
    Memory,
    ParameterSlot,
    Payment,
    Role,
    Settlement,
    UpdateRecord,
)
from mechanisms.vocabulary.rules import (
    AggregationObservation,
    BlockObservation,
    CoalitionUtility,
    OpeningObservation,
    RoleObservation,
    ValidationObservation,
)
from mechanisms.vocabulary.voting import (
    Ask,
    Ballot,
    CaptureObservation,
    Purchase,
    Tally,
    VoterObservation,
)

__all__ = [
    "ABSENT",
    "TOKEN",
    "Act",
    "AggregationObservation",
    "Ask",
    "Ballot",
    "BlockObservation",
    "CaptureObservation",
    "ChoiceObservation",
    "Claim",
    "CoalitionUtility",
    "Conduct",
    "ContributorObservation",
    "DataObservation",
    "Datum",
    "DisputeObservation",
    "Evaluator",
    "FloatMatrix",
    "HiddenError",
    "MarketMemory",
    "Memory",
    "MiningDecision",
    "MiningObservation",
    "Observation",
    "Offer",
    "Offering",
    "OpeningObservation",
    "ParameterSlot",
    "Payment",
    "ProviderObservation",
    "Purchase",
    "Query",
    "Refused",
    "Role",
    "RoleObservation",
    "RowEvaluator",
    "Settlement",
    "Stage",
    "Submission",
    "Tally",
    "TimingObservation",
    "UpdateRecord",
    "ValidationObservation",
    "VerificationObservation",
    "VoteObservation",
    "VoterObservation",
    "WorkerObservation",
]

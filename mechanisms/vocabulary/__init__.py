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

__all__ = [
    "ABSENT",
    "AggregationObservation",
    "BlockObservation",
    "ChoiceObservation",
    "CoalitionUtility",
    "Conduct",
    "DataObservation",
    "DisputeObservation",
    "FloatMatrix",
    "HiddenError",
    "Memory",
    "MiningDecision",
    "MiningObservation",
    "Observation",
    "OpeningObservation",
    "ParameterSlot",
    "Payment",
    "Role",
    "RoleObservation",
    "RowEvaluator",
    "Settlement",
    "Submission",
    "UpdateRecord",
    "ValidationObservation",
    "VerificationObservation",
    "VoteObservation",
    "WorkerObservation",
]

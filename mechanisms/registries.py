"""The kinds of rules; lists, documentation and tests read them here."""

from mechanisms.registry import Registry

payouts = Registry(
    "mechanisms",
    package="mechanisms.payouts",
    base="PayoutRule",
    about="payout rules: what is paid for a block, to whom",
    key="payout.mechanism",
    suite="experiments.conformance.payouts:PayoutConformance",
)
parts = Registry(
    "parts",
    package="mechanisms.parts",
    base="Part",
    about="what goes around any payout rule: stakes, fees, slashing, reputation",
    key="payout.parts.N.part",
    suite="experiments.conformance.payouts:PartConformance",
)
verifiers = Registry(
    "verifiers",
    package="mechanisms.verifiers",
    base="Verifier",
    about="how a coordinator checks that work was done",
    key="coordinator.verifier",
    suite="experiments.conformance.verdicts:VerifierConformance",
)
roles = Registry(
    "roles",
    package="mechanisms.roles",
    base="RoleRule",
    about="who is worker, validator and miner in a round",
    key="roles.rule",
    suite="experiments.conformance.roles:RoleConformance",
)
validators = Registry(
    "validators",
    package="mechanisms.validators",
    base="ValidationRule",
    one="validation rule",
    about="which updates an honest validator votes for",
    key="validation.rule",
    suite="experiments.conformance.verdicts:ValidationConformance",
)
aggregators = Registry(
    "aggregators",
    package="mechanisms.aggregators",
    base="AggregationRule",
    one="aggregation rule",
    about="how accepted updates become one model",
    key="aggregation.rule",
    suite="experiments.conformance.rows:AggregationConformance",
)
transforms = Registry(
    "transforms",
    package="mechanisms.transforms",
    base="Transform",
    about="what is done to updates before they are aggregated",
    key="aggregation.before.N.rule",
    suite="experiments.conformance.rows:TransformConformance",
)
markets = Registry(
    "markets",
    package="mechanisms.markets",
    base="MarketRule",
    one="market rule",
    about="what adding a datum to a market costs, who gets it back, who takes it",
    key="market.rule",
    suite="experiments.conformance.markets:MarketConformance",
)
prediction_fees = Registry(
    "prediction fees",
    package="mechanisms.prediction_fees",
    base="FeeRule",
    one="fee rule",
    about="who is paid when somebody asks the model of a market",
    key="market.fees",
    suite="experiments.conformance.markets:FeeConformance",
)
voting = Registry(
    "voting rules",
    package="mechanisms.voting",
    base="VotingRule",
    about="what a ballot of a referendum weighs, and when a proposal passes",
    key="referenda.rule",
    suite="experiments.conformance.voting:VotingConformance",
)
labelling = Registry(
    "labelling",
    package="mechanisms.labelling",
    base="LabellingRule",
    one="labelling rule",
    about="what answers of annotators are worth, and which label they come to",
    key="labelling.rule",
    suite="experiments.conformance.labelling:LabellingConformance",
)
approval = Registry(
    "approval rules",
    package="mechanisms.approval",
    base="ApprovalRule",
    about="when a version replaces the master model of a collective, and what its author gets",
    key="approval.rule",
    suite="experiments.conformance.approval:ApprovalConformance",
)
licensing = Registry(
    "licensing rules",
    package="mechanisms.licensing",
    base="LicensingRule",
    about="what an offer for a licence gets, and what an audit costs who paid less than the fee",
    key="licences.rule",
    suite="experiments.conformance.licensing:LicensingConformance",
)

__all__ = [
    "aggregators",
    "approval",
    "labelling",
    "licensing",
    "markets",
    "parts",
    "payouts",
    "prediction_fees",
    "roles",
    "transforms",
    "validators",
    "verifiers",
    "voting",
]

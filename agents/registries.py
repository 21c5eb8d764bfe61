"""The kinds of behaviours: what lists, documentation and tests know of each stands here alone."""

from mechanisms.registry import Registry

workers = Registry(
    "worker behaviours",
    package="agents.workers",
    base="WorkerBehaviour",
    about="attacks and honest work: what a worker sends and claims",
    key="adversaries.N.worker",
    suite="experiments.conformance.behaviours:WorkerConformance",
    listed={"behaviours": "worker"},
)
validators = Registry(
    "validator behaviours",
    package="agents.validators",
    base="ValidatorBehaviour",
    about="how a validator votes",
    key="adversaries.N.validator",
    suite="experiments.conformance.behaviours:ValidatorConformance",
    listed={"behaviours": "validator"},
)
miners = Registry(
    "miner behaviours",
    package="agents.miners",
    base="MinerBehaviour",
    about="whether a miner publishes its block, and what it leaves out or replaces",
    key="adversaries.N.miner",
    suite="experiments.conformance.behaviours:MinerConformance",
    listed={"behaviours": "miner"},
)
learners = Registry(
    "learners",
    package="agents.learners",
    base="Learner",
    about="which strategy a rational device plays next",
    key="adversaries.N.learner",
    suite="experiments.conformance.learners:LearnerConformance",
    listed={"behaviours": "learner", "learners": ""},
)
contributors = Registry(
    "contributors",
    package="agents.contributors",
    base="Contributor",
    about="what a contributor to a data market offers, claims and asks, and when",
    key="adversaries.N.contributor",
    suite="experiments.conformance.contributors:ContributorConformance",
    listed={"behaviours": "contributor", "contributors": ""},
)
voters = Registry(
    "voters",
    package="agents.voters",
    base="Voter",
    about="how a participant votes in referenda, and whether it sells or buys votes",
    key="adversaries.N.voter",
    suite="experiments.conformance.voting:VoterConformance",
    listed={"behaviours": "voter", "voters": ""},
)
annotators = Registry(
    "annotators",
    package="agents.annotators",
    base="Annotator",
    about="which tasks an annotator takes, and what it answers",
    key="adversaries.N.annotator",
    suite="experiments.conformance.labelling:AnnotatorConformance",
    listed={"behaviours": "annotator", "annotators": ""},
)
creators = Registry(
    "creators",
    package="agents.creators",
    base="Creator",
    about="which submissions the creator of a task accepts when it decides itself",
    key="labelling.creator",
    suite="experiments.conformance.labelling:CreatorConformance",
    listed={"behaviours": "creator", "creators": ""},
)
engineers = Registry(
    "engineers",
    package="agents.engineers",
    base="Engineer",
    about="whether a model engineer pays for the master model, and which version it submits",
    key="adversaries.N.engineer",
    suite="experiments.conformance.engineers:EngineerConformance",
    listed={"behaviours": "engineer", "engineers": ""},
)
members = Registry(
    "members",
    package="agents.members",
    base="Member",
    about="which versions a member of a collective approves, for what share of the pool",
    key="adversaries.N.member",
    suite="experiments.conformance.approval:MemberConformance",
    listed={"behaviours": "member", "members": ""},
)
clients = Registry(
    "clients",
    package="agents.clients",
    base="Client",
    about="whether a client buys a licence, and what it pays for it",
    key="adversaries.N.client",
    suite="experiments.conformance.licensing:ClientConformance",
    listed={"behaviours": "client", "clients": ""},
)

__all__ = [
    "annotators",
    "clients",
    "contributors",
    "creators",
    "engineers",
    "learners",
    "members",
    "miners",
    "validators",
    "voters",
    "workers",
]

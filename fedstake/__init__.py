"""Fedstake: simulate decentralised federated learning with strategic participants.

    import fedstake as fs

    result = fs.run(fs.load_scenario("digits-quick"), "results/first")
    result.rounds[["round", "accuracy"]]

Whatever a user, a notebook or the author of a plug-in needs is here, and imported when it is first
used. A plug-in needs one line, such as `from fedstake import PayoutRule, Payment, Settlement`.

To add a name, add a line under `if TYPE_CHECKING:`; `__all__` and imports at run time follow it.
The house itself imports from where things are defined; nothing in it imports this file.
"""

from typing import TYPE_CHECKING, Any

from fedstake.lazy import homes

if TYPE_CHECKING:
    from agents.annotators.base import Annotator as Annotator
    from agents.clients.base import Client as Client
    from agents.contributors.base import Contributor as Contributor
    from agents.creators.base import Creator as Creator
    from agents.engineers.base import Engineer as Engineer
    from agents.learners.base import Learner as Learner
    from agents.members.base import Member as Member
    from agents.miners.base import MinerBehaviour as MinerBehaviour
    from agents.validators.base import ValidatorBehaviour as ValidatorBehaviour
    from agents.voters.base import Voter as Voter
    from agents.workers.base import WorkerBehaviour as WorkerBehaviour
    from chain_bridge.errors import BridgeError as BridgeError
    from chain_bridge.evm.witness import EvmOptions as EvmOptions
    from chain_bridge.evm.witness import play_run as play_run
    from chain_bridge.witness import Options as ReplayOptions  # noqa: F401
    from chain_bridge.witness import dry_run as dry_run
    from chain_bridge.witness import replay_run as replay_run
    from experiments.audits.making import audit as audit
    from experiments.bench.making import Benched as Benched
    from experiments.bench.making import bench as bench
    from experiments.conformance.checking import Checked as Checked
    from experiments.conformance.checking import CheckError as CheckError
    from experiments.conformance.checking import check as check
    from experiments.decentralml import DecentralML as DecentralML
    from experiments.kinds import all_kinds as all_kinds
    from experiments.loader import ScenarioError as ScenarioError
    from experiments.loader import load_scenario as load_scenario
    from experiments.loader import preset_names as preset_names
    from experiments.many import RunFailure as RunFailure
    from experiments.many import run_many as run_many
    from experiments.offpolicy import by_mechanism as by_mechanism
    from experiments.offpolicy import compare_payouts as compare_payouts
    from experiments.pool import StoppedError as StoppedError
    from experiments.reports import report as report
    from experiments.results import Results as Results
    from experiments.rundir import RunError as RunError
    from experiments.runner import run as run
    from experiments.runresult import RunResult as RunResult
    from experiments.runresult import open_run as open_run
    from experiments.scorecard.winner import compare as compare
    from experiments.search.drive import search as search
    from experiments.summary import Summary as Summary
    from experiments.sweeps.drive import sweep as sweep
    from experiments.view import RunView as RunView
    from fedstake.errors import FedstakeError as FedstakeError
    from fedstake.errors import InputError as InputError
    from mechanisms.aggregators.base import AggregationRule as AggregationRule
    from mechanisms.approval.base import ApprovalRule as ApprovalRule
    from mechanisms.failures import PluginFailedError as PluginFailedError
    from mechanisms.labelling.base import LabellingRule as LabellingRule
    from mechanisms.licensing.base import LicensingRule as LicensingRule
    from mechanisms.markets.base import MarketRule as MarketRule
    from mechanisms.parts.base import Part as Part
    from mechanisms.payouts.base import PayoutRule as PayoutRule
    from mechanisms.plugin import NoParams as NoParams
    from mechanisms.plugin import Plugin as Plugin
    from mechanisms.plugin import PluginError as PluginError
    from mechanisms.plugin import param as param
    from mechanisms.prediction_fees.base import FeeRule as FeeRule
    from mechanisms.registry import Registry as Registry
    from mechanisms.roles.base import RoleRule as RoleRule
    from mechanisms.split import loss as loss
    from mechanisms.split import part as part
    from mechanisms.split import split as split
    from mechanisms.transforms.base import Transform as Transform
    from mechanisms.validators.base import ValidationRule as ValidationRule
    from mechanisms.verifiers.base import Verifier as Verifier
    from mechanisms.vocabulary import TOKEN as TOKEN
    from mechanisms.vocabulary import UNKNOWN as UNKNOWN
    from mechanisms.vocabulary import Act as Act
    from mechanisms.vocabulary import AggregationObservation as AggregationObservation
    from mechanisms.vocabulary import AnnotatorObservation as AnnotatorObservation
    from mechanisms.vocabulary import ApprovalObservation as ApprovalObservation
    from mechanisms.vocabulary import Ask as Ask
    from mechanisms.vocabulary import Ballot as Ballot
    from mechanisms.vocabulary import BlockObservation as BlockObservation
    from mechanisms.vocabulary import CaptureObservation as CaptureObservation
    from mechanisms.vocabulary import ChoiceObservation as ChoiceObservation
    from mechanisms.vocabulary import Claim as Claim
    from mechanisms.vocabulary import ClientObservation as ClientObservation
    from mechanisms.vocabulary import CoalitionUtility as CoalitionUtility
    from mechanisms.vocabulary import Conduct as Conduct
    from mechanisms.vocabulary import ContributorObservation as ContributorObservation
    from mechanisms.vocabulary import CreatorObservation as CreatorObservation
    from mechanisms.vocabulary import DataObservation as DataObservation
    from mechanisms.vocabulary import Datum as Datum
    from mechanisms.vocabulary import DisputeObservation as DisputeObservation
    from mechanisms.vocabulary import DownloadObservation as DownloadObservation
    from mechanisms.vocabulary import EngineerObservation as EngineerObservation
    from mechanisms.vocabulary import Evaluator as Evaluator
    from mechanisms.vocabulary import HiddenError as HiddenError
    from mechanisms.vocabulary import Judgement as Judgement
    from mechanisms.vocabulary import LabellingObservation as LabellingObservation
    from mechanisms.vocabulary import LicenceObservation as LicenceObservation
    from mechanisms.vocabulary import MarketMemory as MarketMemory
    from mechanisms.vocabulary import MemberObservation as MemberObservation
    from mechanisms.vocabulary import MemberVote as MemberVote
    from mechanisms.vocabulary import Memory as Memory
    from mechanisms.vocabulary import MiningDecision as MiningDecision
    from mechanisms.vocabulary import MiningObservation as MiningObservation
    from mechanisms.vocabulary import Observation as Observation
    from mechanisms.vocabulary import Offer as Offer
    from mechanisms.vocabulary import Offering as Offering
    from mechanisms.vocabulary import OpeningObservation as OpeningObservation
    from mechanisms.vocabulary import ParameterSlot as ParameterSlot
    from mechanisms.vocabulary import Payment as Payment
    from mechanisms.vocabulary import ProviderObservation as ProviderObservation
    from mechanisms.vocabulary import Purchase as Purchase
    from mechanisms.vocabulary import Query as Query
    from mechanisms.vocabulary import Refused as Refused
    from mechanisms.vocabulary import Role as Role
    from mechanisms.vocabulary import RoleObservation as RoleObservation
    from mechanisms.vocabulary import RowEvaluator as RowEvaluator
    from mechanisms.vocabulary import RowTest as RowTest
    from mechanisms.vocabulary import Settlement as Settlement
    from mechanisms.vocabulary import Stage as Stage
    from mechanisms.vocabulary import Submission as Submission
    from mechanisms.vocabulary import TakingObservation as TakingObservation
    from mechanisms.vocabulary import Tally as Tally
    from mechanisms.vocabulary import Terms as Terms
    from mechanisms.vocabulary import TimingObservation as TimingObservation
    from mechanisms.vocabulary import UpdateRecord as UpdateRecord
    from mechanisms.vocabulary import ValidationObservation as ValidationObservation
    from mechanisms.vocabulary import VerificationObservation as VerificationObservation
    from mechanisms.vocabulary import VoteObservation as VoteObservation
    from mechanisms.vocabulary import VoterObservation as VoterObservation
    from mechanisms.vocabulary import WorkerObservation as WorkerObservation
    from mechanisms.voting.base import VotingRule as VotingRule
    from sim.charts import Chart as Chart
    from sim.data.sources.base import DataError as DataError
    from sim.data.sources.base import Dataset as Dataset
    from sim.data.sources.base import DatasetSource as DatasetSource
    from sim.kernel import Kernel as Kernel
    from sim.keys import Chosen as Chosen
    from sim.keys import SettingError as SettingError
    from sim.learning.architectures.base import ModelSource as ModelSource
    from sim.notes import Approval as Approval
    from sim.notes import Note as Note
    from sim.notes import Versions as Versions
    from sim.online.base import OnlineModel as OnlineModel
    from sim.population.utility import Stakes as Stakes
    from sim.protocol import Outcome as Outcome
    from sim.protocol import Protocol as Protocol
    from sim.protocol import Tape as Tape
    from sim.recording import BYTES as BYTES
    from sim.recording import CORE as CORE
    from sim.recording import INTEGER as INTEGER
    from sim.recording import INTEGERS as INTEGERS
    from sim.recording import NUMBER as NUMBER
    from sim.recording import TEXT as TEXT
    from sim.recording import TRUTH as TRUTH
    from sim.recording import Column as Column
    from sim.recording import Table as Table
    from sim.scenario import Scenario as Scenario
    from sim.scenario import scenario_of as scenario_of
    from sim.settings import Amount as Amount
    from sim.settings import Count as Count
    from sim.settings import Deadline as Deadline
    from sim.settings import Finite as Finite
    from sim.settings import Group as Group
    from sim.settings import MoneySettings as MoneySettings
    from sim.settings import Natural as Natural
    from sim.settings import NonNegative as NonNegative
    from sim.settings import Parameters as Parameters
    from sim.settings import Probability as Probability
    from sim.settings import RationalGroup as RationalGroup
    from sim.settings import Settings as Settings
    from sim.training.protocol import TrainingProtocol as TrainingProtocol
    from sim.training.scenario import TrainingScenario as TrainingScenario
    from sim.training.settings import VotingGroup as VotingGroup
    from sim.training.settings import WorkerGroup as WorkerGroup

__all__ = list(homes(__name__))


def __getattr__(name: str) -> Any:
    """Import a public name on first use and keep it."""
    home = homes(__name__).get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = home.load()
    return value


def __dir__() -> list[str]:
    return __all__

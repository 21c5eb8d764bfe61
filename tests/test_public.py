"""`import fedstake`: exactly what it offers, cheaply, and the same in the house and outside."""

import subprocess
import sys
from pathlib import Path

import pytest

import experiments
import fedstake

HOUSE = Path(__file__).parents[1]
PUBLIC = [
    "Act",
    "AggregationObservation",
    "AggregationRule",
    "Amount",
    "Annotator",
    "AnnotatorObservation",
    "Approval",
    "ApprovalObservation",
    "ApprovalRule",
    "Ask",
    "BYTES",
    "Ballot",
    "Benched",
    "BlockObservation",
    "BridgeError",
    "CORE",
    "CaptureObservation",
    "Chart",
    "CheckError",
    "Checked",
    "ChoiceObservation",
    "Chosen",
    "Claim",
    "Client",
    "ClientObservation",
    "CoalitionUtility",
    "Column",
    "Conduct",
    "Contributor",
    "ContributorObservation",
    "Count",
    "Creator",
    "CreatorObservation",
    "DataError",
    "DataObservation",
    "Dataset",
    "DatasetSource",
    "Datum",
    "Deadline",
    "DecentralML",
    "DisputeObservation",
    "DownloadObservation",
    "Engineer",
    "EngineerObservation",
    "Evaluator",
    "EvmOptions",
    "FedstakeError",
    "FeeRule",
    "Finite",
    "Group",
    "HiddenError",
    "INTEGER",
    "INTEGERS",
    "InputError",
    "Judgement",
    "Kernel",
    "LabellingObservation",
    "LabellingRule",
    "Learner",
    "LicenceObservation",
    "LicensingRule",
    "MarketMemory",
    "MarketRule",
    "Member",
    "MemberObservation",
    "MemberVote",
    "Memory",
    "MinerBehaviour",
    "MiningDecision",
    "MiningObservation",
    "ModelSource",
    "MoneySettings",
    "NUMBER",
    "Natural",
    "NoParams",
    "NonNegative",
    "Note",
    "Observation",
    "Offer",
    "Offering",
    "OnlineModel",
    "OpeningObservation",
    "Outcome",
    "ParameterSlot",
    "Parameters",
    "Part",
    "Payment",
    "PayoutRule",
    "Plugin",
    "PluginError",
    "PluginFailedError",
    "Probability",
    "Protocol",
    "ProviderObservation",
    "Purchase",
    "Query",
    "RationalGroup",
    "Refused",
    "Registry",
    "ReplayOptions",
    "Results",
    "Role",
    "RoleObservation",
    "RoleRule",
    "RowEvaluator",
    "RowTest",
    "RunError",
    "RunFailure",
    "RunResult",
    "RunView",
    "Scenario",
    "ScenarioError",
    "SettingError",
    "Settings",
    "Settlement",
    "Stage",
    "Stakes",
    "StoppedError",
    "Submission",
    "Summary",
    "TEXT",
    "TOKEN",
    "TRUTH",
    "Table",
    "TakingObservation",
    "Tally",
    "Tape",
    "Terms",
    "TimingObservation",
    "TrainingProtocol",
    "TrainingScenario",
    "Transform",
    "UNKNOWN",
    "UpdateRecord",
    "ValidationObservation",
    "ValidationRule",
    "ValidatorBehaviour",
    "VerificationObservation",
    "Verifier",
    "Versions",
    "VoteObservation",
    "Voter",
    "VoterObservation",
    "VotingGroup",
    "VotingRule",
    "WorkerBehaviour",
    "WorkerGroup",
    "WorkerObservation",
    "all_kinds",
    "audit",
    "bench",
    "by_mechanism",
    "check",
    "compare",
    "compare_payouts",
    "dry_run",
    "load_scenario",
    "loss",
    "open_run",
    "param",
    "part",
    "play_run",
    "preset_names",
    "replay_run",
    "report",
    "run",
    "run_many",
    "scenario_of",
    "search",
    "split",
    "sweep",
]


def test_what_is_public():
    assert fedstake.__all__ == PUBLIC == sorted(PUBLIC)
    assert dir(fedstake) == fedstake.__all__


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_is_the_thing_itself(name):
    from fedstake.lazy import homes

    home = homes("fedstake")[name]
    thing = getattr(fedstake, name)
    assert thing is getattr(sys.modules[home.module], home.name)
    # Where it is defined, so that a class is pickled and documented under its own name.
    module = getattr(thing, "__module__", home.module)
    made_of_others = {"Memory", "Amount", "Count", "Deadline", "Finite", "Natural", "NonNegative"}
    made_of_others |= {"Parameters", "Probability", "Act", "MarketMemory", "RowTest", "Terms"}
    assert name in made_of_others or module.split(".")[0] == home.module.split(".")[0]


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        fedstake.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        experiments.nothing  # noqa: B018


def test_experiments_offers_the_names_that_are_defined_there():
    assert dir(experiments) == experiments.__all__
    for name in experiments.__all__:
        assert getattr(experiments, name) is getattr(fedstake, name)
    assert {"Results", "load_scenario", "run", "sweep"} <= {*experiments.__all__}


def python(code, *path):
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(map(str, (HOUSE, *path))), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize("statement", ["import fedstake", "from fedstake import PayoutRule, param"])
def test_importing_is_cheap(statement):
    code = f"{statement}; import sys; print({{'torch', 'pandas', 'pytest'}} & {{*sys.modules}})"
    assert python(code) == "set()"


def test_a_plug_in_needs_one_import_and_may_come_first(tmp_path):
    """An installed module, imported before anything of the house, and loaded by a registry."""
    (tmp_path / "theirs.py").write_text((HOUSE / "tests" / "plugins" / "generous.py").read_text())
    first = "import theirs; print(theirs.Generous.configure({}).params.amount)"
    assert python(first, tmp_path) == "5"
    code = (
        "from mechanisms.registries import payouts;"
        f"print(payouts.get({str(tmp_path / 'theirs.py')!r} + ':Generous').name)"
    )
    assert python(code) == "generous"


def test_it_is_typed():
    assert (HOUSE / "fedstake" / "py.typed").is_file()

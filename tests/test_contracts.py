"""A plug-in of any kind that fails or breaks its contract stops the run in one line that names it.

Every method that a plug-in defines for the house is here: it raises, and it gives back what it may
not. A kind or a method that is missing fails the last test.
"""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from experiments.kinds import all_kinds
from experiments.many import execute
from experiments.reports import report
from experiments.runner import run
from fedstake.errors import InputError
from mechanisms.failures import PluginFailedError
from mechanisms.plugin import PluginError
from mechanisms.registries import payouts
from sim.registries import protocols
from sim.scenario import scenario_of
from sim.world import World

DEVICE = ", device"
COORDINATED = {"preset": "coordinator"}
TRADED = {"preset": "market"}
SHARED = {"preset": "collective"}
LABELLED = {"preset": "annotation"}


class Case(NamedTuple):
    """A method of a kind of plug-in: answers that it may not give, and what the message says.

    `base` is the class that the plug-in inherits from, `who` what is said of devices, `keys` the
    scenario under which the method is called.
    """

    kind: str
    base: str
    method: str
    wrong: dict[str, str]
    who: str = ""
    keys: Mapping[str, Any] = MappingProxyType({})

    def __str__(self):
        return f"{self.kind}-{self.method}"


def settled(kind, base, method, **keys):
    wrong = {"[1]": "must return a Settlement, returned a list", "None": "returned None"}
    wrong["Settlement((1,))"] = "payments hold an int, must be Payment"
    wrong["Settlement((Payment(0, 0.5, 'x'),))"] = "pays 0.5, must be an integer"
    wrong["Settlement((), {'a': (1,)})"] = "remembers what JSON changes"
    return Case(kind, base, method, wrong, keys=keys)


FLAT, PART = "mechanisms.payouts.flat:Flat", "mechanisms.parts.base:Part"
WORKER = "agents.workers.honest:Honest"
VALIDATOR = "agents.validators.honest:Honest"
MINER = "agents.miners.honest:Honest"
REPORTS = {"payout__mechanism": "cosine", "payout__params": {"to": "committee"}}
DEPOSITS = "mechanisms.markets.deposit_refund_take:DepositRefundTake"
PAIR = "must return None or a pair (x, y), returned a list"
CASES = [
    settled("mechanisms", FLAT, "settle"),
    settled("mechanisms", FLAT, "open"),
    settled("mechanisms", FLAT, "close"),
    Case(
        "mechanisms", FLAT, "accounts", {"[]": "must return a mapping", "{'a': 0.5}": "gives 'a'"}
    ),
    Case("mechanisms", FLAT, "members", {"[0]": "must return a frozenset of devices"}),
    Case("mechanisms", FLAT, "locked", {"None": "must return a mapping"}, keys={"rounds": 2}),
    Case("mechanisms", FLAT, "aggregators", {"[0]": "must return a frozenset"}, keys=COORDINATED),
    settled("parts", PART, "settle"),
    settled("parts", PART, "close"),
    Case("parts", PART, "rejects", {"[0]": "must return a frozenset", "None": "returned None"}),
    Case(
        "verifiers",
        "mechanisms.verifiers.oracle:Oracle",
        "verdicts",
        {"None": "must return bool[1, ", "np.ones((1, 2), int)": "not int64[1, 2]"},
        keys=COORDINATED,
    ),
    Case(
        "verifiers",
        "mechanisms.verifiers.oracle:Oracle",
        "verify_s",
        {"-1.0": "must give seconds, 0 or more, gave -1.0"},
        keys=COORDINATED,
    ),
    Case(
        "roles",
        "mechanisms.roles.counts:Counts",
        "assign",
        {
            "[]": "must return a role for each device, returned a list",
            "{}": "device 0 gets no role",
            "dict.fromkeys(seen.eligible, 'worker')": "gets 'worker', must be a Role",
        },
    ),
    Case("roles", "mechanisms.roles.counts:Counts", "minimum", {"[1]": "three integers"}),
    Case(
        "validators",
        "mechanisms.validators.threshold:Threshold",
        "verdicts",
        {"None": "must return bool[", "seen.update_accuracies": "not float64["},
        DEVICE,
    ),
    Case(
        "validators",
        "mechanisms.validators.threshold:Threshold",
        "baseline_epochs",
        {"0.5": "must give an integer of at least -1, gave 0.5"},
    ),
    Case(
        "aggregators",
        "mechanisms.aggregators.mean:Mean",
        "combine",
        {"None": "must return float[", "seen.updates": "must return float["},
    ),
    Case(
        "transforms",
        "mechanisms.transforms.norm_clipping:NormClipping",
        "apply",
        {
            "None": "must return float[",
            "seen.updates[:, :2]": "not float32[",
            "seen.updates * np.nan": "must return finite numbers",
        },
    ),
    Case(
        "worker behaviours",
        WORKER,
        "submit",
        {
            "None": "must return a Submission, returned None",
            "Submission(seen.updates[:, :5], seen.samples, seen.epochs)": "updates must be float",
            "Submission('text', seen.samples, seen.epochs)": "updates must be float[2, ",
            "Submission(seen.updates.astype(int), seen.samples, seen.epochs)": "not int64[2, ",
            "Submission(seen.updates, seen.samples * 1.5, seen.epochs)": "claimed_samples must be",
            "Submission(seen.updates, seen.samples, seen.epochs[:1])": "claimed_epochs must be",
            "Submission(seen.updates, seen.samples, seen.epochs, forged=1)": "forged must be",
            "Submission(seen.updates, seen.samples, seen.epochs, revealed=0)": "revealed must be",
        },
        DEVICE,
    ),
    Case("worker behaviours", WORKER, "effort", {"1.5": "gave 1.5", "-1": "gave -1", "None": ""}),
    Case(
        "worker behaviours",
        WORKER,
        "poison",
        {
            "[1]": PAIR,
            "(seen.x, seen.y + 99)": "y must be labels in 0..2",
            "(seen.x[0], seen.y)": "",
        },
        DEVICE,
    ),
    Case(
        "worker behaviours", WORKER, "probe", {"[1]": PAIR, "(seen.y, seen.y)": "x must be float["}
    ),
    Case(
        "validator behaviours",
        VALIDATOR,
        "vote",
        {
            "None": "must return bool[",
            "np.ones(99, bool)": "not bool[99]",
            "seen.verdicts.astype(int)": "not int64[",
        },
        DEVICE,
    ),
    Case(
        "validator behaviours",
        VALIDATOR,
        "report",
        {"None": "must return float[", "np.ones(99)": "not float64[99]"},
        DEVICE,
        REPORTS,
    ),
    Case("validator behaviours", VALIDATOR, "price", {"0.5": "gave 0.5"}),
    Case(
        "miner behaviours",
        MINER,
        "mine",
        {
            "None": "must return a MiningDecision, returned None",
            "MiningDecision(publish=1)": "publish must be True or False, not 1",
            "MiningDecision(censored=frozenset({99}))": "names worker 99, which has no update",
            "MiningDecision(censored=[])": "censored must be a set, not a list",
            "MiningDecision(replaced={seen.records[0].worker: np.ones(3)})": "not float64[3]",
        },
        DEVICE,
    ),
    Case("miner behaviours", MINER, "challenges", {"None": "a bool"}, DEVICE, COORDINATED),
    Case(
        "learners",
        "agents.learners.imitation:Imitation",
        "choose",
        {"2": "chose strategy 2, there are 0..1", "0.5": "gave 0.5", "None": "gave None"},
        DEVICE,
    ),
    Case(
        "markets",
        DEPOSITS,
        "add",
        {
            "given[1].offer + 1": "must return 0 to",
            "1.5": "returned 1.5",
            "None": "returned None",
            "Refused('')": "or Refused with a reason",
        },
        keys=TRADED,
    ),
    Case("markets", DEPOSITS, "refund", {"-1": "returned -1", "'x'": "or Refused"}, keys=TRADED),
    Case("markets", DEPOSITS, "report", {"10**12": "must return 0 to"}, keys=TRADED),
    Case("markets", DEPOSITS, "price", {"-1": "gave -1", "None": "gave None"}, keys=TRADED),
    Case("markets", DEPOSITS, "standing", {"{99: 1}": "names device 99"}, keys=TRADED),
    Case("markets", DEPOSITS, "locked", {"{0: 0.5}": "gives 0 0.5", "None": "None"}, keys=TRADED),
    Case("markets", DEPOSITS, "accounts", {"{'escrow:a': -1}": "gives 'escrow:a' -1"}, keys=TRADED),
    Case("markets", DEPOSITS, "deadline_s", {"None": "gave None"}, keys=TRADED),
    Case(
        "markets",
        DEPOSITS,
        "advance",
        {
            "None": "must return payments, returned None",
            "(1,)": "returns an int, must be Payment",
            "(Payment(0, 1, 'x'),)": "pays from 'issuance'",
            "(Payment('nobody', 1, 'x', 'escrow:market'),)": "pays 'nobody'",
            "(Payment(0, 10**18, 'x', 'escrow:market'),)": "escrow:market holds",
        },
        keys=TRADED,
    ),
    Case(
        "prediction fees",
        "mechanisms.prediction_fees.free:FreePredictions",
        "shares",
        {
            "{0: given[0], 1: 1}": "were paid",
            "{0: 0.5}": "gives 0 0.5",
            "{-1: 1}": "names device -1",
            "None": "returned None",
        },
        keys=TRADED,
    ),
    Case(
        "contributors",
        "agents.contributors.honest:Honest",
        "act",
        {
            "7": "must return an Offer, a Query or None, returned 7",
            "Offer(2, 1)": "labels are 0..1",
            "Offer(0, 0.5)": "pays 0.5",
            "Offer(0, 1, 10**6)": "offers row 1000000",
            "Query(-1)": "pays -1",
        },
        DEVICE,
        keys=TRADED,
    ),
    Case(
        "approval rules",
        "mechanisms.approval.members:MOfN",
        "approves",
        {"None": "must return a bool, returned None", "1": "returned an int"},
        keys=SHARED,
    ),
    Case(
        "approval rules",
        "mechanisms.approval.members:MOfN",
        "reward",
        {"10**9": "there are 60000", "0.5": "gave 0.5", "-1": "gave -1"},
        keys=SHARED,
    ),
    Case(
        "licensing rules",
        "mechanisms.licensing.trust:Trust",
        "licenses",
        {"None": "must return a bool, returned None"},
        keys=SHARED,
    ),
    Case(
        "licensing rules",
        "mechanisms.licensing.trust:Trust",
        "audits",
        {"0": "must return a bool, returned an int"},
        keys=SHARED,
    ),
    Case(
        "engineers",
        "agents.engineers.honest:Honest",
        "submit",
        {
            "7": "must return float[",
            "seen.trained[:3]": "not float32[3]",
            "seen.trained.astype(int)": "not int64[",
        },
        DEVICE,
        keys=SHARED,
    ),
    Case("engineers", "agents.engineers.honest:Honest", "downloads", {"1": "a bool"}, keys=SHARED),
    Case("engineers", "agents.engineers.honest:Honest", "effort", {"-1": "gave -1"}, keys=SHARED),
    Case("engineers", "agents.engineers.honest:Honest", "poison", {"[1]": PAIR}, keys=SHARED),
    Case(
        "members",
        "agents.members.honest:Honest",
        "vote",
        {
            "True": "must return a MemberVote, returned a bool",
            "MemberVote(1)": "must return a bool",
            "MemberVote(True, 2.0)": "share must be a number in 0..1, it is 2.0",
        },
        DEVICE,
        keys=SHARED,
    ),
    Case(
        "clients",
        "agents.clients.honest:Honest",
        "offer",
        {"0.5": "gave 0.5", "-1": "gave -1", "10**9": "offers 1000000000 base units, it holds"},
        DEVICE,
        keys=SHARED,
    ),
    Case(
        "voters",
        "agents.voters.honest:Honest",
        "vote",
        {
            "True": "must return a Ballot, returned a bool",
            "Ballot(1)": "must return a bool, returned an int",
            "Ballot(True, 10**9)": "stakes 1000000000 base units, it can lock",
            "Ballot(True, 0, 7)": "conviction must be 0 to 6, it is 7",
        },
        DEVICE,
        keys=SHARED,
    ),
    Case(
        "voters",
        "agents.voters.bought:Bought",
        "told",
        {"Ballot(True, -1)": "gave -1"},
        DEVICE,
        keys=SHARED,
    ),
    Case(
        "voters",
        "agents.voters.bought:Bought",
        "price",
        {"0.5": "gave 0.5", "-1": "gave -1"},
        DEVICE,
        keys=SHARED,
    ),
    Case(
        "voters",
        "agents.voters.capturer:Capturer",
        "buy",
        {
            "None": "must return purchases, returned None",
            "[0]": "must return a Purchase, returned an int",
            "[Purchase(99, 1)]": "buys of device 99, which sells nothing or sold it before",
        },
        DEVICE,
        keys=SHARED,
    ),
    *(
        Case(
            "voting rules",
            "mechanisms.voting.members:OneMemberOneVote",
            method,
            {"0.5": "gave 0.5", "-1": "gave -1"},
            keys=SHARED,
        )
        for method in ("votes", "support", "electorate")
    ),
    Case(
        "voting rules",
        "mechanisms.voting.members:OneMemberOneVote",
        "lock_s",
        {"-1.0": "must give seconds, 0 or more, gave -1.0"},
        keys=SHARED,
    ),
    Case(
        "labelling",
        "mechanisms.labelling.majority:Majority",
        "judge",
        {
            "[1]": "must return a Judgement, returned a list",
            "Judgement(np.ones(3), seen.answers[0], np.ones(20))": "scores must be float[5, 20]",
            "Judgement(seen.answers * np.nan, seen.answers[0], np.ones(20))": "must be finite",
            "Judgement(seen.answers * 1.0, seen.answers[0] + 9, np.ones(20))": "labels must be in",
            "Judgement(seen.answers * 1.0, seen.answers[0], np.ones(20) * 2)": "weights must be in",
            "Judgement(seen.answers * 1.0, seen.answers[0], np.ones(20), {1: 2})": "JSON changes",
        },
        keys=LABELLED,
    ),
    Case(
        "annotators",
        "agents.annotators.honest:Honest",
        "answer",
        {
            "[0]": "must return int[20], not int64[1]",
            "np.zeros(20)": "must return int[20], not float64[20]",
            "seen.questions + 99": "must return labels in 0..2",
        },
        DEVICE,
        keys=LABELLED,
    ),
    Case(
        "annotators",
        "agents.annotators.honest:Honest",
        "take",
        {"-1": "gave -1", "3": "takes 3 tasks, at most 2", "'x'": "gave 'x'"},
        DEVICE,
        keys=LABELLED,
    ),
    Case(
        "annotators",
        "agents.annotators.honest:Honest",
        "effort",
        {"2": "must give a number in 0..1, gave 2", "None": "gave None"},
        DEVICE,
        keys=LABELLED,
    ),
    Case(
        "annotators",
        "agents.annotators.honest:Honest",
        "skill",
        {"-0.5": "must give a number in 0..1, gave -0.5", "True": "gave True"},
        keys=LABELLED,
    ),
    Case(
        "creators",
        "agents.creators.honest:Honest",
        "accept",
        {
            "None": "must return bool[5], not None",
            "[True]": "must return bool[5], not bool[1]",
            "np.ones(5)": "must return bool[5], not float64[5]",
        },
        keys=LABELLED,
    ),
]
HEAD = """import numpy as np
from mechanisms.vocabulary import *
from {module} import {base}
class Bad({base}):
    name = summary = reference = "bad"
{decorator}    def {method}(self, *given, **named):
        seen = given[0] if given else None
        {body}
"""


def market(case, name):
    """Return a market of a plug-in: a caller asks the model, and a griefer looks at the price."""
    keys = {**protocols.get("market").example(), "rounds": 1}
    others = [("caller", "caller"), ("griefer", "griefer")]
    if case.kind == "contributors":
        others = [("bad", name)]
    keys["adversaries"] = [
        {"name": group, "count": 1, "contributor": behaviour} for group, behaviour in others
    ]
    own = {"markets": {"rule": name}, "prediction fees": {"fees": name}}
    keys["market"] = {**keys["market"], **own.get(case.kind, {})}
    return scenario_of(keys)


def collective(case, name):
    """Return a collective in which a plug-in decides."""
    keys = {**protocols.get("collective").example(), "rounds": 1}
    tables = {
        "approval rules": {"approval": {"rule": name}},
        "licensing rules": {"licences": {"rule": name}},
        "voting rules": {"referenda": {**keys["referenda"], "rule": name}},
    }
    keys |= tables.get(case.kind, {})
    if case.kind not in tables:
        role = case.kind.removesuffix("s")
        keys["adversaries"] = [{"name": "bad", "devices": [*range(9)], role: name}]
    if case.kind == "approval rules":
        keys["adversaries"] = [{"name": "lazy", "devices": [0, 1, 2], "member": "lazy"}]
    return scenario_of(keys)


def is_property(case):
    """Return whether what is replaced is a property or an attribute, and no method."""
    module, _, base = case.base.partition(":")
    return not callable(getattr(getattr(import_module(module), base), case.method))


def scenario(tiny, tmp_path, case, body):
    """Return a scenario in which the method of a plug-in is called."""
    module, _, base = case.base.partition(":")
    path = tmp_path / "bad.py"
    text = HEAD.format(
        module=module,
        base=base,
        decorator="    @property\n" if is_property(case) else "",
        method=case.method,
        body=body,
    )
    path.write_text(text)
    keys = {"rounds": 1, **case.keys}
    name = f"{path}:Bad"
    if case.keys is TRADED:
        return market(case, name)
    if case.keys is SHARED:
        return collective(case, name)
    everybody = {"name": "bad", "devices": [0, 1, 2, 3, 4, 5, 6, 7]}
    match case.kind:
        case "mechanisms":
            keys["payout__mechanism"] = name
        case "parts":
            keys["payout__parts"] = [{"part": name}]
        case "verifiers":
            keys["coordinator__verifier"] = name
        case "roles":
            keys["roles__rule"] = name
        case "validators":
            keys["validation__rule"] = name
        case "aggregators":
            keys["aggregation__rule"] = name
        case "transforms":
            keys["aggregation__before"] = [{"rule": name}]
        case "learners":
            strategies = [{"worker": "honest"}, {"worker": "sign-flip"}]
            keys["adversaries"] = [{**everybody, "strategies": strategies, "learner": name}]
        case "labelling":
            keys["labelling__rule"] = name
        case "creators":
            keys |= {"labelling__acceptance": "manual", "labelling__creator": name}
        case "annotators":
            keys["adversaries"] = [{**everybody, "annotator": name}]
        case "worker behaviours" if case.method == "submit":
            # Everybody else validates or mines.
            keys |= {"adversaries": [{**everybody, "worker": name}]}
            keys |= {"roles__params": {"counts": "2,3,3"}}
        case _:
            role = case.kind.split()[0]
            keys["adversaries"] = [{**everybody, role: name}]
    if keys.get("preset") == "coordinator":
        keys.setdefault("payout__mechanism", "coordinator")
        keys["payout__initial_balance"] = 5_000_000
        keys["coordinator__watch"] = 1.0
        keys["coordinator__params"] = {} if case.kind == "verifiers" else {"size": 3, "error": 0.05}
    return tiny(keys.pop("preset", "vbfl"), **keys)


def play(scenario):
    world = World(scenario)
    for _ in world.run():
        pass


BEFORE = {"minimum", "accounts", "price", "poison"}
"""Methods that are asked before a round is played, when the scenario is checked."""


@pytest.mark.parametrize("case", CASES, ids=str)
class TestEveryMethod:
    def test_what_it_raises_is_told_with_its_place(self, tiny, tmp_path, case):
        with pytest.raises(PluginFailedError) as raised:
            play(scenario(tiny, tmp_path, case, "raise KeyError('missing')"))
        message = str(raised.value)
        line = 8 + is_property(case)
        assert message.startswith(f"bad.py:{line} in Bad.{case.method}"), message
        assert "round 1" in message or case.method in BEFORE
        assert message.endswith(": KeyError: 'missing'")
        assert case.who in message
        assert type(raised.value.__cause__) is KeyError

    def test_what_it_may_not_give_back_stops_the_run(self, tiny, tmp_path, case):
        for answer, expected in case.wrong.items():
            with pytest.raises(PluginFailedError) as raised:
                play(scenario(tiny, tmp_path, case, f"return {answer}"))
            message = str(raised.value)
            assert f" in Bad.{case.method}" in message, answer
            assert expected in message, answer
            assert message.startswith("bad.py:"), answer
            assert "NoParams" not in message


def test_every_kind_and_every_method_that_it_must_define_is_here():
    tried = {(case.kind, case.method) for case in CASES}
    elsewhere = {"datasets", "models", "online models", "protocols", "protocol", "data sets"}
    for registry in all_kinds():
        if registry.kind in elsewhere or registry.package.startswith(("tests", "fedstake_plugin")):
            continue
        for method in registry.base.__abstractmethods__:
            assert (registry.kind, method) in tried, f"{registry.kind}: {method}"


class TestFailures:
    """What a failed run says from Python, in a sweep's record, and to whoever compares rules."""

    def failing(self, tiny, tmp_path, body="raise KeyError('missing')"):
        return scenario(tiny, tmp_path, CASES[0], body)

    def test_python_keeps_the_cause(self, tiny, tmp_path):
        with pytest.raises(PluginFailedError) as raised:
            run(self.failing(tiny, tmp_path), tmp_path / "out")
        assert str(raised.value.__cause__) == "'missing'"
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        "kind", ["OSError", "KeyboardInterrupt", "GeneratorExit", "SystemExit"]
    )
    def test_a_run_of_many_is_a_failure_of_its_own(self, tiny, tmp_path, kind):
        failed = execute(self.failing(tiny, tmp_path, f"raise {kind}"), tmp_path, None)
        assert failed.stage == "round 1"
        assert failed.error == f"bad.py:8 in Bad.settle, round 1: {kind}"
        lines = failed.traceback.strip().splitlines()
        assert lines[-1] == kind
        assert 'bad.py", line 8, in settle' in lines[-3], "it ends in the frame of the plug-in"

    def test_what_the_ledger_refuses_names_the_rule(self, tiny, tmp_path):
        pays = "return Settlement((Payment(1, 500, 'x', 'escrow:pool'),))"
        pays += "\n    def accounts(self): return {'escrow:pool': 100}"
        message = r"^bad.py:6 in Bad.settle, round 1: escrow:pool holds 100 STAKE, cannot pay"
        with pytest.raises(PluginFailedError, match=message):
            play(self.failing(tiny, tmp_path, pays))

    def test_the_part_at_fault_is_named(self, tiny, tmp_path):
        body = "return Settlement((*given[1], Payment(99, 1, 'x')))"
        with pytest.raises(
            PluginFailedError, match=r"bad.py:6 in Bad.settle, round 1: pays device"
        ):
            play(scenario(tiny, tmp_path, next(c for c in CASES if c.kind == "parts"), body))

    def test_a_constructor_that_fails_is_a_wrong_input(self, tmp_path):
        path = tmp_path / "bad.py"
        path.write_text(
            "from mechanisms.payouts.flat import Flat\n"
            "class Bad(Flat):\n"
            "    name = 'bad'\n"
            "    def __init__(self, params=None):\n"
            "        raise KeyError('x')\n"
        )
        with pytest.raises(PluginError, match=r"^bad.py:5 in Bad.__init__: KeyError: 'x'$"):
            payouts.create(f"{path}:Bad")

    def test_a_rule_without_a_name_is_refused(self, tmp_path):
        path = tmp_path / "bad.py"
        path.write_text(
            "from mechanisms.payouts.base import PayoutRule\n"
            "class Bad(PayoutRule):\n"
            "    def settle(self, seen):\n"
            "        return None\n"
        )
        with pytest.raises(InputError, match="has no name; give the class one, as name = 'mine'"):
            payouts.create(f"{path}:Bad")

    def test_nan_is_a_strategy_that_the_summary_tells(self, tiny, tmp_path):
        case = next(c for c in CASES if c.method == "submit")
        body = "return Submission(seen.updates * np.nan, seen.samples, seen.epochs)"
        result = run(scenario(tiny, tmp_path, case, body), tmp_path / "out")
        told_of = result.summary().values
        assert told_of["updates malformed"] == "2 (behaviour bad)"
        assert "2 (behaviour bad)" in report(result).read_text()

    def test_a_run_without_any_says_nothing_of_them(self, tiny, tmp_path):
        result = run(tiny(rounds=1, adversaries=[]), tmp_path / "out")
        assert "updates malformed" not in result.summary().values

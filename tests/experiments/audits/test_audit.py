"""Audits of rules in a game that can be solved with a pencil: false alarms, exploits, the page."""

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import tomli_w
from typer.testing import CliRunner

from chain_bridge.errors import BridgeError
from experiments import confidence
from experiments.audits.audit import DOSE, Auditor
from experiments.audits.page import answer, claims_frame
from experiments.audits.portrait import Fault
from experiments.audits.question import DEVIANT, ask
from experiments.audits.race import Entry, Finding, Judge, Race, gain_of_members
from experiments.audits.settings import CLAIMS, AuditSettings
from experiments.cli import app
from experiments.confidence import Bound
from experiments.loader import ScenarioError
from fedstake.errors import InputError
from mechanisms.plugin import PluginError
from mechanisms.registry import Registry, reading
from sim.keys import SettingError
from sim.scenario import SCHEMA_VERSION, scenario_of

FORECAST = Path(__file__).parents[2] / "plugins" / "forecast.py"
SCENARIO = """
name = "forecast"
protocol = "forecast.py:Forecast"
rounds = 6
devices = 4
"""
KNOWN = np.array([0.1, 0.3, 0.5, 0.7, 0.9])
REPORTS = {"sure": lambda p: (p >= 0.5) * 1.0, "shy": lambda p: p + 0.5 * (0.5 - p),
           "contrary": lambda p: 1 - p}  # fmt: skip
SCORES = {
    "quadratic": lambda r, e: 1 - (r - e) ** 2,
    "linear": lambda r, e: 1 - np.abs(r - e),
}
ROUNDS, DEVICES, UNIT = 6, 4, 1_000


@pytest.fixture
def place(tmp_path, monkeypatch, register):
    """A folder with the game and a scenario of it; commands run there."""
    shutil.copy(FORECAST, tmp_path / "forecast.py")
    (tmp_path / "forecast.toml").write_text(SCENARIO)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fedstake(*words, code=0):
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == code, result.output
    return result.output


def sampler(rule, repetition):
    """Play the game of `forecast.py` in arrays: the same events for all variants of a seed."""

    def sample(variants, seeds):
        parts = {"variant": [], "seed": [], "device": [], "group": [], "paid": []}
        for name, keys in variants.items():
            for seed in seeds:
                rng = np.random.default_rng([repetition, seed])
                known = rng.choice(KNOWN, (ROUNDS, DEVICES))
                happened = rng.random((ROUNDS, DEVICES)) < known
                reports, deviant = known.copy(), -1
                for group in keys["adversaries"]:
                    deviant = int(np.random.default_rng([repetition, seed, 1]).integers(DEVICES))
                    # One that deviates in another way, as by staying away, reports the truth.
                    report = REPORTS.get(group.get("reporter"), np.copy)
                    reports[:, deviant] = report(known[:, deviant])
                paid = np.round(UNIT * SCORES[rule](reports, happened)).sum(axis=0)
                parts["variant"] += [name] * DEVICES
                parts["seed"] += [seed] * DEVICES
                parts["device"] += range(DEVICES)
                parts["group"] += [DEVIANT if d == deviant else "honest" for d in range(DEVICES)]
                parts["paid"] += paid.tolist()
        return pd.DataFrame(parts)

    return sample


def verdicts(rule, repetition, epsilon, budget=240):
    """Race the three deviations of the game against honesty."""
    variants = {name: {"adversaries": [{"reporter": name}]} for name in REPORTS}
    measure = gain_of_members(DEVIANT)
    entries = [Entry(name, keys, measure, "honest") for name, keys in variants.items()]
    judge = Judge(confidence.Sequence(0.05 / len(entries), least=epsilon / 2), epsilon)
    race = Race(sampler(rule, repetition), {"honest": {"adversaries": []}}, entries, judge)
    race.run(budget, 6)
    return {f.name: f.verdict for f in race.findings}, race


def expected_gain(rule, report):
    """What a report is paid more than the truth, per run, in closed form."""

    def mean(reports):
        yes, no = SCORES[rule](reports, 1.0), SCORES[rule](reports, 0.0)
        return (KNOWN * yes + (1 - KNOWN) * no).mean()

    return ROUNDS * UNIT * (mean(REPORTS[report](KNOWN)) - mean(KNOWN))


@pytest.mark.slow
@pytest.mark.parametrize("audits", [60, pytest.param(200, marks=pytest.mark.soak)])
def test_a_proper_scoring_rule_is_not_accused(audits):
    """At most 5 % of audits find a deviation profitable that is not."""
    assert all(expected_gain("quadratic", report) < 0 for report in REPORTS)
    alarms = sum(
        "profitable" in verdicts("quadratic", repetition, 1e-3, 120)[0].values()
        for repetition in range(audits)
    )
    assert alarms <= 0.05 * audits


def test_an_improper_scoring_rule_is_found_out_and_a_proper_one_passes():
    epsilon = 100.0
    assert expected_gain("linear", "sure") > 4 * epsilon
    found, _ = verdicts("linear", 0, epsilon, budget=600)
    assert found == {"sure": "profitable", "shy": "compatible", "contrary": "compatible"}
    found, _ = verdicts("quadratic", 0, epsilon, budget=600)
    assert set(found.values()) == {"compatible"}


def test_runs_go_where_the_answer_is_open():
    _, race = verdicts("linear", 1, 20.0, budget=400)
    seeds = {f.name: len(f.gains) for f in race.findings}
    assert race.runs <= 400
    # The opposite report loses so much that few runs say it; the others are closer.
    assert seeds["contrary"] < max(seeds.values())


def test_gains_are_those_of_the_same_device_under_the_same_seed():
    _, race = verdicts("linear", 3, 100.0, budget=100)
    finding = next(f for f in race.findings if f.name == "shy")
    sample = sampler("linear", 3)
    seed = finding.seeds[2]
    rows = sample({"it": finding.entry.keys, "honest": {"adversaries": []}}, [seed])
    deviant = rows[rows["group"] == DEVIANT].iloc[0]
    before = rows[(rows["variant"] == "honest") & (rows["device"] == deviant["device"])]
    assert finding.gains[2] == deviant["paid"] - before["paid"].iloc[0]


# --- a real protocol ------------------------------------------------------------------------------


LARGE = ["--scenario", "large.toml", "--workers", "1", "--epsilon", "300"]
BAD = ["audit", "linear", *LARGE, "--budget", "220", "--out", "bad"]
GOOD = ["audit", "quadratic", *LARGE, "--no-search", "--budget", "160", "--out", "good"]


@pytest.fixture(scope="module")
def audited(tmp_path_factory):
    """(folder, what was printed of each): audits of a bad rule and of a good one.

    Of few devices in many rounds, so that few runs decide.
    """
    folder = tmp_path_factory.mktemp("audited")
    shutil.copy(FORECAST, folder / "forecast.py")
    large = SCENARIO.replace("rounds = 6", "rounds = 16").replace("devices = 4", "devices = 3")
    (folder / "large.toml").write_text(large)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Registry, "_register", dict(Registry._register))
        patched.chdir(folder)
        yield folder, {"bad": fedstake(*BAD, code=1), "good": fedstake(*GOOD)}


@pytest.fixture
def there(audited, monkeypatch):
    """The folder of audits; commands run there."""
    monkeypatch.chdir(audited[0])
    return audited[0]


@pytest.mark.slow
def test_a_rule_of_a_protocol_by_path_is_audited(audited, there, tmp_path):
    output = audited[1]["bad"]
    assert "linear: deviating pays. sure gains" in output
    assert "claims that fail: deviations" in output
    for file in ("audit.html", "findings.csv", "gains.png", "certificate.toml", "scenario.toml"):
        assert (there / "bad" / file).is_file(), file
    # The smallest scenario in which it pays, run as it stands.
    fedstake("run", "bad/counterexample.toml", "--out", str(tmp_path / "it"))
    fedstake("run", "bad/counterexample-honest.toml", "--out", str(tmp_path / "before"))
    import fedstake as fs

    paid, before = (
        fs.open_run(tmp_path / name).participants.groupby("device")["utility"].sum()
        for name in ("it", "before")
    )
    assert (paid - before).max() > 0
    scenario = fs.open_run(tmp_path / "it").settings
    assert scenario["devices"] * scenario["rounds"] < 3 * 16


@pytest.mark.slow
def test_a_good_rule_passes_and_its_certificate_holds(audited, there):
    output = audited[1]["good"]
    assert "quadratic: no deviation that was tried pays" in output
    # The same again plays nothing and says the same.
    again = fedstake(*GOOD)
    assert again == "".join(line for line in output.splitlines(True) if line[:6] != "audit-")

    assert "imported only with --trust" in fedstake("verify", "good/certificate.toml", code=2)
    output = fedstake("verify", "good/certificate.toml", "--trust", "--sample", "3")
    assert "3 gains played again" in output
    assert "none differs" in output


@pytest.mark.slow
def test_a_chain_that_fails_does_not_cost_the_page(there, monkeypatch):
    def replay_run(run):
        raise BridgeError("no chain today")

    monkeypatch.setattr("chain_bridge.replay_run", replay_run)
    written = [there / "bad" / name for name in ("audit.html", "certificate.toml")]
    for _ in range(2):  # the counterexample may have been played before
        for file in written:
            file.unlink()
        assert "no chain today" in fedstake(*BAD, "--replay", code=1)
        assert all(file.is_file() for file in written)


@pytest.mark.slow
def test_a_killed_audit_goes_on_and_ends_the_same(there):
    command = [*GOOD[:-1], "killed"]
    began = subprocess.Popen(
        [sys.executable, "-m", "experiments.cli", *command],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # Some runs of the second stage are there.
    for line in began.stderr:
        if line.startswith("audit-003: 2"):
            break
    os.killpg(began.pid, signal.SIGKILL)
    began.wait()
    assert not (there / "killed" / "audit.html").exists()
    fedstake(*command)
    for file in ("certificate.toml", "findings.csv", "gains-by-seed.csv"):
        assert (there / "killed" / file).read_text() == (there / "good" / file).read_text()


@pytest.mark.slow
def test_what_a_search_finds_is_certified_and_counts(there):
    certificate = tomllib.loads((there / "bad" / "certificate.toml").read_text())
    (found,) = (v for v in certificate["variants"] if v["kind"] == "search")
    assert found["keys"]["adversaries"][-1]["name"] == DEVIANT
    # It alone, so that all of its gains are played again.
    counts = "deviations" if found["devices"] == 1 else "coalitions"
    none = dict.fromkeys(("deviations", "sybils", "coalitions"), "not asked")
    certificate["variants"] = [found]
    file = there / "bad" / "found.toml"
    file.write_text(tomli_w.dumps(certificate))
    assert "verdicts: " in fedstake("verify", str(file), "--trust", code=1)
    certificate["verdicts"] |= none | {counts: found["verdict"]}
    file.write_text(tomli_w.dumps(certificate))
    output = fedstake("verify", str(file), "--trust", "--sample", "60")
    assert f"{len(found['gains'])} gains played again" in output
    assert "none differs" in output


@pytest.mark.slow
def test_a_forged_certificate_does_not_hold(there):
    text = (there / "bad" / "certificate.toml").read_text()
    file = there / "bad" / "forged.toml"
    file.write_text(text)
    assert "none differs" in fedstake("verify", str(file), "--trust", "--sample", "2")

    def refused(change, words, *options):
        """Change a copy of the certificate; verify must say what does not hold."""
        forged = tomllib.loads(text)
        change(forged, next(v for v in forged["variants"] if v["name"] == "sure"))
        file.write_text(tomli_w.dumps(forged))
        output = fedstake("verify", str(file), "--trust", *options, code=1)
        assert words in output, output

    def with_gains(forged, own, gains):
        """Set gains, and all that follows of them."""
        own["gains"] = gains
        method = forged["method"]
        alpha = (1 - method["level"]) / method["hypotheses"]
        bound = confidence.Sequence(alpha, least=method["least"]).bound(gains)
        own |= {"gain": bound.mean, "low": bound.low, "high": bound.high}
        fits = bound.high <= method["epsilon"]
        own["verdict"] = "compatible" if fits else "undecided"
        found = {v["verdict"] for v in forged["variants"] if v["kind"] == "deviation"}
        order = ("profitable", "undecided", "compatible")
        forged["verdicts"]["deviations"] = next(v for v in order if v in found)

    def lower(forged, own):
        with_gains(forged, own, [gain - 700 for gain in own["gains"]])

    refused(lambda c, v: v.update(verdict="compatible"), "its gains give")
    refused(lower, "played again it is", "--sample", "500")
    refused(lambda c, v: v.update(seeds=[v["seeds"][0]] * len(v["seeds"])), "follow each other")
    refused(lambda c, v: c["method"].update(hypotheses=1), "method.hypotheses = 1: there are")
    refused(lambda c, v: c["method"].update(least=0.0), "method.least = 0: must be epsilon / 3")
    refused(lambda c, v: v["keys"].update({"scoring.rule": "quadratic"}), "changes more than one")
    refused(
        lambda c, v: c["baselines"]["nobody deviates"].update({"scoring.rule": "quadratic"}),
        "is not the same scenario",
    )
    refused(lambda c, v: c.update(measure="income"), "measure = 'income': must be utility")
    refused(lambda c, v: c["rule"].update(name="quadratic"), "its scenario plays no")
    refused(lambda c, v: c["verdicts"].update(sybils="compatible"), "verdicts: sybils")


HOSTILE = ("protocol", "variants", "baselines")


@pytest.mark.parametrize("place_of", HOSTILE)
@pytest.mark.parametrize("suffix", ["", ":Evil"])
def test_no_file_that_a_certificate_names_is_imported(tmp_path, place_of, suffix, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("open('ran', 'w').close()")
    evil = str(tmp_path / "evil.py") + suffix
    keys = {"adversaries": [{"name": "deviant", "count": 1, "worker": "lazy"}]}
    values = {
        "format": 1,
        "schema_version": SCHEMA_VERSION,
        "rule": {"name": "flat", "kind": "mechanisms"},
        "verdicts": {
            "deviations": "undecided", "sybils": "not asked", "coalitions": "not asked",
            "power": 1.0,
        },
        "method": {
            "name": "t", "assumes": "", "level": 0.95, "hypotheses": 1, "epsilon": 3.0,
            "least": 1.0,
        },
        "run_id": "0",
        "scenario": {"protocol": "vbfl", "payout": {"mechanism": "flat"}},
        "baselines": {"nobody deviates": {"adversaries": []}},
        "variants": [
            {
                "name": "lazy", "kind": "deviation", "devices": 1, "keys": keys,
                "baseline": "nobody deviates", "seeds": [0], "gains": [0.0], "gain": 0.0,
                "low": float("-inf"), "high": float("inf"), "verdict": "undecided",
            }
        ],
    }  # fmt: skip
    if place_of == "protocol":
        values["scenario"]["protocol"] = evil
    elif place_of == "variants":
        keys["adversaries"][0]["worker"] = evil
    else:
        values["baselines"]["nobody deviates"]["payout.mechanism"] = evil
    (tmp_path / "certificate.toml").write_text(tomli_w.dumps(values))
    assert "--trust" in fedstake("verify", "certificate.toml", code=2)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["evil.py", "evil.py:Evil"])
def test_nothing_that_is_only_read_imports_a_file(tmp_path, name):
    (tmp_path / "evil.py").write_text("raise SystemExit('ran')")
    with reading(trust=False), pytest.raises((PluginError, SettingError), match="--trust"):
        scenario_of({"protocol": str(tmp_path / name)})


@pytest.mark.slow
def test_a_run_that_fails_costs_its_deviation_only(place):
    text = (place / "forecast.py").read_text()
    failing = "return float(known >= 0.5)"
    assert failing in text
    (place / "forecast.py").write_text(text.replace(failing, "raise RuntimeError('no')"))
    words = ["--scenario", "forecast.toml", "--no-search", "--workers", "1", "--epsilon", "100"]
    output = fedstake("audit", "quadratic", *words, "--budget", "120", "--out", "it")
    assert "contrary" in output
    assert "sure: its run failed under seed" in (place / "it" / "audit.html").read_text()


@pytest.mark.slow
def test_another_question_does_not_overwrite_an_audit(place):
    words = ["--scenario", "forecast.toml", "--no-search", "--workers", "1", "--out", "it"]
    CliRunner().invoke(app, ["audit", "quadratic", *words, "--budget", "60"])
    before = (place / "it" / "scenario.toml").read_text()
    output = fedstake("audit", "linear", *words, "--budget", "60", code=2)
    assert "holds the audit of another rule or scenario" in output
    assert (place / "it" / "scenario.toml").read_text() == before
    # More runs, or other settings, of the same question take over what is there.
    CliRunner().invoke(app, ["audit", "quadratic", *words, "--budget", "90"])
    assert (place / "it" / "scenario.toml").read_text() == before


# --- what is asked ----------------------------------------------------------------------------


def test_the_first_protocol_that_can_play_a_rule_is_taken():
    assert ask("flat").scenario.protocol == "vbfl"
    assert ask("coordinator").scenario.protocol == "coordinator"
    assert ask("deposit-refund-take").scenario.protocol == "market"
    assert ask("slashing").scenario.to_dict()["payout"]["parts"][0]["part"] == "slashing"
    changed = ask("flat", changes={"payout.params.worker": 7})
    assert changed.scenario.to_dict()["payout"]["params"]["worker"] == 7


def test_what_cannot_be_asked_is_said_in_one_line():
    with pytest.raises(InputError, match="flatt: no such rule; did you mean 'flat'"):
        ask("flatt")
    with pytest.raises(ScenarioError, match=r"payout\.params\.wrker.*did you mean 'worker'\?$"):
        ask("flat", changes={"payout.params.wrker": 7})
    with pytest.raises(InputError, match="--claim sybil: no such claim; did you mean 'sybils'"):
        AuditSettings(claims=("sybil",))
    with pytest.raises(InputError, match="--budget 3: must be at least"):
        AuditSettings(budget=3)


def test_every_behaviour_is_played_or_the_reason_is_given():
    auditor = Auditor(ask("flat"), AuditSettings(), sampler("linear", 0))
    library = auditor.audit.library
    names = {d.name for d in library.playable}
    assert {"overstate (worker)", "extort (validator)", "tamper (miner)"} <= names
    assert "nobody commits here" in library.refused["no-reveal (worker)"]
    extort = next(d for d in library.playable if d.name == "extort (validator)")
    # Honest workers pay under threat, or extortion could not pay.
    assert auditor.audit.question.variant(count=1, **extort.keys)["costs.concede"] > 0


@pytest.mark.slow
def test_properties_have_the_smallest_counterexample():
    from experiments.audits.properties import properties_of

    found = {p.name: p for p in properties_of(ask("flat"))}
    assert not found["rejected unpaid"].holds
    assert "was rejected and gets 1,000" in found["rejected unpaid"].counterexample
    assert found["null player"].holds
    assert found["claims unpaid"].holds
    overpaid = {p.name: p for p in properties_of(ask("vbfl"))}
    assert not overpaid["claims unpaid"].holds


# --- what a budget is spent on ----------------------------------------------------------------


def audited_in_arrays(rule, budget, epsilon=1.0):
    """An audit of a rule of `forecast.py` in arrays; no process, no folder."""
    settings = AuditSettings(budget=budget, epsilon=epsilon)
    return Auditor(ask(rule, "forecast.toml"), settings, sampler(rule, 0), search=False).run()


def test_every_deviation_is_tried_before_a_small_budget_goes_elsewhere():
    race_needs = 1 + 20
    entries = [
        Entry(f"{name} {i}", {"adversaries": [{"reporter": name}]}, gain_of_members(DEVIANT), "")
        for i in range(10)
        for name in ("sure", "shy")
    ]
    judge = Judge(confidence.Sequence(0.001, least=1.0), 1.0)
    race = Race(sampler("linear", 0), {"": {"adversaries": []}}, entries, judge)
    assert race.cost == race_needs
    race.run(race_needs - 1, 6)
    assert race.runs == 0
    race.run(race_needs, 6)
    assert race.runs == race_needs
    # The same race goes on, and its seeds follow each other.
    race.run(2 * race.cost + 1, 6)
    assert {tuple(f.seeds) for f in race.findings} == {(0, 1, 2)}


def test_what_is_left_of_a_budget_goes_to_what_is_undecided(place):
    found = audited_in_arrays("quadratic", 300)
    assert found.runs <= 300
    assert found.next_stage > 0, "something is undecided"
    assert found.left < found.next_stage


def test_runs_that_are_left_are_told_with_the_price_of_the_next_stage(place):
    found = audited_in_arrays("quadratic", 62)
    assert found.next_stage > found.left > 0
    last = answer(found)[-1]
    assert f"Runs left: {found.left} of 62, too few for one more" in last
    assert f"({found.next_stage})" in last


def test_an_audit_that_tried_nothing_says_so_first_and_what_it_needs():
    audit = Auditor(ask("flat"), AuditSettings(budget=60), sampler("linear", 0)).audit
    deviations = len(audit.library.playable)
    audit.portrait = SimpleNamespace(runs=48, shut_out=None, stuck=Fault(0, 6, 0.0, 0.0, 1.0))
    dose = Entry("shade", {}, gain_of_members(DEVIANT), "", DOSE)
    audit.findings = [Finding(dose, [0.0], [0])]
    first = answer(audit)[0]
    need = audit.least_budget
    assert need >= deviations + 1 + 48 > 60
    assert first == (
        f"flat: undecided: no deviation was tried. To try {deviations} deviations once, an audit "
        f"needs {need} runs at least (--budget {need})."
    )


@pytest.mark.parametrize(
    ("kind", "size", "word"), [(DOSE, 1, "deviating"), ("search", 3, "colluding")]
)
def test_what_counts_as_a_kind_is_told_as_that_kind(kind, size, word):
    """A point of a curve or a found attack decides a verdict, though no variant of the library."""
    audit = Auditor(ask("flat"), AuditSettings(), sampler("linear", 0)).audit
    entry = Entry("it", {}, gain_of_members(DEVIANT), "", kind, size)
    audit.findings = [Finding(entry, [9.0], [0], Bound(9.0, 8.0, 10.0), "profitable")]
    assert f"{word} pays" in answer(audit)[0]
    assert "it gains 9 (8 to 10)" in answer(audit)[0]


def test_a_claim_about_means_says_so(place):
    """Some honest devices may lose where honest devices on average do not."""
    assert CLAIMS["rationality"].endswith("on average")
    found = audited_in_arrays("quadratic", 60)
    assert found.claim("rationality") == "compatible"
    assert CLAIMS["rationality"] in set(claims_frame(found)["claim"])

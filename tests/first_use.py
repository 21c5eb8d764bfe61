"""The first hour of a new user, played again: what went wrong then, and what happens today.

    python -m tests.first_use            plays all items, one line each; exit code 1 when one fails
    python -m tests.first_use W1 B3      plays these, with all that they print

Each item is a function that does what the user did, on scenarios of a second, and returns the line
that the user would read today. It raises AssertionError where the fault is back.
"""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typer.testing import CliRunner, Result

from experiments.cli import app
from experiments.fitting import wrapped

QUICK = ("run", "digits-quick", "--set", "rounds=2")
RULE = '''"""A rule in a file."""

from fedstake import Payment, PayoutRule, Settlement


class {name}(PayoutRule):
    """As a stranger writes it."""

    name = "{label}"
    summary = "as a stranger writes it"
    reference = "first use"
    observes = frozenset({observes})

    def settle(self, seen):
        {body}
'''
ATTACK = '''"""An attack in a file."""

import numpy as np
from fedstake import Submission, WorkerBehaviour


class {name}(WorkerBehaviour):
    """As a stranger writes it."""

    name = "{label}"
    summary = "as a stranger writes it"
    reference = "first use"

    def submit(self, seen):
        {body}
'''
SWEEP = """
name = "{name}"
scenario = "vbfl"
seeds = {seeds}

[set]
rounds = 2
devices = 8
"validation.params" = {{ threshold = 1.0 }}
"data.dataset" = "synthetic"
"data.params" = {{ train = 160, test = 60, features = 6, classes = 3 }}
"data.partition" = "iid"
"data.validation_fraction" = 0.25
"model.name" = "softmax"
"roles.params" = {{ counts = "4,2,2" }}
"training.epochs" = 1

[[design]]
[design.factors]
"payout.mechanism" = {rules}
{attack}
[scorecard]
mechanism = "payout.mechanism"
{scorecard}
"""
ATTACKS = """
[design.factors.attack]
nobody = { adversaries = [] }
noise = { adversaries = [{ name = "bad", count = 2, worker = "gaussian-noise" }] }
"""
OBJECTIVE = '[scorecard.objective]\nmeasure = "advantage"'


@dataclass(frozen=True)
class Item:
    """One line of the user's log.

    Args:
        name: B broken, W misleading, M missing, U ugly, and a number.
        then: what happened.
        play: does it again; returns today's line.
    """

    name: str
    then: str
    play: Callable[[], str]


ITEMS: list[Item] = []


def item(name: str, then: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Add a function to the items."""

    def add(play: Callable[[], str]) -> Callable[[], str]:
        ITEMS.append(Item(name, then, play))
        return play

    return add


def fedstake(*words: object, code: int = 0) -> str:
    """Run a command as in a pipe, check its exit code, and return what it prints."""
    done: Result = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, f"exit code {done.exit_code}, not {code}: {done.output}"
    return done.output


def line(text: str, part: str) -> str:
    """Return the first line with a part."""
    found = [each.strip() for each in text.splitlines() if part in each]
    assert found, f"no {part!r} in: {text}"
    return " ".join(found[0].split())


def rule(name: str, body: str, observes: str = "()", label: str = "own") -> str:
    """Write a payout rule into a file; return its name for a scenario."""
    file = Path(f"{name.lower()}.py")
    file.write_text(RULE.format(name=name, body=body, observes=observes, label=label))
    return f"payout.mechanism={file}:{name}"


def attack(name: str, body: str) -> str:
    """Write an attack into a file; return its name for a scenario."""
    file = Path(f"{name.lower()}.py")
    file.write_text(ATTACK.format(name=name, body=body, label=name.lower()))
    return f"adversaries.0.worker={file}:{name}"


def sweep(
    name: str,
    rules: str = '["vbfl", "flat"]',
    attack: str = ATTACKS,
    scorecard: str = "",
    seeds: int = 2,
) -> Path:
    """Write a sweep's file."""
    file = Path(f"{name}.toml")
    values = {"name": name, "rules": rules, "attack": attack}
    file.write_text(SWEEP.format(**values, scorecard=scorecard, seeds=seeds))
    return file


def played() -> Path:
    """Return the folder of a sweep of two rules and two attacks, played once."""
    folder = Path("results/lab")
    if not folder.is_dir():
        paid = "Payment(r.worker, 9, 'reward.worker')"
        rule("Quad", f"return Settlement(tuple({paid} for r in seen.records))", label="quad")
        file = sweep("lab", '["vbfl", "quad.py:Quad"]', scorecard=OBJECTIVE)
        fedstake("compare", file, "--workers", 1)
    return folder


def reported() -> Path:
    """Return the folder of the report of that sweep, with its figure of payoffs."""
    folder = played() / "report"
    if not folder.is_dir():
        fedstake("report", played(), "--figures", "payoffs")
    return folder


def taped() -> Path:
    """Return the folder of a run with a tape."""
    fedstake(*QUICK, "--set", "record.tape=true", "--out", "results/taped")
    return Path("results/taped")


# --- broken -------------------------------------------------------------------------------------


@item("B1", "the demo replays the winner under its worst attack, (nobody)")
def worst_attack() -> str:
    text = (played() / "winner.toml").read_text()
    assert "under attack = nobody" not in text
    return line(text, "where its advantage is worst")


@item("B2", "a rule named by file destroys the figure Payoffs and is shown by its path")
def rule_by_file() -> str:
    from experiments.results import Results

    text = (reported() / "payoffs.svg").read_text()
    words = ("honest devices", "adversaries", "quad", "vbfl")
    assert [word for word in words if word not in text] == []
    assert "quad.py" not in text
    labels, path = Results.open(played()).labels, str(Path("quad.py:Quad").absolute())
    return f"figure and tables call it {labels.level('payout.mechanism', path)}"


@item("B3", "Ctrl-C: what was finished is kept, the same command goes on (it begins at round 1)")
def interrupted() -> str:
    from experiments import load_scenario, run

    def press(world: object) -> None:
        if world.round_index == 2:  # type: ignore[attr-defined]
            raise KeyboardInterrupt

    scenario = load_scenario("digits-quick", {"rounds": 4})
    with contextlib.suppress(KeyboardInterrupt):
        run(scenario, "results/stopped", on_round=press)
    again = fedstake("run", "digits-quick", "--set", "rounds=4", "--out", "results/stopped")
    return line(again, "goes on from round 3 of 4")


@item("B4", "TAB offers nothing; a folder experiments/ of one's own hides the package")
def python_names() -> str:
    import fedstake as package

    names = [name for name in dir(package) if not name.startswith("_")]
    assert {"run", "sweep", "Results", "PayoutRule"} <= set(names)
    assert Path(package.__file__).with_name("py.typed").is_file()
    return f"import fedstake: {len(names)} names on TAB, typed"


@item("B5", "compare plays the whole sweep before it looks at [scorecard]")
def checked_first() -> str:
    printed = fedstake("compare", sweep("fresh", attack=""), code=2)
    assert not Path("results/fresh").exists()
    return line(printed, "scorecard.adversary: not given")


@item("B6", "list --help leaves out learners")
def kinds() -> str:
    return line(fedstake("list"), "learners")


@item("B7", "a sentence of the report that ends in nothing")
def report_sentences() -> str:
    page = (reported() / "report.html").read_text()
    assert "its rows of the scorecard" not in page
    lead = re.search(r"<p class=lead>(.*?)</p>", page, re.DOTALL)
    assert lead, "the page leads with the answer"
    return re.sub("<.*?>", "", lead.group(1))


@item("B8", "compare SWEEP.toml --out x ignores --out")
def compare_out() -> str:
    fedstake("compare", played(), "--out", "elsewhere")
    assert Path("elsewhere/scorecard.csv").is_file()
    return "elsewhere/scorecard.csv is written"


# --- misleading ---------------------------------------------------------------------------------


@item("W1", "votes that were not declared are silently blank: everybody earns 0, rc 0")
def undeclared() -> str:
    votes = "return Settlement(tuple(Payment(r.worker, len(r.positive)) for r in seen.records))"
    return line(fedstake(*QUICK, "--set", rule("Votes", votes), code=1), "observes = {'votes'}")


@item("W2", "updates of a wrong shape: every rule looks robust, rc 0")
def broken_attack() -> str:
    body = "return Submission(seen.updates[:, :5], seen.samples, seen.epochs)"
    return line(fedstake(*QUICK, "--set", attack("Shape", body), code=1), "must be float[1, 2410]")


@item("W2b", "NaN in an attack's updates: only table incidents knows")
def nan_attack() -> str:
    body = "return Submission(seen.updates * np.float32('nan'), seen.samples, seen.epochs)"
    return line(fedstake(*QUICK, "--set", attack("Nans", body)), "updates malformed")


@item("W2c", "an attack that writes into what it is shown is accepted")
def writing_attack() -> str:
    body = "seen.updates[:] = 0"
    return line(fedstake(*QUICK, "--set", attack("Writes", body), code=1), "read-only")


@item("W3", "measure = advantage crowns the rule that attackers like best")
def direction() -> str:
    return line(fedstake("compare", played()), "ranking by advantage, worst attack, lowest first")


@item("W4", "without an objective the first rule of a tie is named winner")
def no_objective() -> str:
    from experiments.scorecard.settings import ScorecardSettings
    from experiments.scorecard.winner import compare

    settings = ScorecardSettings(mechanism="payout.mechanism")
    found = compare(played(), settings, out="unstated")
    assert found.winner is None
    return found.answer


@item("W5", "honest = a level with attackers in it is accepted")
def honest_level() -> str:
    file = sweep("honest", scorecard='honest = "noise"')
    return line(fedstake("compare", file, code=2), "2 devices of group 'bad' deviate at this level")


@item("W6", "incentive compatible: yes, after two runs and one deviation of a coalition")
def undetermined() -> str:
    return line(fedstake("compare", played()), "undetermined")


@item("W7", "slashed-vbfl gets VBFL's numbers where nobody can pay its stake")
def nobody_joins() -> str:
    printed = fedstake("compare", taped(), "--rule", "slashed-vbfl", "--rule", "vbfl")
    return line(printed, "nobody could have joined")


@item("W8", "percentile bootstraps of three seeds")
def intervals() -> str:
    from experiments.intervals import in_words

    return in_words([3])


@item("W9", "the tutorial's objective is won by whoever pays least")
def tutorial() -> str:
    text = (Path(__file__).parents[1] / "docs" / "tutorial.md").read_text()
    return line(text, 'measure = "advantage"')


# --- missing ------------------------------------------------------------------------------------


@item("M1", "one more seed: all runs must be played again")
def one_more_seed() -> str:
    words = ("sweep", "vbfl", "--vary", "rounds=1", "--set", "devices=8", "--out", "results/grown")
    small = ("--set", "data.dataset=digits", "--set", 'roles.params={counts="4,2,2"}')
    fedstake(*words, *small, "--workers", 1)
    return line(fedstake(*words, *small, "--workers", 1, "--seeds", 2), "1 reused, 1 new")


@item("M2", "a finished run cannot be extended")
def extended() -> str:
    fedstake(*QUICK, "--keep-state", "--out", "results/short")
    words = ("run", "digits-quick", "--set", "rounds=3", "--out", "results/longer")
    return line(fedstake(*words, "--extend", "results/short"), "goes on from round 2 of 3")


@item("M3", "no scripted outage")
def outage() -> str:
    Path("outage.toml").write_text(
        'extends = "digits-quick"\nrounds = 2\n'
        "[[availability.outages]]\nfrom_s = 1.0\nuntil_s = 4.0\nshare = 0.3\n"
    )
    return line(fedstake("run", "outage.toml"), "final accuracy")


@item("M4", "RunResult says nothing; no summary(), no incidents")
def run_result() -> str:
    from experiments import load_scenario, run

    result = run(load_scenario("digits-quick", {"rounds": 2}), "results/two")
    assert "final accuracy" in result.summary().values
    assert result.incidents is not None
    return repr(result)


@item("M5", "NumPy integers are refused as amounts")
def numpy_amounts() -> str:
    paid = "Payment(seen.records[0].worker, numpy.int64(9), 'reward.worker')"
    body = f"import numpy; return Settlement(({paid},))"
    return line(fedstake(*QUICK, "--set", rule("Numpy", body)), "net issuance")


@item("M6", "a Dataset with wrong labels fails in the middle of training")
def dataset() -> str:
    from fedstake import Dataset, FedstakeError

    x, y = np.zeros((6, 2), np.float32), np.array([0, 1, 3, 0, 1, 2])
    try:
        Dataset("mine", x, y, x, y, classes=3)
    except FedstakeError as error:
        return str(error)
    raise AssertionError("labels out of range are accepted")


@item("M7", "no PDF, no width, no choice of figures")
def pdf() -> str:
    words = ("--figures", "accuracy", "--format", "pdf", "--width", "single", "--out", "one")
    fedstake("report", taped(), *words)
    return ", ".join(sorted(p.name for p in Path("one").iterdir()))


# --- mistakes -----------------------------------------------------------------------------------

MISTAKES = {
    "E1": (
        "KeyError: 'missing' without file, line, device or round",
        lambda: (*QUICK, "--set", rule("Boom", "return {}['missing']")),
        1,
        "boom.py:15 in Boom.settle, round 1: KeyError: 'missing'",
    ),
    "E2": (
        "'list' object has no attribute 'payments'",
        lambda: (*QUICK, "--set", rule("Lists", "return []")),
        1,
        "must return a Settlement, returned a list",
    ),
    "E3": (
        "payout.mechanism = quad.py: no such mechanism; known: 17 names",
        lambda: (*QUICK, "--set", rule("Quad", "return None").partition(":")[0]),
        2,
        "names no class; write",
    ),
    "E4": (
        "epochs = 3: 25 known keys",
        lambda: ("run", "digits-quick", "--set", "epochs=3"),
        2,
        "did you mean training.epochs?",
    ),
    "E5": (
        "run sweep.toml: unknown key",
        lambda: ("run", sweep("other")),
        2,
        "fedstake sweep other.toml",
    ),
    "E6": (
        "list attacks: list of kinds",
        lambda: ("list", "attacks"),
        2,
        "did you mean behaviours?",
    ),
    "E7": (
        "devices = 10: the roles need at least 20 devices",
        lambda: ("run", "digits-quick", "--set", "devices=10"),
        2,
        "roles.params.counts = '12,5,3'",
    ),
    "E8": (
        "all groups together: at most the 20 devices there are",
        lambda: ("run", "digits-quick", "--set", "adversaries.0.count=25"),
        2,
        "there are only 20 devices",
    ),
    "E9": (
        "--rule nosuch: does not say which",
        lambda: ("compare", taped(), "--rule", "nosuch"),
        2,
        "--rule nosuch: no such mechanism",
    ),
    "E10": (
        "should be greater than or equal to 1; should be a valid integer",
        lambda: ("run", "digits-quick", "--set", "training.epochs=0"),
        2,
        "training.epochs = 0: must be >= 1",
    ),
}


def _mistake(words: Callable[[], tuple[object, ...]], code: int, part: str) -> Callable[[], str]:
    return lambda: line(fedstake(*words(), code=code), part)


for _name, (_then, _words, _code, _part) in MISTAKES.items():
    ITEMS.append(Item(_name, _then, _mistake(_words, _code, _part)))


# --- figures ------------------------------------------------------------------------------------


@item("U1", "the page opens with 42 rows x 31 columns; the winner comes after two screens")
def page_leads() -> str:
    page = (reported() / "report.html").read_text()
    assert page.index("class=lead") < page.index("<table")
    return "the answer, its figure, then tables"


@item("U9", "figures are too wide for a page, their text 3 to 5 points there")
def sizes() -> str:
    from experiments.figures.base import DOUBLE, SINGLE, SMALL

    return f"{SINGLE:g} or {DOUBLE:g} inches wide, text of {SMALL:g} points and more"


@item("U10", "black numbers beside white ones on the same purple; numbers that slant")
def payoffs() -> str:
    text = (reported() / "payoffs.svg").read_text()
    assert "rotate(-45" not in text
    return "black and upright on all colours"


@item("terminal", "tables up to 167 columns wide; rows wrap into blank lines")
def terminal() -> str:
    printed = fedstake("compare", played()) + fedstake("compare", taped())
    tables = [each for each in printed.splitlines() if re.search(r"\S {2,}\S.* {2,}\S", each)]
    widest = max(map(len, tables))
    assert widest <= 80, "a table is wider than a terminal of 80 columns"
    return f"the widest table has {widest} columns"


# --- wording ------------------------------------------------------------------------------------

WORDS = {
    "issued, less what was burned": "net issuance",
    "devices shut out at the end": "devices blocked at the end",
    "none in any block": "",
    "this very run was recorded before": "already recorded; --force runs it again",
    "what each mechanism comes to, under each attack": "lab: results by mechanism and attack",
    "what deviating and splitting gain": "gain from deviating (per device,",
    "ranking by the stated objective": "ranking by advantage, worst attack, lowest first",
    "breaks": "violates",
    "The main job, small": "A small end-to-end example",
    "holds something else than a sweep": "is not empty and holds no sweep",
    "{scenario}": "SCENARIO",
}
"""What was said then, and what is said today ("": nothing); others are in tests of commands."""


@item("words", "phrases that nobody would say")
def wording() -> str:
    text = "\n".join(
        [
            fedstake("run", "digits-quick", "--set", "rounds=2", "--out", "results/two"),
            fedstake("run", "digits-quick", "--set", "rounds=2", "--out", "results/two"),
            fedstake("run", "digits-quick", "--set", "rounds=1", "--set", "adversaries=[]"),
            fedstake("compare", played()),
            fedstake("--help"),
            fedstake("run", "--help"),
            fedstake("sweep", sweep("into"), "--out", "results/two", code=2),
        ]
    )
    assert [old for old in WORDS if old in text] == []
    new = [phrase for phrase in WORDS.values() if phrase]
    assert [phrase for phrase in new if phrase not in text] == []
    return f"{len(WORDS)} phrases are plain"


# --- the command --------------------------------------------------------------------------------


@contextlib.contextmanager
def empty_folder() -> Iterator[None]:
    """Work in a folder that goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="first-use-") as folder, contextlib.chdir(folder):
        yield


def main(wanted: list[str]) -> int:
    """Play the items that are wanted, or all, in the folder of work; return how many fail."""
    failed = 0
    for each in ITEMS:
        if wanted and each.name not in wanted:
            continue
        try:
            today, verdict = each.play(), "mended"
        except Exception as error:  # whatever it is, the other items are played
            today, verdict, failed = str(error), "STILL FAILS", failed + 1
        lines = f"{each.name:8} {verdict}\n    then:  {each.then}\n    today: {today}"
        sys.stdout.write(f"{wrapped(lines, 100)}\n")
    return failed


if __name__ == "__main__":
    with empty_folder():
        sys.exit(min(1, main(sys.argv[1:])))

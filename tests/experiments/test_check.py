"""`fedstake.check`: the suite of a kind as a function."""

import subprocess
import sys
from pathlib import Path

import pytest

import fedstake
from experiments.conformance import PayoutConformance
from fedstake import CheckError, InputError, PluginError

HOUSE = Path(__file__).parents[2]
PLUGINS = HOUSE / "tests" / "plugins"

BROKEN = '''
from fedstake import Payment, PayoutRule, Settlement, WorkerBehaviour, Submission

class Half(PayoutRule):
    """Pays halves."""

    name = "Half"
    summary = "pays halves"

    def settle(self, seen):
        return Settlement(tuple(Payment(r.worker, 0.5, "reward") for r in seen.records))

class First(PayoutRule):
    """Pays the first worker, whoever that is."""

    name = "first"
    summary = "pays the first worker"
    reference = "test"

    def settle(self, seen):
        return Settlement(tuple(Payment(r.worker, 5, "reward") for r in seen.records[:1]))

class Crash(PayoutRule):
    """Believes that there is always somebody."""

    name = "crash"
    summary = "fails on empty blocks"
    reference = "test"

    def settle(self, seen):
        return Settlement((Payment(seen.records[0].worker, 5, "reward"),))

class Scribbler(WorkerBehaviour):
    """Writes into what it is shown."""

    name = "scribbler"
    summary = "writes into what it is shown"
    reference = "test"

    def submit(self, seen):
        rows = seen.updates
        rows += 1
        return Submission(rows, seen.samples, seen.epochs)

class Unfinished(PayoutRule):
    """Has no settle."""

    name = "unfinished"

class Choosy(PayoutRule):
    """Its second example is wrong."""

    name = "choosy"
    summary = reference = "test"
    examples = ({}, {"no_such": 1})

    def settle(self, seen):
        return Settlement()
'''


@pytest.fixture(scope="module")
def broken(tmp_path_factory):
    path = tmp_path_factory.mktemp("check") / "broken.py"
    path.write_text(BROKEN)
    return path


@pytest.mark.parametrize(
    "target",
    [
        (f"{PLUGINS / 'generous.py'}:Generous",),
        ("mechanisms", "flat"),
        ("mechanisms", f"{PLUGINS / 'generous.py'}:Generous"),
    ],
)
def test_a_good_rule_passes_and_the_checks_are_named(target):
    checked = fedstake.check(*target)
    assert checked.kind == "mechanism"
    assert checked.passed == (
        "metadata is complete",
        "parameters are frozen and checked",
        "serialisable",
        "payments",
        "renaming devices renames payments",
    )
    assert "5 checks passed" in str(checked)


def test_a_class_will_do_and_so_will_a_name_that_kinds_are_listed_under():
    cls = fedstake.all_kinds()[0].get("none")
    assert fedstake.check(cls).plugin is cls
    assert fedstake.check("behaviours", "bandit").kind == "learner"
    assert fedstake.check("worker behaviours", "honest").kind == "worker behaviour"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "Half",
            [
                "fails 2 of 5",
                "`name` is 'Half', give one in lower case; `reference` is missing",
                "payments: the amount must be an integer",
            ],
        ),
        ("First", ["fails 1 of 5", "must not depend on the order of the records"]),
        ("Crash", ["fails 2 of 5", "payments: IndexError: tuple index out of range (line 31)"]),
        ("Scribbler", ["fails 1 of 4", "output array is read-only (line 42)"]),
        ("Unfinished", ["does not define settle"]),
        ("Choosy", ["fails 3 of 5", "unknown parameter"]),
    ],
)
def test_every_failed_check_is_in_one_error(broken, name, words):
    with pytest.raises(CheckError) as raised:
        fedstake.check(f"{broken}:{name}")
    for word in words:
        assert word in str(raised.value)
    assert raised.value.plugin.__name__ == name
    assert all(isinstance(failure.error, Exception) for failure in raised.value.failures)


@pytest.mark.parametrize(
    ("target", "error", "words"),
    [
        ((3,), InputError, "give the class"),
        ((dict,), InputError, "is no plug-in; inherit from one of PayoutRule"),
        (("vbfl",), InputError, "kind and name"),
        (("mechanism", "vbfl"), InputError, "did you mean 'mechanisms'"),
        (("behaviours", "honest"), InputError, "say which: worker behaviours"),
        (("mechanisms", "vbfi"), PluginError, "did you mean 'vbfl'"),
        (("nowhere.py:X",), PluginError, "no such file"),
    ],
)
def test_what_cannot_be_checked_is_explained(target, error, words):
    with pytest.raises(error, match=words):
        fedstake.check(*target)


def run(code, *options):
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        env={"PYTHONPATH": str(HOUSE), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_pytest_is_not_needed():
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "import fedstake; print(fedstake.check('mechanisms', 'none'))"
    )
    done = run(code)
    assert "5 checks passed" in done.stdout, done.stderr


@pytest.mark.slow
def test_without_hypothesis_one_line_says_what_to_install():
    code = (
        "import sys; sys.modules['hypothesis'] = None\n"
        "import fedstake; print(fedstake.check('roles', 'counts').kind)\n"
        "fedstake.check('mechanisms', 'none')"
    )
    done = run(code)
    assert done.stdout == "role\n", "suites that draw nothing at random do without"
    assert done.stderr.splitlines()[-1].endswith("needs hypothesis: pip install 'fedstake[check]'")


@pytest.mark.slow
def test_nothing_passes_where_assertions_are_off():
    done = run("import fedstake; fedstake.check('mechanisms', 'none')", "-O")
    assert "InputError" in done.stderr
    assert "without -O" in done.stderr


def test_the_suites_can_be_imported_by_name():
    from experiments import conformance

    assert PayoutConformance.__name__ in dir(conformance)
    assert {"Conformance", "PartConformance", "WorkerConformance"} <= {*dir(conformance)}
    with pytest.raises(AttributeError):
        conformance.NoSuchConformance  # noqa: B018
